use std::fs;

use crate::world::Project;

fn versions(project: &Project, contents: &[&str]) {
    for content in contents {
        project.write("from", content);
        project.ok(&["put", "build/a", "--from", "from"]);
    }
}

#[test]
fn undo_reports_its_plan_and_executes_it() {
    let project = Project::new();
    versions(&project, &["one", "two"]);
    let planned = project.ok(&["undo", "2", "--dry-run"]).out;
    assert!(
        planned.starts_with("would undo 2: put build/a\n"),
        "{planned}"
    );
    assert!(
        planned.contains("  restore  build/a  3 B, 0644, sha256:"),
        "{planned}"
    );
    assert!(planned.contains("kept by txn 2"), "{planned}");
    assert_eq!(project.text("build/a"), "two");
    let done = project.json(&["undo", "2"]);
    assert_eq!(
        (&done["undoes"], &done["changed"]),
        (&2.into(), &true.into())
    );
    assert_eq!(project.text("build/a"), "one");
    let again = project.json(&["undo", "2"]);
    assert_eq!(
        (&again["changed"], &again["steps"][0]["action"]),
        (&false.into(), &"keep".into())
    );
    project.ok(&["undo", "1"]);
    assert!(!project.has("build/a"));
    assert_eq!(project.run(&["undo", "99"]).code, 1);
}

#[test]
fn g9_undo_refuses_to_lose_later_changes_and_names_them() {
    let project = Project::new();
    versions(&project, &["one", "two", "three"]);
    let refused = project.run(&["undo", "2"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(
        refused
            .out
            .contains("refuse   build/a  transaction 3 (put build/a) changed it later"),
        "{refused:?}"
    );
    assert!(refused.err.contains("hint: --force"), "{refused:?}");
    let refused = project.run(&["undo", "2", "--json"]);
    assert_eq!(refused.json()["steps"][0]["later_txn"], 3);
    assert_eq!(refused.error()["kind"], "conflict");
    let forced = project.ok(&["undo", "2", "--force"]);
    assert!(
        forced.out.contains("lost there: transaction 3"),
        "{forced:?}"
    );
    assert_eq!(project.text("build/a"), "one");
    project.write("build/a", "by hand");
    let refused = project.run(&["undo", "4"]);
    assert!(refused.out.contains("without the journal"), "{refused:?}");
    assert_eq!(project.text("build/a"), "by hand");
}

#[test]
fn restore_restores_a_path() {
    let project = Project::new();
    versions(&project, &["one", "two", "three"]);
    project.ok(&["rm", "build/a"]);
    let done = project.json(&["restore", "build/a", "--at", "2"]);
    assert_eq!(done["steps"][0]["kept_by"], 3);
    assert_eq!(project.text("build/a"), "two");
    project.ok(&["restore", "build/a", "--at", "4"]);
    assert!(!project.has("build/a"));
    project.small_tree("src");
    project.ok(&["tree", "install", "build/tools", "--from", "src"]);
    let refused = project.run(&["restore", "build/tools/data", "--at", "7"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.err.contains("inside the tree `build/tools`"),
        "{refused:?}"
    );
    assert_eq!(project.run(&["restore", "build/x", "--at", "1"]).code, 1);
}

#[test]
fn gc_reports_what_it_deletes() {
    let project = Project::new();
    versions(&project, &["one", "two", "three", "four"]);
    let planned = project.json(&["gc", "--keep-count", "1", "--dry-run"]);
    let numbers = |done: &serde_json::Value| -> Vec<i64> {
        let kept = done["kept"].as_array().unwrap();
        kept.iter()
            .map(|txn| txn["number"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(numbers(&planned), [2, 3]);
    assert_eq!(
        fs::read_dir(project.at("build/.state/txn"))
            .unwrap()
            .count(),
        3
    );
    let text = project.ok(&["gc", "--keep-count", "1"]).out;
    assert!(
        text.contains("deleted what 2 transactions replaced"),
        "{text}"
    );
    assert!(
        text.ends_with("freed 6 B; 5 B of 1 transaction kept\n"),
        "{text}"
    );
    assert_eq!(
        fs::read_dir(project.at("build/.state/txn"))
            .unwrap()
            .count(),
        1
    );
    assert_eq!(project.run(&["undo", "3"]).code, 3);
    assert!(project.ok(&["gc"]).out.contains("nothing to free"));
    assert!(
        project
            .ok(&["gc", "--keep-bytes", "4", "--dry-run"])
            .out
            .contains("would free 5 B")
    );
    let forgot = project
        .ok(&["gc", "--keep-age", "0", "--history-count", "1"])
        .out;
    assert!(forgot.contains("forgot"), "{forgot}");
    assert_eq!(project.run(&["gc", "--keep-bytes", "many"]).code, 2);
}
