//! Unpacking a kit from its image layout, compared with `tar` for each layer.

use std::fs;
use std::process::Command;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::Digest;

use crate::Fallible;
use crate::measure::{Report, time, timed};
use crate::trees::{Shape, command_line, make_soft, run, settle};

const LAYERS: usize = 120;

/// The content of a layer: 400 files; 1 GB in all layers.
fn shape(number: usize, smoke: bool) -> Shape {
    Shape {
        name: "a layer",
        files: 3 + usize::from(number.is_multiple_of(3)),
        bytes: if smoke { 20_000 } else { 2_600_000 },
        dirs: 1,
    }
}

/// A durable unpacking, compared with `tar -xzf` for one layer after the other and `sync -f`.
pub(crate) fn unpacks(scratch: &Utf8Path, smoke: bool, report: &mut Report) -> Fallible<()> {
    let dir = scratch.join("kits");
    let layout = dir.join("layout");
    let layers = make_layout(&dir, &layout, smoke)?;
    let rounds = if smoke { 1 } else { 5 };
    let fresh = |name: String| -> Fallible<Utf8PathBuf> {
        let root = dir.join(name);
        fs::create_dir_all(root.join("build"))?;
        settle(&root)?;
        Ok(root)
    };
    let done = |root: &Utf8Path, took| -> Fallible<Duration> {
        fs::remove_dir_all(root)?;
        settle(&dir)?;
        Ok(took)
    };
    let ours = |round| -> Fallible<Duration> {
        let root = fresh(format!("ours-{round}"))?;
        let args = ["-q", "--root", root.as_str(), "kit", "unpack"];
        let took = time(|| {
            let mut command = Command::new(command_line()?);
            run(command.args(args).args([layout.as_str(), "build/kit"]))
        })?;
        done(&root, took)
    };
    let peer = |round| -> Fallible<Duration> {
        let root = fresh(format!("peer-{round}"))?;
        let kit = root.join("build/kit");
        let took = time(|| {
            fs::create_dir(&kit)?;
            for layer in &layers {
                let to = ["-C", kit.as_str()];
                run(Command::new("tar").args(["-xzf", layer.as_str()]).args(to))?;
            }
            run(Command::new("sync").arg("-f").arg(&kit))
        })?;
        done(&root, took)
    };
    let times = timed(rounds, ours, peer)?;
    report.compare(
        "kit of 120 layers, 1 GB, durably: tar -xzf + sync -f",
        times,
        1.0,
    );
    Ok(())
}

/// Creates an image layout; returns the paths of its layers.
fn make_layout(dir: &Utf8Path, layout: &Utf8Path, smoke: bool) -> Fallible<Vec<Utf8PathBuf>> {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let mut layers = Vec::new();
    let mut listed = Vec::new();
    for number in 0..LAYERS {
        let source = make_soft(
            &dir.join(format!("layer-{number}")),
            &shape(number, smoke),
            number as u64,
        )?;
        let moved = source.join(format!("own-{number}"));
        fs::rename(source.join("d0"), &moved)?;
        let archive = dir.join("layer.tar.gz");
        let program = "--use-compress-program=gzip -1";
        let to = ["-C", source.as_str(), "-cf", archive.as_str(), "."];
        run(Command::new("tar").arg(program).args(to))?;
        fs::remove_dir_all(&source)?;
        let (digest, size) = add_blob(&blobs, &fs::read(&archive)?)?;
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        listed.push(descriptor(media_type, digest, size));
        layers.push(blobs.join(digest.hex()));
    }
    let (config, size) = add_blob(&blobs, b"{}")?;
    let config = descriptor("application/vnd.oci.image.config.v1+json", config, size);
    let layers_listed = listed.join(",");
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers_listed}]}}"#);
    let (manifest, size) = add_blob(&blobs, manifest.as_bytes())?;
    let manifest = descriptor("application/vnd.oci.image.manifest.v1+json", manifest, size);
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#);
    fs::write(layout.join("index.json"), index)?;
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    Ok(layers)
}

fn add_blob(blobs: &Utf8Path, content: &[u8]) -> Fallible<(Digest, usize)> {
    let digest = Digest::of(content);
    fs::write(blobs.join(digest.hex()), content)?;
    Ok((digest, content.len()))
}

fn descriptor(media_type: &str, digest: Digest, size: usize) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}
