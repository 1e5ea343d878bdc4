use std::fs;

use crate::world::{Project, untouchable};

#[test]
fn a_tree_is_installed_verified_and_shown() {
    let project = Project::new();
    project.small_tree("src");
    let first = project.json(&["tree", "install", "build/tools", "--from", "src"]);
    assert_eq!(first["changed"], true);
    project.ok(&["tree", "verify", "build/tools"]);
    let whole = project.json(&["tree", "verify", "build/tools", "--full"]);
    assert_eq!(whole["whole"], true);
    let shown = project.json(&["tree", "show", "build/tools"]);
    let paths: Vec<_> = shown["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, [".", "bin", "bin/tool", "data", "link"]);
    assert_eq!(shown["entries"][4]["target"], "data");
    let said = project.ok(&["tree", "show", "build/tools"]).out;
    assert!(said.contains("link -> data"), "{said}");
}

#[test]
fn g4_an_installed_tree_is_not_touched_again() {
    let project = Project::new();
    project.small_tree("src");
    let install = ["tree", "install", "build/tools", "--from", "src"];
    project.ok(&install);
    project.ok(&install);
    let before = untouchable(&project.at("build"));
    assert_eq!(project.ok(&install).out, "unchanged build/tools\n");
    assert_eq!(untouchable(&project.at("build")), before);
    assert_eq!(
        project.run(&[&install[..], &["--exit-code"]].concat()).code,
        1
    );
}

#[test]
fn damage_is_found_named_and_repaired() {
    let project = Project::new();
    project.small_tree("src");
    let install = [
        "tree",
        "install",
        "build/tools",
        "--from",
        "src",
        "--rebuildable",
    ];
    project.ok(&install);
    project.write("build/tools/data", "22");
    project.write("build/tools/extra", "");
    let found = project.run(&["tree", "verify", "build/tools", "--json"]);
    assert_eq!(found.code, 5, "{found:?}");
    let found = found.json();
    assert_eq!(found["whole"], false);
    let said = found["differences"].to_string();
    assert!(
        said.contains("\"data\"") && said.contains("\"extra\""),
        "{said}"
    );
    assert_eq!(project.ok(&install).out.lines().count(), 1);
    assert_eq!(project.text("build/tools/data"), "1");
    project.ok(&["tree", "verify", "build/tools", "--full"]);
    fs::remove_dir_all(project.at("build/tools")).unwrap();
    let found = project.run(&["tree", "verify", "build/tools"]);
    assert_eq!(found.code, 5, "{found:?}");
    assert!(found.out.contains("is missing"), "{found:?}");
}

#[test]
fn an_archive_on_standard_input_is_installed() {
    let project = Project::new();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o4755);
    header.set_mtime(5);
    archive
        .append_data(&mut header, "bin/tool", &b"run"[..])
        .unwrap();
    let archive = archive.into_inner().unwrap();
    let install = ["tree", "install", "build/tools", "--from", "-"];
    assert_eq!(project.run_with_input(&install, &archive).code, 0);
    assert_eq!(
        project.json(&["tree", "show", "build/tools"])["entries"][2]["mode"],
        "0755"
    );
    let again = project.run_with_input(&install, &archive);
    assert_eq!(again.out, "unchanged build/tools\n", "{again:?}");
    let kept = project.run_with_input(&[&install[..], &["--keep-special-bits"]].concat(), &archive);
    assert_eq!(kept.code, 0, "{kept:?}");
    assert_eq!(
        project.json(&["tree", "show", "build/tools"])["entries"][2]["mode"],
        "4755"
    );
    let cut = project.run_with_input(&install, &archive[..600]);
    assert_eq!(cut.code, 2, "{cut:?}");
    project.ok(&["tree", "verify", "build/tools", "--full"]);
}

#[test]
fn g7_a_pinned_tree_is_not_replaced_with_on_pinned_fail() {
    let project = Project::new();
    project.small_tree("src");
    project.ok(&["tree", "install", "build/tools", "--from", "src"]);
    let journal = tljournal::Journal::open(project.path().to_str().unwrap()).unwrap();
    let pin = journal.pin("build/tools").unwrap().unwrap();
    project.write("src/data", "2");
    let install = [
        "tree",
        "install",
        "build/tools",
        "--from",
        "src",
        "--on-pinned",
    ];
    let refused = project.run(&[&install[..], &["fail"]].concat());
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.err.contains("--on-pinned"), "{refused:?}");
    assert!(
        refused.err.contains(&std::process::id().to_string()),
        "{refused:?}"
    );
    assert_eq!(project.text("build/tools/data"), "1");
    project.ok(&[&install[..], &["exchange"]].concat());
    let pinned = pin.path();
    assert_eq!(fs::read_to_string(format!("{pinned}/data")).unwrap(), "1");
    assert_eq!(project.text("build/tools/data"), "2");
}
