use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::Digest;
use tljournal_testkit::{World, check_at_rest};
use twoliter_state::Tools;

use crate::Fallible;

/// The lock file of a real project.
pub const LOCK: &str = include_str!("../../crates/twoliter-state/tests/data/Twoliter.lock-a");

/// How many files each layer of the kit has.
const LAYER_FILES: usize = 8;

/// How many layers.
const LAYERS: usize = 4;

/// A project with two paths to it, and a registry to pull its kit from.
pub struct Project {
    world: World,
    farm: Utf8PathBuf,
}

impl Project {
    pub fn make() -> Fallible<Self> {
        let world = World::new();
        let (root, farm) = (world.root().to_owned(), world.outside().join("execroot"));
        fs::create_dir(root.join("build"))?;
        fs::write(root.join("Twoliter.lock"), LOCK)?;
        fs::write(root.join("Twoliter.toml"), "schema-version = 1\n")?;
        fs::create_dir(&farm)?;
        for name in ["build", "Twoliter.lock", "Twoliter.toml"] {
            symlink(root.join(name), farm.join(name))?;
        }
        make_registry(&registry_beside(&root)?)?;
        Ok(Self { world, farm })
    }

    /// The path that a process uses: every other process uses the link farm.
    pub fn path_of(&self, number: usize) -> &Utf8Path {
        match number % 2 {
            0 => self.world.root(),
            _ => &self.farm,
        }
    }

    /// The defects after all processes have ended: the last confirmed builds must be present, and nothing is left to
    /// recover or to clean up.
    pub fn check(&self, last: &BTreeMap<String, u64>) -> Fallible<Vec<String>> {
        let journal = self.world.open();
        journal.recover()?;
        journal.close()?;
        let mut wrong = check_at_rest(&self.world);
        for (name, last) in last {
            let path = self.world.path(&format!("build/rpms/{name}/{name}.rpm"));
            let there = number_of(&fs::read_to_string(&path).unwrap_or_default());
            if there != Some(*last) && there != Some(last + 1) {
                wrong.push(format!("{name}: expected {last}, found {there:?}"));
            }
        }
        Ok(wrong)
    }

    /// Keeps the directory for inspection.
    pub fn keep(self) -> Utf8PathBuf {
        self.world.keep()
    }
}

/// The registry of a project, by either path.
pub fn registry_beside(root: &Utf8Path) -> Fallible<Utf8PathBuf> {
    let outside = root.parent().ok_or("a project is in a directory")?;
    Ok(outside.join("registry"))
}

/// The digest of the image in a registry.
pub fn digest_in(registry: &Utf8Path) -> Fallible<Digest> {
    let index = fs::read_to_string(registry.join("index.json"))?;
    let index: serde_json::Value = serde_json::from_str(&index)?;
    let digest = index["manifests"][0]["digest"].as_str();
    Ok(digest.ok_or("an index without a manifest")?.parse()?)
}

/// What a build writes into its packages.
pub fn text_of(name: &str, number: u64) -> String {
    format!("{name} {number}\n").repeat(2_000)
}

/// The number of the build that wrote a whole package; `None` for anything else.
pub fn number_of(text: &str) -> Option<u64> {
    let (name, number) = text.lines().next()?.rsplit_once(' ')?;
    let number = number.parse().ok()?;
    (text == text_of(name, number)).then_some(number)
}

/// The tools of one of two versions of twoliter.
pub fn tools(version: u64) -> Fallible<Tools> {
    let mut archive = tar::Builder::new(Vec::new());
    for name in ["build.Dockerfile", "Makefile.toml", "waves/default.toml"] {
        let text = format!("# {name} of {version}\n");
        add(&mut archive, name, text.as_bytes(), 1_700_000_000 + version)?;
    }
    let archive = archive.into_inner()?.leak();
    let program = |name: &str| {
        let line = format!("{name} of {version}\n");
        move || std::io::Cursor::new(line.repeat(10_000))
    };
    Ok(Tools::new(archive)
        .program("buildsys", program("buildsys"))
        .program("pubsys", program("pubsys"))
        .known_as(Digest::of(&version.to_le_bytes())))
}

/// Whether a directory holds exactly the tools of a version; which one, if so.
pub fn version_of_tools(dir: &Utf8Path) -> Result<u64, String> {
    let read =
        |name: &str| fs::read_to_string(dir.join(name)).map_err(|why| format!("{name}: {why}"));
    let first = read("build.Dockerfile")?;
    let version = first
        .trim_end()
        .rsplit(' ')
        .next()
        .and_then(|text| text.parse().ok());
    let version = version.ok_or("build.Dockerfile is not whole")?;
    for name in ["Makefile.toml", "waves/default.toml"] {
        if read(name)? != format!("# {name} of {version}\n") {
            return Err(format!("{name} is not of version {version}"));
        }
    }
    for name in ["buildsys", "pubsys"] {
        if read(name)? != format!("{name} of {version}\n").repeat(10_000) {
            return Err(format!("{name} is not of version {version}, or not whole"));
        }
    }
    Ok(version)
}

/// Whether a directory holds the whole kit.
pub fn check_kit(dir: &Utf8Path) -> Result<(), String> {
    for layer in 0..LAYERS {
        for file in 0..LAYER_FILES {
            let name = format!("Packages/{layer}-{file}.rpm");
            let text =
                fs::read_to_string(dir.join(&name)).map_err(|why| format!("{name}: {why}"))?;
            if text != kit_text(layer, file) {
                return Err(format!("{name} is not whole"));
            }
        }
    }
    match fs::read_to_string(dir.join("digest")) {
        Ok(digest) if digest.starts_with("sha256:") => Ok(()),
        other => Err(format!("the file `digest` is not whole: {other:?}")),
    }
}

fn kit_text(layer: usize, file: usize) -> String {
    format!("package {file} of layer {layer}\n").repeat(500)
}

/// Creates an OCI layout with the kit, in place of a registry.
fn make_registry(dir: &Utf8Path) -> Fallible<()> {
    fs::create_dir_all(dir.join("blobs/sha256"))?;
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let mut layers = Vec::new();
    for layer in 0..LAYERS {
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        for file in 0..LAYER_FILES {
            let (name, text) = (
                format!("Packages/{layer}-{file}.rpm"),
                kit_text(layer, file),
            );
            add(&mut archive, &name, text.as_bytes(), 1_700_000_000)?;
        }
        let blob = archive.into_inner()?.finish()?;
        layers.push(descriptor(
            dir,
            "application/vnd.oci.image.layer.v1.tar+gzip",
            &blob,
        )?);
    }
    let config = descriptor(dir, "application/vnd.oci.image.config.v1+json", b"{}")?;
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": layers,
    });
    let manifest = descriptor(
        dir,
        "application/vnd.oci.image.manifest.v1+json",
        manifest.to_string().as_bytes(),
    )?;
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [manifest]});
    Ok(fs::write(dir.join("index.json"), index.to_string())?)
}

fn descriptor(dir: &Utf8Path, media_type: &str, blob: &[u8]) -> Fallible<serde_json::Value> {
    let digest = Digest::of(blob);
    fs::write(dir.join("blobs/sha256").join(digest.hex()), blob)?;
    Ok(serde_json::json!({
        "mediaType": media_type, "digest": digest.to_string(), "size": blob.len(),
    }))
}

fn add(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    text: &[u8],
    mtime: u64,
) -> Fallible<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(mtime);
    Ok(archive.append_data(&mut header, name, text)?)
}
