use std::fs;

use crate::world::{Project, run_in};

#[test]
fn the_project_is_found_upward_by_its_journal() {
    let project = Project::new();
    // A directory with the home's name but without a journal does not hide the journal above.
    fs::create_dir_all(project.at("a/b/build")).unwrap();
    let done = run_in(&project.at("a/b"), &["put", "build/x"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(project.has("build/x") && !project.has("a/b/build/x"));
}

#[test]
fn without_a_journal_the_nearest_home_is_used() {
    let project = Project::bare();
    fs::create_dir_all(project.at("a/build")).unwrap();
    fs::create_dir_all(project.at("a/b")).unwrap();
    let done = run_in(&project.at("a/b"), &["status"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("tljournal init"), "{done:?}");
    let done = run_in(&project.at("a/b"), &["put", "build/x"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(project.has("a/build/x"));
}

#[test]
fn without_a_project_the_error_says_how_to_start() {
    let project = Project::bare();
    let done = project.run(&["put", "build/x"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("tljournal init"), "{done:?}");
    let done = run_in(
        "/".as_ref(),
        &["--root", project.path().to_str().unwrap(), "put", "build/x"],
    );
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("tljournal init"), "{done:?}");
    assert!(!project.has("build"));
    assert_eq!(project.run(&["--root", "nowhere", "init"]).code, 2);
}

#[test]
fn root_and_home_can_be_named() {
    let project = Project::bare();
    let root = project.path().to_str().unwrap();
    let global = ["--root", root, "--home", "out/state"];
    let run = |args: &[&str]| run_in("/".as_ref(), &[&global[..], args].concat());
    assert_eq!(run(&["init"]).code, 0);
    assert!(project.has("out/state/.state.db"));
    assert_eq!(run(&["put", "out/state/x"]).code, 0);
    assert_eq!(run(&["put", "elsewhere/y"]).code, 0);
    let shown = run(&["show", "1", "--json"]).json();
    assert_eq!(shown["changes"][0]["path"], "out/state/x");
    let shown = run(&["show", "2", "--json"]).json();
    assert_eq!(shown["changes"][0]["path"], "elsewhere/y");
    let done = run_in(&project.at("out"), &["--home", "out/state", "status"]);
    assert_eq!(done.code, 0, "{done:?}");
    let done = run_in(&project.at("out"), &["--home", "/out/state", "status"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("--root"), "{done:?}");
}
