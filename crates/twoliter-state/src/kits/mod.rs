//! Kits: images that are pulled once and unpacked.
//!
//! Both operations are [populations](tljournal::Journal::populate) with a digest as the key: of several concurrent
//! callers one works and the others wait; a caller that fails or is killed leaves nothing. Content of other programs
//! is used only if every blob has the digest in its name.

mod choose;
mod complete;
mod error;
mod layout;

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;
use oci_spec::image::ImageManifest;
use tljournal::{
    Digest, Installed, Layer, Pin, PopulateOptions, SourceEntry, Timestamp, TreeError, TreeOptions,
    TreeSource,
};

pub use error::LayoutError;

use crate::{Error, State};
use choose::{Wanted, choose};
use complete::check_complete;
use layout::{Blob, Layout};

/// The file with its manifest's digest in an unpacked kit.
const DIGEST_FILE: &str = "digest";

/// The media types of supported layers; their compression is detected from the content.
const LAYERS: [&str; 11] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];

/// How a kit is unpacked.
#[derive(Debug, Clone, Default)]
pub struct KitOptions {
    /// The architecture of the wanted image, in the kernel's or OCI spelling. Required if a layout has images for
    /// several architectures.
    pub arch: Option<String>,
    /// The digest of the manifest, for a layout with several images that differ in something else.
    pub digest: Option<Digest>,
    /// How the tree is installed.
    pub tree: TreeOptions,
    /// The longest wait for another process that is unpacking it.
    pub wait: Option<Duration>,
}

/// An unpacked kit.
#[derive(Debug)]
pub struct Kit {
    /// The digest of its manifest, which is also in its file `digest`.
    pub digest: Digest,
    /// Whether anything was changed.
    pub changed: bool,
    /// The pin of the kit: it stays complete on disk until this is dropped.
    pub pin: Pin,
}

impl State {
    /// Pulls an image into the directory at a path, once: `pull` receives an empty directory and leaves an image
    /// layout there that contains `digest`. Before it is published every blob is read and compared with its name.
    ///
    /// A layout that another program pulled there is used if it is complete, and replaced otherwise.
    ///
    /// # Errors
    /// [`Error::Pull`] when `pull` fails; [`Error::Layout`] when its result is not complete, naming the blob; the
    /// errors of [`Journal::populate`](tljournal::Journal::populate).
    pub fn pull<F, E>(&self, path: &str, digest: Digest, pull: F) -> Result<Installed, Error>
    where
        F: FnOnce(&Utf8Path) -> Result<(), E> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let shown = path.to_owned();
        let source = TreeSource::filled(move |dir| {
            pull(dir).map_err(|error| Error::Pull {
                path: shown.clone(),
                source: error.into(),
            })?;
            check_complete(dir, digest).map_err(|source| Error::layout(&shown, source))
        });
        let accept = move |dir: &Utf8Path| {
            let checked = check_complete(dir, digest);
            if let Err(error) = &checked {
                tracing::warn!("pulling the image of another program again: {error}");
            }
            checked.is_ok()
        };
        let options = PopulateOptions {
            accept: Some(Arc::new(accept)),
            ..PopulateOptions::default()
        };
        let key = format!("image {digest}");
        let pulled = self.journal.populate(path, key, source, options);
        pulled.map_err(|error| own_error(error, path))
    }

    /// Unpacks the kit whose image layout is in the directory `layout` at a path: all its layers, and a file `digest`
    /// with the digest of its manifest. Both appear together or not at all.
    ///
    /// The blobs are compared with their names while they are read. An unchanged unpacked kit is not touched. If the
    /// layout may be replaced meanwhile, hold a pin on it and pass [`Pin::path`].
    ///
    /// # Errors
    /// [`Error::Layout`] for a layout that is damaged or has no such image; the errors of
    /// [`Journal::populate`](tljournal::Journal::populate).
    pub fn unpack_kit(
        &self,
        layout: &Utf8Path,
        path: &str,
        options: KitOptions,
    ) -> Result<Kit, Error> {
        let wanted = Wanted {
            arch: options.arch.as_deref(),
            digest: options.digest,
        };
        let failed = |source| Error::layout(layout.as_str(), source);
        let opened = Layout::open(layout).map_err(failed)?;
        let contents = opened.contents().map_err(failed)?;
        let (digest, manifest) = choose(contents, wanted).map_err(failed)?;
        let source = source_of(&opened, digest, &manifest).map_err(failed)?;
        let populate = PopulateOptions {
            tree: options.tree,
            wait: options.wait,
            accept: None,
        };
        let key = format!("kit {digest}");
        let unpacked = self.journal.populate(path, key, source, populate);
        let Installed { changed, pin } =
            unpacked.map_err(|error| own_error(error, layout.as_str()))?;
        Ok(Kit {
            digest,
            changed,
            pin,
        })
    }
}

/// The source of the tree that an image unpacks to.
fn source_of(
    layout: &Layout,
    digest: Digest,
    manifest: &ImageManifest,
) -> Result<TreeSource, LayoutError> {
    let mut layers = Vec::new();
    for layer in manifest.layers() {
        let blob = Blob::of(layer)?;
        let media_type = layer.media_type().as_ref();
        if !LAYERS.contains(&media_type) {
            return Err(LayoutError::MediaType {
                what: "layer",
                digest: blob.digest.to_string(),
                media_type: media_type.escape_debug().to_string(),
            });
        }
        layers.push(Layer::new(layout.find(blob)?).with_digest(blob.digest));
    }
    let name = Cursor::new(digest.to_string());
    let name = SourceEntry::file(DIGEST_FILE, 0o644, Timestamp::default(), name);
    Ok(TreeSource::layers(layers, vec![name]))
}

/// Extracts an error of this crate from a population's error, or names the layer.
fn own_error(error: tljournal::Error, layout: &str) -> Error {
    match error {
        tljournal::Error::Source(TreeError::Fill { source }) => match source.downcast() {
            Ok(own) => *own,
            Err(source) => tljournal::Error::from(TreeError::Fill { source }).into(),
        },
        tljournal::Error::Source(TreeError::Mismatch {
            expected, found, ..
        }) => {
            let (digest, size) = (expected, 0);
            let file = Blob { digest, size }.file();
            let source = LayoutError::Content {
                file,
                expected,
                found,
            };
            Error::layout(layout, source)
        }
        error => error.into(),
    }
}
