//! Images made by `umoci` and `skopeo`, independent of this project's own code.

use std::fs;
use std::io::Write;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::Digest;

/// Whether the tools are installed. Without them a test reports that it was skipped, unless `TLJOURNAL_INSIST` is
/// set.
pub(crate) fn has_tools() -> bool {
    let runs = |tool: &&str| Command::new(tool).arg("--version").output().is_ok();
    let Some(missing) = ["umoci", "skopeo"].into_iter().find(|tool| !runs(tool)) else {
        return true;
    };
    assert!(
        std::env::var_os("TLJOURNAL_INSIST").is_none(),
        "{missing} is not installed"
    );
    let _ = writeln!(std::io::stderr(), "skipped: {missing} is not installed");
    false
}

pub(crate) fn run(tool: &str, args: &[&str]) {
    let ran = Command::new(tool).args(args).output().unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{tool} {args:?}: {told}");
}

/// An image layout with the kit `latest`: packages in three layers, one of which is removed and one replaced.
pub(crate) fn kit(dir: &Utf8Path, version: &str) -> Utf8PathBuf {
    let layout = dir.join(format!("umoci-{version}"));
    let image = format!("{layout}:latest");
    run("umoci", &["init", "--layout", layout.as_str()]);
    run("umoci", &["new", "--image", &image]);
    let add = |name: &str, files: &[(&str, &str)]| {
        let tree = dir.join(format!("{version}-{name}"));
        for (path, content) in files {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let tar = dir.join(format!("{version}-{name}.tar"));
        run("tar", &["-C", tree.as_str(), "-cf", tar.as_str(), "."]);
        run(
            "umoci",
            &["raw", "add-layer", "--image", &image, tar.as_str()],
        );
    };
    add(
        "base",
        &[("Packages/one.rpm", version), ("Packages/gone.rpm", "gone")],
    );
    add(
        "repodata",
        &[("repodata/repomd.xml", "<repomd/>"), ("old/file", "old")],
    );
    let new = dir.join(format!("{version}-base/Packages"));
    run(
        "umoci",
        &[
            "insert",
            "--image",
            &image,
            "--whiteout",
            "/Packages/gone.rpm",
        ],
    );
    run(
        "umoci",
        &[
            "insert",
            "--image",
            &image,
            "--opaque",
            new.as_str(),
            "/old",
        ],
    );
    layout
}

/// The same image in another compression.
pub(crate) fn recompressed(layout: &Utf8Path, format: &str) -> Utf8PathBuf {
    let copy = Utf8PathBuf::from(format!("{layout}-{format}"));
    let (from, to) = (format!("oci:{layout}:latest"), format!("oci:{copy}:latest"));
    let copied = [
        "copy",
        "--insecure-policy",
        "-q",
        "--dest-compress-format",
        format,
    ];
    run("skopeo", &[&copied[..], &[&from, &to]].concat());
    copy
}

/// The digest of the first image in the index of a layout.
pub(crate) fn digest_in(layout: &Utf8Path) -> Digest {
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    index["manifests"][0]["digest"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// The manifest of the first image.
pub(crate) fn manifest_in(layout: &Utf8Path) -> serde_json::Value {
    let manifest = fs::read(blob(layout, digest_in(layout))).unwrap();
    serde_json::from_slice(&manifest).unwrap()
}

/// The digests of its layers.
pub(crate) fn layers_in(layout: &Utf8Path) -> Vec<Digest> {
    let manifest = manifest_in(layout);
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| layer["digest"].as_str().unwrap().parse().unwrap())
        .collect()
}

pub(crate) fn blob(layout: &Utf8Path, digest: Digest) -> Utf8PathBuf {
    layout.join("blobs/sha256").join(digest.hex())
}

/// Changes the index.
pub(crate) fn edit_index(layout: &Utf8Path, edit: impl FnOnce(&mut serde_json::Value)) {
    edit_json(&layout.join("index.json"), edit);
}

pub(crate) fn edit_json(path: &Utf8Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// Adds a blob and returns its digest.
pub(crate) fn add_blob(layout: &Utf8Path, content: &[u8]) -> Digest {
    let digest = Digest::of(content);
    fs::write(blob(layout, digest), content).unwrap();
    digest
}

pub(crate) fn copy(from: &Utf8Path, to: &Utf8Path) {
    run("cp", &["-r", &format!("{from}/."), to.as_str()]);
}
