use std::fs;
use std::process::Command;

use crate::world::{Project, untouchable};

const KIT: &str = "build/external-kits/kit/x86_64";

/// Creates an image layout in `layout` with `umoci`; without it the test reports that it was skipped.
fn make_layout(project: &Project) -> bool {
    let Ok(_) = Command::new("umoci").arg("--version").output() else {
        let insists = std::env::var_os("TLJOURNAL_INSIST").is_some();
        assert!(!insists, "umoci is not installed");
        eprintln!("skipped: umoci is not installed");
        return false;
    };
    project.write("kit/Packages/one.rpm", "one");
    for args in [
        &["init", "--layout", "layout"][..],
        &["new", "--image", "layout:latest"],
        &[
            "insert",
            "--image",
            "layout:latest",
            "kit/Packages",
            "/Packages",
        ],
    ] {
        let ran = Command::new("umoci")
            .args(args)
            .current_dir(project.path())
            .output();
        assert!(ran.unwrap().status.success(), "{args:?}");
    }
    true
}

#[test]
fn a_kit_is_unpacked_and_then_not_touched() {
    let project = Project::new();
    if !make_layout(&project) {
        return;
    }
    let unpack = ["kit", "unpack", "layout", KIT];
    let first = project.json(&unpack);
    assert_eq!(first["changed"], true);
    assert_eq!(project.text(&format!("{KIT}/Packages/one.rpm")), "one");
    assert_eq!(
        project.text(&format!("{KIT}/digest")),
        first["digest"].as_str().unwrap()
    );
    let before = untouchable(&project.at("build"));
    assert_eq!(project.ok(&unpack).out, format!("unchanged {KIT}\n"));
    assert_eq!(untouchable(&project.at("build")), before);
    project.ok(&["tree", "verify", KIT, "--full"]);
}

#[test]
fn an_invalid_layout_has_a_message_and_an_exit_code() {
    let project = Project::new();
    if !make_layout(&project) {
        return;
    }
    let blobs = project.at("layout/blobs/sha256");
    let largest = fs::read_dir(&blobs)
        .unwrap()
        .map(|blob| blob.unwrap().path());
    let gzip = largest.filter(|path| fs::read(path).unwrap().starts_with(&[0x1f, 0x8b]));
    let layer = gzip.last().unwrap();
    let bytes = fs::read(&layer).unwrap();
    let mut other = bytes.clone();
    other[3] ^= 1;
    let name = layer.file_name().unwrap().to_str().unwrap();
    let unpack = ["kit", "unpack", "layout", KIT];
    for content in [&other[..], b"short"] {
        fs::write(&layer, content).unwrap();
        let failed = project.run(&unpack);
        assert_eq!(failed.code, 5, "{failed:?}");
        assert!(failed.err.contains(name), "{failed:?}");
        assert!(!project.has(KIT));
    }
    fs::write(&layer, bytes).unwrap();
    let nothing = format!("sha256:{}", "0".repeat(64));
    let digest = [&unpack[..], &["--digest", &nothing]].concat();
    assert_eq!(project.run(&digest).code, 2);
    assert_eq!(project.run(&["kit", "unpack", "kit", KIT]).code, 5);
    assert_eq!(project.run(&["kit", "unpack", "nowhere", KIT]).code, 6);
    project.ok(&[&unpack[..], &["--rebuildable"]].concat());
}
