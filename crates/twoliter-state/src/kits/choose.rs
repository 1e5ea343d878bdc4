use oci_spec::image::ImageManifest;
use tljournal::Digest;

use super::error::LayoutError;
use super::layout::{Contents, Image};

/// The criteria for the image of a layout.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    pub(super) arch: Option<&'a str>,
    pub(super) digest: Option<Digest>,
}

/// The digest and manifest of the only image of a layout that meets the criteria.
pub(super) fn choose(
    contents: Contents,
    wanted: Wanted<'_>,
) -> Result<(Digest, ImageManifest), LayoutError> {
    let there = describe(&contents.images);
    let is_any = wanted.arch.is_none() && wanted.digest.is_none();
    let mut fitting: Vec<_> = contents
        .images
        .into_iter()
        .filter(|image| wanted.is(image))
        .collect();
    if is_any && fitting.iter().any(|image| image.manifest.is_ok()) {
        fitting.retain(|image| !matches!(image.manifest, Err(LayoutError::Missing { .. })));
    }
    match (fitting.pop(), fitting.is_empty(), contents.unusable) {
        (Some(image), true, _) => Ok((image.digest, image.manifest?)),
        (Some(_), false, _) => Err(LayoutError::Ambiguous { there }),
        (None, _, Some(unusable)) => Err(unusable),
        (None, _, None) => Err(LayoutError::NoImage {
            wanted: wanted.describe(),
            there,
        }),
    }
}

impl Wanted<'_> {
    fn is(&self, image: &Image) -> bool {
        let arch = arch_of(image);
        let fits = match (self.arch, arch) {
            (Some(wanted), Some(arch)) => oci_arch(wanted) == oci_arch(&arch),
            // Attachments of an image, such as provenance, are not images.
            (None, Some(arch)) => arch != "unknown",
            (_, None) => true,
        };
        fits && self.digest.is_none_or(|digest| digest == image.digest)
    }

    fn describe(&self) -> String {
        let arch = self.arch.map(|arch| format!("for {}", arch.escape_debug()));
        let digest = self.digest.map(|digest| digest.to_string());
        let told: Vec<_> = digest.into_iter().chain(arch).collect();
        match told.is_empty() {
            true => "that is to be used".to_owned(),
            false => told.join(" "),
        }
    }
}

fn describe(images: &[Image]) -> String {
    let told = images.iter().take(8).map(|image| match arch_of(image) {
        Some(arch) => format!("{} for {}", image.digest, arch.escape_debug()),
        None => image.digest.to_string(),
    });
    let told: Vec<_> = told.collect();
    match told.is_empty() {
        true => "none".to_owned(),
        false => told.join(", "),
    }
}

fn arch_of(image: &Image) -> Option<String> {
    let platform = image.platform.as_ref()?;
    Some(platform.architecture().to_string())
}

/// The OCI name of an architecture, which differs from the kernel's.
fn oci_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
