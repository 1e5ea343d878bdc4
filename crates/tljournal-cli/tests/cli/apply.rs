use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::world::{Project, visible};

#[test]
fn the_example_of_the_manual_is_one_transaction() {
    let project = Project::new();
    project.write("src/file", "new");
    project.small_tree("src/tree");
    project.write("build/old/x", "x");
    project.write("content", "was");
    project.ok(&["put", "build/b.bin", "--from", "content"]);
    let shown = project.json(&["show", "1"]);
    let digest = shown["changes"][0]["digest"].clone();
    let description = json!({"label": "publish 1.2.3", "changes": [
        {"put": "build/a.txt", "content": "text", "mode": "0644",
         "mtime": "2025-01-02T03:04:05.123456789Z", "expect": "absent"},
        {"put": "build/b.bin", "from": "src/file", "expect": digest},
        {"remove": "build/old", "expect": "present"},
        {"link": "build/latest", "target": "1.2.3"},
        {"tree": "build/tools", "from": "src/tree", "durability": "rebuildable"}]});
    let done = project.run_with_input(
        &["apply", "-", "--json"],
        description.to_string().as_bytes(),
    );
    assert_eq!(done.code, 0, "{done:?}");
    let receipt = done.json();
    assert!(
        receipt["changes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|change| change["changed"] == true)
    );
    let meta = fs::metadata(project.at("build/a.txt")).unwrap();
    assert_eq!(
        (meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec()),
        (0o644, 1_735_787_045, 123_456_789)
    );
    assert_eq!(
        (project.text("build/a.txt"), project.text("build/b.bin")),
        ("text".into(), "new".into())
    );
    assert_eq!(project.text("build/tools/link"), "1");
    assert!(!project.has("build/old"));

    let number = receipt["txn"]["number"].to_string();
    let shown = project.json(&["show", &number]);
    assert_eq!(shown["txn"]["label"], "publish 1.2.3");
    assert_eq!(shown["changes"].as_array().unwrap().len(), 5);
}

#[test]
fn from_is_relative_to_the_current_directory_and_put_to_the_root() {
    let project = Project::new();
    project.write("sub/here", "x");
    project.write(
        "sub/d.json",
        r#"{"changes": [{"put": "build/there", "from": "here"}]}"#,
    );
    let done = crate::world::run_in(&project.at("sub"), &["apply", "d.json", "--label", "mine"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(project.text("build/there"), "x");
    assert_eq!(project.json(&["log"])["transactions"][0]["label"], "mine");
}

#[test]
fn hostile_descriptions_change_nothing() {
    let project = Project::new();
    project.write("build/there", "x");
    let first = r#"{"put": "build/first", "content": "x"}"#;
    for (change, word) in [
        ("", "description"),
        (r#"{"put": "../out", "content": "x"}"#, "climbs"),
        (r#"{"put": "build/../../out", "content": "x"}"#, "climbs"),
        (r#"{"put": "/out", "content": "x"}"#, "not below"),
        (r#"{"put": "build/.state.db", "content": "x"}"#, "journal"),
        (
            r#"{"put": "build/.state/txn/x", "content": "x"}"#,
            "journal",
        ),
        (r#"{"remove": "build"}"#, "journal"),
        (r#"{"put": "build/first/below", "content": "x"}"#, "nested"),
        (r#"{"put": "build/./first", "content": "x"}"#, "equal"),
        (
            r#"{"put": "build/a", "content": "x", "owner": "root"}"#,
            "owner",
        ),
        (
            r#"{"put": "build/a", "content": "x", "from": "y"}"#,
            "exclude",
        ),
        (
            r#"{"put": "build/a", "from": "no-such-file"}"#,
            "no-such-file",
        ),
        (r#"{"put": "build/a", "from": "build"}"#, "directory"),
        (
            r#"{"tree": "build/a", "from": "."}"#,
            "contains the journal",
        ),
        (r#"{"put": "build/a\u0000", "content": "x"}"#, "NUL"),
        (r#"{"put": "build/a", "content": "\ud800"}"#, "line"),
    ] {
        let text = format!("{{\"changes\": [{first}, {change}]}}");
        let done = project.run_with_input(&["apply", "-", "--json"], text.as_bytes());
        assert_eq!(done.code, 2, "{change}: {done:?}");
        let said = done.error().to_string();
        assert!(said.contains(word), "{change}: {said}");
        assert_eq!(visible(&project.at("build")), ["there"], "{change}");
    }
    for bytes in [
        &b"\xff\xfe"[..],
        b"{\"changes\": [{\"put\": \"build/\xff\", \"content\": \"\"}]}",
        b"[[[[",
        b"",
    ] {
        let done = project.run_with_input(&["apply", "-"], bytes);
        assert_eq!(done.code, 2, "{done:?}");
    }
}

#[test]
fn the_size_of_a_description_is_limited() {
    let project = Project::new();
    let file = fs::File::create(project.at("huge")).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    let done = project.run(&["apply", "huge"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("64 MiB"), "{done:?}");
}

#[test]
fn a_conflict_in_the_last_change_prevents_the_first() {
    let project = Project::new();
    project.write("build/there", "x");
    project.write("d", r#"{"changes": [{"put": "build/a", "content": "x"}, {"remove": "build/there", "expect": "absent"}]}"#);
    assert_eq!(project.run(&["apply", "d"]).code, 3);
    assert_eq!(visible(&project.at("build")), ["there"]);
}
