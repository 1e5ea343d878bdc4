use crate::world::{Project, untouchable};

fn project() -> Project {
    let project = Project::new();
    project.small_tree("src");
    project.ok(&["tree", "install", "build/tools", "--from", "src"]);
    project.ok(&["put", "build/a"]);
    project
}

fn codes(found: &serde_json::Value) -> Vec<&str> {
    let findings = found["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect()
}

#[test]
fn g9_a_check_changes_nothing_and_its_exit_status_is_that_of_fsck_8() {
    let project = project();
    let clean = project.json(&["fsck"]);
    assert_eq!(
        (&clean["clean"], &clean["errors"]),
        (&true.into(), &0.into())
    );
    project.write("build/tools/data", "22");
    project.write("build/tools/more", "more");
    let before = untouchable(project.path());
    for how in [&["fsck"][..], &["fsck", "--quick"], &["fsck", "--full"]] {
        let done = project.run(&[how, &["--json"]].concat());
        assert_eq!(done.code, 4, "{done:?}");
        assert_eq!(codes(&done.json()), ["extra", "wrong-size"], "{done:?}");
    }
    assert_eq!(untouchable(project.path()), before);
    assert_eq!(project.run(&["fsck", "--quick", "build/a"]).code, 0);
    assert_eq!(project.run(&["fsck", "--nonsense"]).code, 16);
    assert_eq!(project.run(&["fsck", "--quick", "--full"]).code, 16);
    // A mistyped path is not reported as clean.
    let typo = project.run(&["fsck", "build/tolls", "build/a"]);
    assert_eq!(typo.code, 16, "{typo:?}");
    assert!(typo.err.contains("`build/tolls`"), "{typo:?}");
    assert_eq!(project.run(&["fsck", "build"]).code, 4);
    let nowhere = project.run(&["fsck", "--repair", "--source", "nowhere"]);
    assert_eq!(nowhere.code, 8, "{nowhere:?}");
    assert!(nowhere.err.contains("`nowhere`"), "{nowhere:?}");
    assert_eq!(untouchable(project.path()), before);
    let bare = Project::bare();
    assert_eq!(bare.run(&["fsck"]).code, 16);
}

#[test]
fn a_finding_has_code_path_transaction_and_advice() {
    let project = project();
    project.write("build/tools/bin/tool", "#!/bin/bash\n");
    let done = project.run(&["fsck"]);
    for word in [
        "wrong-size",
        "build/tools/bin/tool",
        "10 bytes",
        "12 bytes",
        "install build/tools",
    ] {
        assert!(done.out.contains(word), "{word}: {}", done.out);
    }
    assert!(
        done.out.contains("--repair") && done.out.contains("not clean"),
        "{}",
        done.out
    );
    let found = project.run(&["fsck", "--json"]).json();
    let finding = &found["findings"][0];
    assert_eq!(finding["txn"]["label"], "install build/tools");
    assert_eq!(finding["severity"], "error");
    assert!(finding["advice"].as_str().unwrap().contains("--repair"));
}

#[test]
fn a_repair_reports_what_it_did_and_what_is_left() {
    let project = project();
    std::fs::remove_file(project.at("build/tools/data")).unwrap();
    let left = project.run(&["fsck", "--repair"]);
    assert_eq!(left.code, 4, "{left:?}");
    assert!(left.out.contains("--source"), "{}", left.out);
    let mended = project.run(&["fsck", "--repair", "--source", "src", "--json"]);
    assert_eq!(mended.code, 1, "{mended:?}");
    let told = mended.json();
    assert_eq!(told["repairs"][0]["mended"], true, "{told}");
    assert_eq!(told["found"][0]["code"], "missing");
    assert_eq!(project.text("build/tools/data"), "1");
    assert_eq!(project.run(&["fsck", "--repair", "--full"]).code, 0);
    project.ok(&["tree", "verify", "build/tools", "--full"]);
}

/// The first was reported as a missing journal, the second as a system failure.
#[test]
fn g10_a_lost_database_and_a_replaced_tree_are_damage() {
    let project = project();
    std::fs::remove_dir_all(project.at("build/tools")).unwrap();
    project.write("build/tools", "a file");
    let verified = project.run(&["tree", "verify", "build/tools"]);
    assert_eq!(verified.code, 5, "{verified:?}");
    let found = project.run(&["fsck"]);
    assert!(
        found.out.contains("`tljournal fsck --repair` installs"),
        "{found:?}"
    );
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(project.at(&format!("build/.state.db{suffix}"))).unwrap();
    }
    for command in ["status", "log", "postmortem"] {
        let lost = project.run(&[command]);
        assert_eq!(lost.code, 5, "{lost:?}");
        assert!(
            lost.err.contains("is missing") && lost.err.contains("--rebuild --tree"),
            "{lost:?}"
        );
    }
    let put = project.run(&["put", "build/b"]);
    assert_eq!(put.code, 0, "{put:?}");
    assert!(put.err.contains("the database was missing"), "{put:?}");
}

#[test]
fn a_lost_database_is_rebuilt_and_a_sound_one_is_left_alone() {
    let project = project();
    assert_eq!(project.run(&["fsck", "--rebuild"]).code, 16);
    for name in ["", "-wal", "-shm"] {
        std::fs::remove_file(project.at(&format!("build/.state.db{name}"))).unwrap();
    }
    let lost = project.run(&["fsck", "--json"]);
    assert_eq!(
        (lost.code, codes(&lost.json())),
        (4, vec!["database-missing"])
    );
    // Opening it for work would create an empty one.
    assert_eq!(project.run(&["fsck", "--repair"]).code, 4);
    assert!(!project.has("build/.state.db"));
    let done = project.run(&["fsck", "--rebuild", "--tree", "build/tools", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert_eq!(done.json()["rebuilt"]["adopted"][0], "build/tools");
    project.ok(&["tree", "verify", "build/tools", "--full"]);
    project.ok(&["put", "build/b"]);
}
