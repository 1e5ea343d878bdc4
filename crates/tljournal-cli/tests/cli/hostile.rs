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
    // Programs get the unescaped value.
    assert_eq!(project.json(&["show", "1"])["txn"]["label"], evil);
}

/// The error text of the command line parser was printed unescaped.
#[test]
fn g8_nothing_that_a_command_prints_controls_a_terminal() {
    let project = Project::new();
    let evil = "x\u{1b}]0;title\u{7}\u{9b}31m\u{202e}\u{1b}[2Jtxt";
    let path = format!("build/{evil}");
    project.ok(&["put", &path, "--label", evil]);
    project.ok(&["link", evil, "build/link"]);
    let outside = format!("../{evil}");
    let commands: [&[&str]; 17] = [
        &["put", &outside],
        &["put", "build/x", "--mode", evil],
        &["put", "build/x", "--expect", evil],
        &["put", "build/x", "--from", evil],
        &["--root", evil, "status"],
        &["--home", evil, "status"],
        &["--lock-wait", evil, "status"],
        &[evil],
        &["log", evil],
        &["man", evil],
        &["exec", "--lock", evil, "--", "true"],
        &["exec", "--", evil],
        &["show", evil],
        &["log", "--path", &path],
        &["blame", &path],
        &["fsck", &path],
        &["gc", "--older-than", evil],
    ];
    for command in commands {
        let done = project.run(command);
        let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(
            !done.out.contains(raw) && !done.err.contains(raw),
            "{command:?}: {done:?}"
        );
        // In JSON the characters are escaped too.
        let done = project.run(&[&["--json"], command].concat());
        assert!(
            !done.out.contains(raw) && !done.err.contains(raw),
            "{command:?}: {done:?}"
        );
        for line in done.out.lines().chain(done.err.lines()) {
            let read: Result<serde_json::Value, _> = serde_json::from_str(line);
            assert!(read.is_ok(), "{command:?}: {line}");
        }
    }
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
