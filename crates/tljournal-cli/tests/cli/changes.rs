use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::world::{Project, untouchable};

#[test]
fn init_makes_the_home_once() {
    let project = Project::bare();
    let made = project.json(&["init"]);
    assert_eq!(made["changed"], true);
    assert!(project.has("build/.state.db"));
    assert_eq!(project.json(&["init"])["changed"], false);
    assert_eq!(project.run(&["init", "--exit-code"]).code, 1);
}

#[test]
fn put_takes_content_mode_and_mtime_from_a_file() {
    let project = Project::new();
    project.write("from", "hello");
    project.ok(&[
        "put",
        "build/a",
        "--from",
        "from",
        "--mode",
        "0600",
        "--mtime",
        "2025-01-02T03:04:05.123456789Z",
    ]);
    let meta = fs::metadata(project.at("build/a")).unwrap();
    assert_eq!(
        (meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec()),
        (0o600, 1_735_787_045, 123_456_789)
    );
    assert_eq!(project.text("build/a"), "hello");

    project.ok(&["put", "build/b", "--from", "from"]);
    let (from, to) = (
        fs::metadata(project.at("from")).unwrap(),
        fs::metadata(project.at("build/b")).unwrap(),
    );
    assert_eq!(
        (from.mtime(), from.mtime_nsec(), from.mode()),
        (to.mtime(), to.mtime_nsec(), to.mode())
    );

    project.ok(&["put", "build/c", "--from", "from", "--mtime", "@-1.5"]);
    let meta = fs::metadata(project.at("build/c")).unwrap();
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (-1, 500_000_000));
}

#[test]
fn put_reads_more_than_a_mebibyte_from_standard_input() {
    let project = Project::new();
    let content: Vec<u8> = (0..5_000_000_u32).map(|n| (n / 7) as u8).collect();
    for path in [
        &["put", "build/big"][..],
        &["put", "build/big2", "--from", "-"],
        &["put", "build/big3", "--from", "/dev/stdin"],
    ] {
        let done = project.run_with_input(path, &content);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(
            fs::read(project.at(path[1])).unwrap() == content,
            "{path:?}"
        );
    }
}

#[test]
fn g4_unchanged_content_is_not_touched() {
    let project = Project::new();
    project.write("from", "hello");
    let put = ["put", "build/a", "--from", "from"];
    let first = project.ok(&put);
    assert_eq!(first.out, "put build/a (txn 1)\n");
    project.ok(&put);
    let before = untouchable(&project.at("build"));
    assert_eq!(project.ok(&put).out, "unchanged build/a\n");
    assert_eq!(project.run(&[&put[..], &["--exit-code"]].concat()).code, 1);
    assert_eq!(untouchable(&project.at("build")), before);
    let again = project.json(&put);
    assert_eq!(
        (&again["changed"], &again["txn"]),
        (&false.into(), &serde_json::Value::Null)
    );
}

#[test]
fn rm_removes_everything_that_is_named_at_once() {
    let project = Project::new();
    project.write("build/d/e/f", "x");
    project.write("build/a", "x");
    let done = project.json(&["rm", "build/d", "build/a", "build/none"]);
    assert_eq!(done["changes"][0]["changed"], true);
    assert_eq!(done["changes"][2]["changed"], false);
    assert!(!project.has("build/d") && !project.has("build/a"));
    project.write("build/a", "x");
    let done = project.run(&["rm", "build/a", "build/none", "--expect", "present"]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(project.has("build/a"), "all or nothing");
}

#[test]
fn link_makes_and_flips() {
    let project = Project::new();
    for target in ["1.2.3", "1.2.4"] {
        let done = project.ok(&["link", target, "build/latest"]);
        assert!(done.out.starts_with("link build/latest (txn "), "{done:?}");
        assert_eq!(
            fs::read_link(project.at("build/latest")).unwrap().to_str(),
            Some(target)
        );
    }
    assert_eq!(
        project.ok(&["link", "1.2.4", "build/latest"]).out,
        "unchanged build/latest\n"
    );
    assert_eq!(project.run(&["link", "", "build/latest"]).code, 2);
}

#[test]
fn a_label_is_kept_and_an_expected_digest_is_checked() {
    let project = Project::new();
    project.ok(&["put", "build/empty", "--label", "first"]);
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    project.write("from", "x");
    let done = project.ok(&["put", "build/empty", "--from", "from", "--expect", digest]);
    assert!(done.out.contains("txn 2"));
    let done = project.run(&[
        "put",
        "build/empty",
        "--from",
        "from",
        "--mode",
        "0600",
        "--expect",
        digest,
    ]);
    assert_eq!(done.code, 3, "{done:?}");
    assert_eq!(project.json(&["show", "1"])["txn"]["label"], "first");
}

#[test]
fn quiet_prints_nothing_on_standard_output() {
    let project = Project::new();
    for args in [
        &["put", "build/a", "-q"][..],
        &["status", "-q"],
        &["log", "-q", "--json"],
        &["recover", "-q"],
    ] {
        let done = project.ok(args);
        assert_eq!(
            (done.out, done.err),
            (String::new(), String::new()),
            "{args:?}"
        );
    }
}

#[test]
fn the_territory_bounds_what_may_be_changed() {
    let project = Project::new();
    let done = project.run(&[
        "put",
        "build/a",
        "--territory",
        "build/mine",
        "--territory",
        "other",
    ]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("territory"), "{done:?}");
    project.ok(&[
        "put",
        "build/mine/a",
        "--territory",
        "build/mine",
        "--territory",
        "other",
    ]);
}

#[test]
fn paths_can_be_excluded_from_being_kept() {
    let project = Project::new();
    let put = |path: &str, more: &[&str]| {
        for content in ["old", "new"] {
            let args = [&["put", path], more].concat();
            assert_eq!(project.run_with_input(&args, content.as_bytes()).code, 0);
        }
    };
    put("build/plain", &["--never-keep", "vault/"]);
    put("build/vault/a", &["--never-keep", "vault/"]);
    put("build/x.pem", &[]);
    let kept = project.json(&["log", "--kept"]);
    let labels: Vec<_> = kept["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|txn| &txn["label"])
        .collect();
    assert_eq!(labels, ["put build/plain"]);
}
