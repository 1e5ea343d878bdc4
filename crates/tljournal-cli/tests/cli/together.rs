use std::process::Stdio;

use crate::world::{Project, done};

#[test]
fn twenty_processes_put_concurrently() {
    let project = Project::new();
    let spawn = |args: &[&str]| {
        let mut command = project.command(args);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    for n in 0..20 {
        project.write(&format!("from{n}"), format!("content {n}"));
    }
    let names: Vec<_> = (0..20)
        .map(|n| (format!("build/own/f{n}"), format!("from{n}")))
        .collect();
    let mut children = Vec::new();
    for (own, from) in &names {
        children.push(spawn(&["put", own, "--from", from]));
        children.push(spawn(&["put", "build/shared", "--from", from]));
    }
    for child in children {
        let done = done(child.wait_with_output().unwrap());
        assert_eq!(done.code, 0, "{done:?}");
    }
    for n in 0..20 {
        assert_eq!(
            project.text(&format!("build/own/f{n}")),
            format!("content {n}")
        );
    }
    assert!(project.text("build/shared").starts_with("content "));
    let status = project.json(&["status"]);
    assert_eq!(
        (&status["open_runs"], &status["staging"]),
        (&0.into(), &serde_json::json!([]))
    );
    let log = project.json(&["log", "-n", "100"]);
    let log = log["transactions"].as_array().unwrap();
    assert_eq!(log.len(), 40, "each is a transaction of its own");
    assert!(log.iter().all(|txn| txn["state"] == "applied"));
}

/// A command that was running meanwhile wrote the end of its run with an old index, over what others had committed.
#[test]
fn g2_commits_after_the_index_was_removed_are_kept() {
    let project = Project::new();
    project.small_tree("src");
    project.write("src/big", vec![b'x'; 200_000]);
    project.ok(&["tree", "install", "build/tools", "--from", "src"]);
    for _ in 0..4 {
        project.ok(&["put", "build/v"]);
    }
    let tljournal = env!("CARGO_BIN_EXE_tljournal");
    let alone = "env -u TLJOURNAL_RUN";
    let script = format!(
        "rm build/.state.db-shm; for i in 1 2 3; do echo $i | {alone} {tljournal} put build/a$i || exit 9; done; exit 3"
    );
    let done = project.run(&["exec", "--", "sh", "-c", &script]);
    assert_eq!(done.code, 3, "{done:?}");
    for name in ["build/a1", "build/a2", "build/a3"] {
        let latest = &project.json(&["blame", name])["wrote"][0];
        assert_eq!(latest["changed"], name, "{latest}");
    }
    assert_eq!(project.run(&["fsck", "--full"]).code, 0);
}
