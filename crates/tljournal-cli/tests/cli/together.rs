use std::process::Stdio;

use crate::world::{Project, done};

#[test]
fn twenty_processes_put_at_once() {
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
