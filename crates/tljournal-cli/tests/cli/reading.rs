use std::path::Path;
use std::process::Command;

use tljournal::{Expect, Journal};

use crate::world::{Project, listing, run_in};

const READING: [&[&str]; 7] = [
    &["status"],
    &["log"],
    &["log", "-n", "1", "--json"],
    &["show", "1"],
    &["tree", "show", "build/tools"],
    &["tree", "verify", "build/tools"],
    &["tree", "verify", "build/tools", "--full"],
];

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status()
        .unwrap();
    assert!(copied.success());
}

#[test]
fn status_log_and_show_report_the_changes() {
    let project = Project::new();
    assert!(project.ok(&["status"]).out.contains("no transaction yet"));
    assert_eq!(project.ok(&["log"]).out, "");
    for path in ["build/a", "build/sub/b", "build/c"] {
        project.ok(&["put", path]);
    }
    let status = project.json(&["status"]);
    assert_eq!(status["latest"]["number"], 3);
    assert_eq!(
        (&status["open_runs"], &status["at_home"]),
        (&0.into(), &true.into())
    );
    assert_eq!(status["stuck"], serde_json::json!([]));
    let log = project.json(&["log", "-n", "2"]);
    let log = log["transactions"].as_array().unwrap();
    assert_eq!(log.len(), 2);
    assert_eq!(
        (&log[0]["label"], &log[0]["state"]),
        (&"put build/c".into(), &"applied".into())
    );
    let id = log[1]["id"].as_str().unwrap();
    for name in ["2", id] {
        let shown = project.json(&["show", name]);
        assert_eq!(shown["changes"][0]["path"], "build/sub/b", "{shown}");
        assert_eq!(shown["txn"]["id"], id);
    }
    let said = project.ok(&["show", "2"]).out;
    assert!(said.contains("mkdir   build/sub"), "{said}");
    assert!(said.contains("new: 0 B, mode 0644"), "{said}");
    assert_eq!(project.run(&["show", "99"]).code, 1);
    assert_eq!(
        project.run(&["show", "ffffffff", "--json"]).error()["kind"],
        "nothing"
    );
}

#[test]
fn reading_commands_change_nothing_in_a_clean_copy() {
    let project = Project::new();
    project.small_tree("src");
    project.ok(&["tree", "install", "build/tools", "--from", "src"]);
    let place = tempfile::tempdir().unwrap();
    let there = place.path().join("copy");
    copy(project.path(), &there);
    let before = listing(&there);
    for args in READING {
        let done = run_in(&there, args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        assert_eq!(listing(&there), before, "{args:?}");
    }
    assert!(run_in(&there, &["status"]).out.contains("a copy"));
}

#[test]
fn g10_a_copy_of_a_journal_at_work_is_read_with_its_log() {
    let project = Project::new();
    project.small_tree("src");
    project.ok(&["tree", "install", "build/tools", "--from", "src"]);
    let journal = Journal::open(project.path().to_str().unwrap()).unwrap();
    let mut txn = journal.begin("not yet in the database");
    txn.put("build/late", "x", Expect::Any).unwrap();
    drop(txn.prepare().unwrap().commit().unwrap());
    let place = tempfile::tempdir().unwrap();
    let there = place.path().join("copy");
    copy(project.path(), &there);
    let before = listing(&there);
    for args in READING {
        let done = run_in(&there, args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        assert_eq!(listing(&there), before, "{args:?}");
    }
    assert!(
        run_in(&there, &["log"])
            .out
            .contains("not yet in the database")
    );
    // And in place, while the other process is running.
    assert_eq!(project.json(&["status"])["open_runs"], 1);
    journal.close().unwrap();
}

#[test]
fn recover_reports_that_there_is_nothing_to_do() {
    let project = Project::new();
    assert_eq!(project.ok(&["recover"]).out, "nothing to recover\n");
    assert_eq!(project.run(&["recover", "--exit-code"]).code, 1);
    project.small_tree("src");
    project.ok(&[
        "tree",
        "install",
        "build/tools",
        "--from",
        "src",
        "--rebuildable",
    ]);
    let done = project.json(&["recover"]);
    assert_eq!(done["recovered"]["trees_settled"], 1, "{done}");
    assert_eq!(project.json(&["status"])["unsettled_trees"], 0);
}
