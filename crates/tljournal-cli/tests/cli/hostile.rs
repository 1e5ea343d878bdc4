use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::world::{Project, visible};

#[test]
fn a_name_that_is_not_utf8_is_shown_escaped_and_changes_nothing() {
    let project = Project::new();
    project.small_tree("src");
    fs::write(
        project
            .at("src")
            .join(OsStr::from_bytes(b"bad\xff\x1b[31m")),
        "",
    )
    .unwrap();
    let done = project.run(&["tree", "install", "build/tools", "--from", "src"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("\\xff"), "{done:?}");
    assert!(!done.err.contains('\u{1b}'), "{done:?}");
    assert_eq!(visible(&project.at("build")), Vec::<String>::new());
}

#[test]
fn labels_and_names_never_reach_the_terminal_raw() {
    let project = Project::new();
    let evil = "x\u{1b}]0;title\u{7}\u{1b}[2J\r\n\u{202e}txt";
    project.write(&format!("src/{evil}"), "");
    project.ok(&["put", "build/a", "--label", evil]);
    let path = format!("build/{evil}");
    let outputs = [
        project.ok(&["put", &path]),
        project.ok(&["tree", "install", "build/t", "--from", "src", "-vvv"]),
        project.ok(&["tree", "show", "build/t"]),
        project.ok(&["log"]),
        project.ok(&["show", "1"]),
        project.ok(&["show", "2"]),
        project.ok(&["status"]),
        project.run(&["put", &path, "--expect", "absent"]),
        project.run(&["show", evil]),
        project.run(&["tree", "show", &path]),
        project.run(&["put", "build/a", "--from", evil]),
    ];
    for done in outputs {
        let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(
            !done.out.contains(raw) && !done.err.contains(raw),
            "{done:?}"
        );
    }
    // Programs get the truth.
    assert_eq!(project.json(&["show", "1"])["txn"]["label"], evil);
}

#[test]
fn g8_an_archive_that_leaves_its_tree_is_refused() {
    let project = Project::new();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..6].copy_from_slice(b"../out");
    header.set_size(1);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append(&header, &b"x"[..]).unwrap();
    fs::write(project.at("evil.tar"), archive.into_inner().unwrap()).unwrap();
    let done = project.run(&[
        "tree",
        "install",
        "build/tools",
        "--from",
        "evil.tar",
        "--json",
    ]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.error().to_string().contains("../out"), "{done:?}");
    assert!(!project.has("out") && !project.has("build/out"));
    assert_eq!(visible(&project.at("build")), Vec::<String>::new());
}

#[test]
fn an_argument_that_is_not_utf8_is_bad_usage() {
    let project = Project::new();
    let args = [OsStr::new("put"), OsStr::from_bytes(b"build/\xff")];
    let done = crate::world::done(project.command(&args).output().unwrap());
    assert_eq!(done.code, 2, "{done:?}");
}
