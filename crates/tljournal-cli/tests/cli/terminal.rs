use std::process::Stdio;

use crate::world::{Project, done};

#[test]
fn a_closed_output_is_not_a_failure() {
    let project = Project::new();
    project.small_tree("src");
    project.ok(&["tree", "install", "build/tools", "--from", "src"]);
    for args in [
        &["log"][..],
        &["--help"],
        &["status", "--json"],
        &["tree", "show", "build/tools"],
        &["put", "build/a"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = done(project.command(args).stdout(writer).output().unwrap());
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{args:?}");
    }
    assert!(project.has("build/a"));
}

#[test]
fn a_closed_standard_error_causes_no_panic() {
    let project = Project::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = project
        .command(&["show", "9", "-vvv"])
        .stderr(writer)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn colours_are_for_terminals_only() {
    let project = Project::new();
    for args in [
        &["put", "build/a", "-vv"][..],
        &["log"],
        &["status"],
        &["put", "build/a", "--expect", "absent"],
    ] {
        let done = project.run(args);
        assert!(
            !done.out.contains('\u{1b}') && !done.err.contains('\u{1b}'),
            "{done:?}"
        );
    }
}

#[test]
fn verbose_shows_what_the_engine_does() {
    let project = Project::new();
    let done = project.ok(&["put", "build/a", "-vv"]);
    assert!(
        done.err.contains("commit{label=\"put build/a\" changes=1}"),
        "{done:?}"
    );
    assert!(project.ok(&["put", "build/b"]).err.is_empty());
}
