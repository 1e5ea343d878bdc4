use std::fs;

use serde_json::{Value, json};

use crate::world::{Project, listing, run_in};

/// A project with a history: `build/a` in three versions, a tree in two, a link, a removal.
fn storied() -> Project {
    let project = Project::new();
    for content in ["one\n", "two\n", "three\n"] {
        project.write("from", content);
        project.ok(&["put", "build/a", "--from", "from"]);
    }
    project.small_tree("src");
    project.ok(&["tree", "install", "build/tools", "--from", "src"]);
    project.write("src/data", "1\n2\n");
    project.write("src/new", "new");
    fs::remove_file(project.at("src/bin/tool")).unwrap();
    project.ok(&["tree", "install", "build/tools", "--from", "src"]);
    project.ok(&["link", "tools", "build/latest", "--label", "flip latest"]);
    project.ok(&["rm", "build/a"]);
    project
}

fn numbers(value: &Value) -> Vec<i64> {
    let listed = value["transactions"].as_array().unwrap();
    listed
        .iter()
        .map(|txn| txn["number"].as_i64().unwrap())
        .collect()
}

#[test]
fn log_lists_the_transactions_of_its_filters() {
    let project = storied();
    let log = |args: &[&str]| numbers(&project.json(&[&["log"], args].concat()));
    assert_eq!(log(&[]), [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(log(&["-n", "2"]), [7, 6]);
    assert_eq!(log(&["--path", "build/a"]), [7, 3, 2, 1]);
    // A path in a tree is changed by changes of the tree, and a directory by changes below it.
    assert_eq!(log(&["--path", "build/tools/data"]), [5, 4]);
    assert_eq!(log(&["--path", "build/tool"]), [0; 0]);
    assert_eq!(log(&["--path", "build/tools", "-n", "1"]), [5]);
    assert_eq!(log(&["--label", "flip"]), [6]);
    assert_eq!(log(&["--kept"]), [7, 5, 3, 2]);
    assert_eq!(log(&["--state", "aborted", "--state", "stuck"]), [0; 0]);
    assert_eq!(
        log(&["--state", "applied", "--path", "build/a", "-n", "2"]),
        [7, 3]
    );
    assert_eq!(log(&["--since", "1h"]).len(), 7);
    assert_eq!(log(&["--until", "1h"]), [0; 0]);
    assert_eq!(
        log(&["--since", "@0", "--until", "2020-01-02T03:04:05Z"]),
        [0; 0]
    );
    let run = project.json(&["show", "5"])["txn"]["run"]["number"].to_string();
    assert_eq!(log(&["--run", &run]), [5]);
    assert_eq!(project.run(&["log", "--run", "99"]).code, 1);
    assert_eq!(project.run(&["log", "--since", "soon"]).code, 2);
    assert_eq!(project.run(&["log", "--state", "lost"]).code, 2);
}

#[test]
fn the_graph_has_a_lane_for_each_running_run() {
    let project = Project::new();
    let nested = format!(
        "{bin} put build/outer1 -q && {bin} exec -q --label inner -- {bin} put build/inner -q; {bin} put build/outer2 -q",
        bin = env!("CARGO_BIN_EXE_tljournal")
    );
    project.ok(&["exec", "--label", "the build", "--", "sh", "-c", &nested]);
    project.ok(&["put", "build/alone"]);
    let graph = |locale: &str, args: &[&str]| {
        let mut command = project.command(&[&["log", "--graph"], args].concat());
        let command = command.env("LC_ALL", locale).output().unwrap();
        String::from_utf8(command.stdout).unwrap()
    };
    let drawn = graph("C.UTF-8", &[]);
    let lines: Vec<_> = drawn.lines().collect();
    assert_eq!(lines.len(), 4, "{drawn}");
    assert!(lines.iter().all(|line| line.starts_with("● ")), "{drawn}");
    // Everything below it belongs to the build.
    assert_eq!(drawn.matches("run 1 the build").count(), 3, "{drawn}");
    let ascii = graph("C", &["-n", "1"]);
    assert!(
        // The age depends on the speed of the machine.
        ascii.is_ascii() && ascii.starts_with("* 4  ") && ascii.contains("  put build/alone"),
        "{ascii}"
    );
    assert!(
        project.ok(&["log"]).out.starts_with("4  20"),
        "exact without a terminal"
    );
}

#[test]
fn diff_shows_additions_removals_and_modified_text() {
    let project = storied();
    let tree = project.ok(&["diff", "5"]).out;
    for line in [
        "  - bin/tool  10 B",
        "  + new  3 B, 0644, sha256:",
        "  ~ data  1 B -> 4 B",
    ] {
        assert!(tree.contains(line), "{tree}");
    }
    assert!(tree.contains("    +2\n"), "{tree}");
    assert!(
        tree.ends_with("1 added, 1 removed, 1 modified; -4 B\n"),
        "{tree}"
    );
    let file = project.json(&["diff", "2"]);
    let entry = &file["paths"][0]["entries"][0];
    assert_eq!(entry["change"], "modified");
    assert_eq!(entry["text"], "@@ -1 +1 @@\n-one\n+two");
    assert_eq!(entry["before"]["size"], 4);
    let removed = project.json(&["diff", "7", "--stat"]);
    assert_eq!(removed["paths"][0]["entries"][0]["change"], "removed");
    assert_eq!(
        project.json(&["diff", "6"])["paths"][0]["after"]["target"],
        "tools"
    );
    assert!(!project.ok(&["diff", "5", "--stat"]).out.contains("+2"));
    project.ok(&["gc", "--keep-count", "0"]);
    let entry = &project.json(&["diff", "2"])["paths"][0]["entries"][0];
    assert_eq!(
        entry["no_text"],
        "the content is not available, or is a private key"
    );
    assert_eq!(project.run(&["diff", "99"]).code, 1);
}

#[test]
fn diff_shows_no_binary_and_sends_no_escapes() {
    let project = Project::new();
    for content in ["\u{1b}[31mred\n", "\u{1b}[32mgreen\n", "\0\u{1}\n"] {
        project.write("from", content);
        project.ok(&["put", "build/a", "--from", "from"]);
    }
    let text = project.ok(&["diff", "2"]).out;
    assert!(
        text.contains("-\\u{1b}[31mred") && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(project.ok(&["diff", "3"]).out.contains("(binary)"));
}

#[test]
fn blame_shows_the_history_of_a_path_and_whether_the_disk_matches() {
    let project = storied();
    let blame = |path: &str| project.json(&["blame", path]);
    let life = |found: &Value| -> Vec<(i64, Value)> {
        let wrote = found["wrote"].as_array().unwrap();
        let one = |wrote: &Value| {
            (
                wrote["txn"]["number"].as_i64().unwrap(),
                wrote["left"]["size"].clone(),
            )
        };
        wrote.iter().map(one).collect()
    };
    let found = blame("build/a");
    let sizes = [
        (7, Value::Null),
        (3, json!(6)),
        (2, json!(4)),
        (1, json!(4)),
    ];
    assert_eq!(life(&found), sizes);
    assert_eq!(found["drift"], json!([]));
    // Only transactions that changed it in the tree count.
    assert_eq!(
        life(&blame("build/tools/data")),
        [(5, json!(4)), (4, json!(1))]
    );
    assert_eq!(life(&blame("build/tools/link")).len(), 1);
    assert_eq!(life(&blame("build/tools/new")), [(5, json!(3))]);
    assert_eq!(
        life(&blame("build/tools/bin/tool")),
        [(5, Value::Null), (4, json!(10))]
    );
    project.write("build/tools/data", "edited by hand");
    let drift = blame("build/tools/data")["drift"].to_string();
    assert!(drift.contains("has 14 bytes instead of 4"), "{drift}");
    let text = project.ok(&["blame", "build/tools", "-n", "1"]).out;
    assert!(text.contains("`build/tools/data` has 14 bytes"), "{text}");
    fs::remove_file(project.at("build/latest")).unwrap();
    assert_eq!(blame("build/latest")["drift"], json!(["`.` is missing"]));
    assert_eq!(project.run(&["blame", "build/nothing"]).code, 1);
}

#[test]
fn runs_shows_how_each_run_ended_below_its_parent() {
    let project = Project::new();
    let bin = env!("CARGO_BIN_EXE_tljournal");
    let nested = format!("{bin} put build/a -q; exit 3");
    assert_eq!(
        project
            .run(&["exec", "--label", "outer", "--", "sh", "-c", &nested])
            .code,
        3
    );
    project.ok(&["put", "build/b"]);
    let runs = project.json(&["runs"]);
    let outcomes: Vec<_> = runs["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["outcome"])
        .collect();
    assert_eq!(outcomes, ["ok", "ok", "exited 3"]);
    assert_eq!(runs["runs"][1]["transactions"], 1);
    let failed = project.json(&["runs", "--failed"]);
    assert_eq!(failed["runs"].as_array().unwrap().len(), 1);
    assert_eq!(failed["runs"][0]["label"], "outer");
    let mut command = project.command(&["runs"]);
    let drawn = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    let drawn = String::from_utf8(drawn.stdout).unwrap();
    let lines: Vec<_> = drawn.lines().collect();
    assert!(
        lines[1].contains("exited 3") && lines[1].ends_with("outer"),
        "{drawn}"
    );
    assert!(lines[2].contains("└─ tljournal put build/a"), "{drawn}");
    assert_eq!(project.json(&["runs", "--until", "1h"])["runs"], json!([]));
}

#[test]
fn show_has_times_retained_bytes_and_the_undoing_transaction() {
    let project = storied();
    project.ok(&["undo", "7"]);
    let shown = project.json(&["show", "7"]);
    assert_eq!(
        (&shown["undone_by"], &shown["txn"]["kept"]),
        (&json!([8]), &json!(6))
    );
    for time in [
        "began_at",
        "staged_at",
        "locked_at",
        "committed_at",
        "ended_at",
    ] {
        assert!(shown["txn"][time].is_string(), "{time}: {shown}");
    }
    let undoing = project.ok(&["show", "8"]).out;
    assert!(undoing.contains("undoes    txn 7\n"), "{undoing}");
    assert!(
        project
            .ok(&["show", "7"])
            .out
            .contains("undone    by txn 8\n")
    );
}

#[test]
fn g10_history_of_a_copy_is_readable_without_changing_it() {
    let project = storied();
    let place = tempfile::tempdir().unwrap();
    let there = place.path().join("copy");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(project.path())
        .arg(&there)
        .status();
    assert!(copied.unwrap().success());
    let before = listing(&there);
    for args in [
        &["log", "--path", "build/tools"][..],
        &["show", "5"],
        &["diff", "5"],
        &["blame", "build/tools/data"],
        &["blame", "build/tools"],
        &["runs"],
    ] {
        let done = run_in(&there, args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        assert_eq!(listing(&there), before, "{args:?}");
    }
    assert!(run_in(&there, &["diff", "5"]).out.contains("    +2\n"));
    let agrees = run_in(&there, &["blame", "build/tools"]).out;
    assert!(agrees.contains("the disk matches the record"), "{agrees}");
    let database = place.path().join("alone/build");
    fs::create_dir_all(&database).unwrap();
    fs::copy(project.at("build/.state.db"), database.join(".state.db")).unwrap();
    let alone = place.path().join("alone");
    for args in [
        &["log"][..],
        &["diff", "5"],
        &["blame", "build/tools/data"],
        &["runs"],
    ] {
        let done = run_in(&alone, args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
    }
}
