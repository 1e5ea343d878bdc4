//! Reports about runs that failed or were killed.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::running::Running;
use crate::world::{Project, run_in};

impl Project {
    /// The report about a run, or about the latest run that went wrong.
    fn postmortem(&self, run: &str) -> Value {
        let args = [&["postmortem"][..], &[run][..usize::from(!run.is_empty())]].concat();
        self.json(&args)
    }

    /// The report about a run, as soon as a condition holds.
    fn postmortem_when(&self, run: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let done = self.run(&["postmortem", run, "--json"]);
            if done.code == 0 && is_so(&done.json()) {
                return done.json();
            }
        }
    }
}

/// An installation of a tree whose archive never ends.
fn staging(project: &Project) -> Running {
    let mut header = tar::Header::new_gnu();
    header.set_path("half").unwrap();
    header.set_size(1 << 20);
    header.set_mode(0o644);
    header.set_cksum();
    let mut running = project.start(&["tree", "install", "build/tools", "--from", "-"]);
    running.write(header.as_bytes());
    running.write(&[b'x'; 8 << 10]);
    running
}

fn steps(report: &Value) -> Vec<&str> {
    let next = report["next"].as_array().unwrap().iter();
    next.map(|step| step["command"].as_str().unwrap()).collect()
}

#[test]
fn a_run_that_was_killed_while_it_staged_shows_what_was_in_flight() {
    let project = Project::new();
    project.ok(&["put", "build/before"]);
    let running = staging(&project);
    let alive = project.postmortem_when("2", |report| {
        report["run"]["transactions"][0]["state"] == "staging"
    });
    assert_eq!(alive["run"]["end"], "alive");
    drop(running.kill());
    // The kill is not recorded yet.
    let dead = project.postmortem("");
    assert_eq!(
        (&dead["run"]["number"], &dead["run"]["end"]),
        (&2.into(), &"seen dead".into())
    );
    assert_eq!(dead["kept"][0]["staged"], true, "{dead}");
    let kept = dead["kept"][0]["path"].as_str().unwrap().to_owned();
    assert!(Path::new(&kept).is_dir(), "{kept}");
    assert!(steps(&dead).contains(&"tljournal recover"), "{dead}");
    let said = project.ok(&["postmortem"]).out;
    assert!(said.contains("in flight, since"), "{said}");

    project.ok(&["recover"]);
    let found = project.postmortem("");
    assert_eq!(found["run"]["end"], "found dead");
    let txn = &found["run"]["transactions"][0];
    assert_eq!(txn["state"], "aborted", "{found}");
    // The staged content still exists, and its size is reported.
    assert_eq!(found["kept"][0]["path"], kept.as_str());
    assert!(found["kept"][0]["bytes"].is_u64(), "{found}");
}

#[test]
fn a_run_that_was_killed_while_it_waited_shows_for_what_and_who_had_it() {
    let project = Project::new();
    let holder = project.holding(&["--lock", "a", "--label", "the holder"]);
    let waiter = project.start(&["exec", "--lock", "a", "--label", "the waiter", "--", "true"]);
    let waits = |report: &Value| report["run"]["waits"] != Value::Array(vec![]);
    let alive = project.postmortem_when("2", waits);
    assert_eq!(
        (&alive["run"]["end"], &alive["run"]["waits"][0]["until"]),
        (&"alive".into(), &Value::Null)
    );
    drop(waiter.kill());
    let dead = project.postmortem("");
    let wait = &dead["run"]["waits"][0];
    assert_eq!(
        (&wait["what"], &wait["until"]),
        (&"a".into(), &Value::Null),
        "{dead}"
    );
    assert_eq!(wait["holders"], serde_json::json!([1]));
    assert!(
        wait["holder"].as_str().unwrap().contains("the holder"),
        "{dead}"
    );
    let said = project.ok(&["postmortem"]).out;
    assert!(
        said.contains("until it was killed; run 1 (the holder) had it"),
        "{said}"
    );
    // And from the other side.
    let held = project.postmortem("1");
    assert_eq!(
        held["run"]["holds"][0]["waiters"],
        serde_json::json!([2]),
        "{held}"
    );
    assert_eq!(holder.end(), 0);
}

#[test]
fn timed_out_and_successful_waits_are_reported_with_their_duration() {
    let project = Project::new();
    let holder = project.holding(&["--lock", "a"]);
    let gave_up = project.run(&["exec", "--lock", "a", "--wait", "1.2", "--", "true"]);
    assert_eq!(gave_up.code, 124);
    let waiter = project.start(&["exec", "--lock", "a", "--", "true"]);
    project.postmortem_when("3", |report| report["run"]["waits"] != Value::Array(vec![]));
    assert_eq!(holder.end(), 0);
    assert_eq!(waiter.end(), 0);
    let wait = |run: &str| project.postmortem(run)["run"]["waits"][0].clone();
    assert_eq!(wait("2")["gave_up"], true);
    assert_eq!(wait("3")["gave_up"], false);
    assert!(wait("3")["until"].is_string());
    let error = project.postmortem("2")["run"]["error"].clone();
    let (_, told) = error
        .as_str()
        .unwrap()
        .split_once("not free within ")
        .unwrap();
    let seconds: f64 = told.split_once(" s").unwrap().0.parse().unwrap();
    assert!(seconds >= 1.2, "{error}");
    // An immediate acquisition is not recorded.
    let brief = project.ok(&["exec", "--lock", "a", "--", "true"]);
    assert_eq!((brief.err, wait("4")), (String::new(), Value::Null));
}

#[test]
fn g10_the_error_of_a_command_names_the_one_that_investigates_it() {
    let project = Project::new();
    project.ok(&["put", "build/a"]);
    let args = ["put", "build/a", "--expect", "absent"];
    let failed = project.run(&args);
    assert_eq!(failed.code, 3);
    assert!(
        failed
            .err
            .ends_with("investigate with: tljournal postmortem 2\n"),
        "{failed:?}"
    );
    let error = project.run(&[&args[..], &["--json"]].concat()).error();
    assert_eq!(error["postmortem"], "tljournal postmortem 3");
    let report = project.postmortem("3");
    assert_eq!(report["run"]["end"], "failed");
    let told = report["run"]["error"].as_str().unwrap();
    assert!(told.contains("expected absent, found file"), "{told}");
    // From another directory it includes the root.
    let elsewhere = tempfile::tempdir().unwrap();
    let root = project.path().to_str().unwrap();
    let args = [&["--root", root][..], &args].concat();
    let failed = run_in(elsewhere.path(), &args);
    let named = format!("investigate with: tljournal --root {root} postmortem 4\n");
    assert!(failed.err.ends_with(&named), "{failed:?}");
    // A usage error is not investigated.
    let wrong = project.run(&["put", "build/.state/a"]);
    assert_eq!(
        (wrong.code, wrong.err.contains("postmortem")),
        (2, false),
        "{wrong:?}"
    );
    assert_eq!(project.run(&["postmortem", "5"]).code, 1);
}

#[test]
fn a_conflict_is_reported_with_the_found_state_and_its_author() {
    let project = Project::new();
    project.ok(&["put", "build/a"]);
    let digest = format!("sha256:{}", "0".repeat(64));
    let failed = project.run(&["put", "build/a", "--expect", &digest, "--from", "build/a"]);
    assert_eq!(failed.code, 3, "{failed:?}");
    let report = project.postmortem("");
    assert!(
        report["run"]["error"]
            .as_str()
            .unwrap()
            .contains("conflict at `build/a`"),
        "{report}"
    );
}

#[test]
fn the_changes_of_a_run_are_compared_with_the_disk() {
    let project = Project::new();
    project.write(
        "parts.json",
        r#"{"changes": [
        {"put": "build/kept", "content": "1"},
        {"put": "build/edited", "content": "1"},
        {"put": "build/replaced", "content": "1"}]}"#,
    );
    project.ok(&["apply", "parts.json"]);
    fs::write(project.at("build/edited"), "other text").unwrap();
    project.ok(&["put", "build/replaced"]);
    let report = project.postmortem("1");
    let differences = report["differences"].as_array().unwrap();
    let paths: Vec<_> = differences
        .iter()
        .map(|found| found["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["build/edited", "build/replaced"], "{report}");
    assert_eq!(
        (&differences[0]["by"], &differences[1]["by"]["number"]),
        (&Value::Null, &2.into())
    );
    let said = project.ok(&["postmortem", "1"]).out;
    assert!(
        said.contains("`build/edited`: has 10 bytes instead of 1"),
        "{said}"
    );
    assert!(
        said.contains("`build/replaced`: replaced since by txn 2 (put build/replaced) of run 2"),
        "{said}"
    );
}

#[test]
fn without_a_failed_run_there_is_nothing_to_report() {
    let project = Project::new();
    project.ok(&["put", "build/a"]);
    assert_eq!(project.run(&["postmortem"]).code, 1);
    assert_eq!(project.ok(&["postmortem", "--list"]).out, "");
    assert_eq!(project.run(&["exec", "--", "false"]).code, 1);
    assert_eq!(
        project.run(&["exec", "--", "sh", "-c", "kill -9 $$"]).code,
        137
    );
    let list = project.json(&["postmortem", "--list"]);
    let ends: Vec<_> = list["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["end"].clone())
        .collect();
    assert_eq!(ends, ["killed", "failed"]);
}

/// All bytes below a directory.
fn all_bytes(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(all_bytes(&path)),
            false => all.extend(fs::read(&path).unwrap()),
        }
    }
    all
}

fn has(bytes: &[u8], word: &str) -> bool {
    bytes
        .windows(word.len())
        .any(|part| part == word.as_bytes())
}

const SECRETS: [&str; 6] = [
    "hunter2one",
    "hunter2two",
    "hunter2three",
    "hunter2four",
    "hunter2five",
    "hunter2six",
];

#[test]
fn g10_no_secret_is_stored_from_any_source() {
    let project = Project::new();
    let script = "printf 'TOKEN=hunter2t'; printf 'hree\\n'; echo 'Authorization: Bearer hunter2four' >&2; \
                  printf 'https://me:hunter2five@host/ and no end of the line'";
    let label = "deploy --password hunter2one";
    let holder = project.holding(&["--lock", "a", "--label", label]);
    let args = [
        "exec",
        "--lock",
        "a",
        "--label",
        label,
        "--wait",
        "1.2",
        "--",
        "true",
        "--api-key=hunter2two",
    ];
    assert_eq!(project.run(&args).code, 124);
    assert_eq!(holder.end(), 0);
    let done = project.ok(&["exec", "--", "sh", "-c", script]);
    // The copied output is unchanged.
    assert_eq!(
        done.out,
        "TOKEN=hunter2three\nhttps://me:hunter2five@host/ and no end of the line"
    );
    assert_eq!(done.err, "Authorization: Bearer hunter2four\n");
    let named = project.run(&[
        "put",
        "build/a",
        "--expect",
        "present",
        "--label",
        "token=hunter2six",
    ]);
    assert_eq!(named.code, 3);
    let stored = all_bytes(&project.at("build"));
    for secret in SECRETS {
        assert!(!has(&stored, secret), "{secret} is in the home");
    }
    let logs = project.logs(&project.runs()[1]);
    let end = "TOKEN=[redacted]\nhttps://[redacted]@host/ and no end of the line";
    assert_eq!(
        (logs[0].1.as_str(), logs[1].1.as_str()),
        ("Authorization: Bearer [redacted]\n", end)
    );
    let packed = project.at("bundle.tar.zst");
    project.ok(&["postmortem", "2", "--bundle", packed.to_str().unwrap()]);
    let packed = zstd::decode_all(fs::File::open(packed).unwrap()).unwrap();
    assert!(has(&packed, "deploy --password [redacted]"));
    for secret in SECRETS {
        assert!(!has(&packed, secret), "{secret} is in the bundle");
    }
}

#[test]
fn a_bundle_is_readable_on_its_own() {
    let project = Project::new();
    project.ok(&["put", "build/a"]);
    project.write("sbkeys/key.pem", "the key");
    project.ok(&["tree", "install", "build/sbkeys", "--from", "sbkeys"]);
    assert_eq!(
        project
            .run(&["exec", "--", "sh", "-c", "echo last words; exit 3"])
            .code,
        3
    );
    let told = project.json(&["postmortem", "--bundle", "bundle.tar.zst"]);
    assert_eq!(told["file"], "bundle.tar.zst");
    let place = tempfile::tempdir().unwrap();
    let packed = fs::File::open(project.at("bundle.tar.zst")).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(packed).unwrap());
    archive.unpack(place.path()).unwrap();
    let there = place.path().join("postmortem-3");
    let log = run_in(&there, &["--root", ".", "log"]);
    assert_eq!(log.code, 0, "{log:?}");
    assert!(log.out.contains("put build/a"), "{log:?}");
    let report = run_in(&there, &["--root", ".", "postmortem"]);
    for word in [
        "exited 3",
        "last words",
        "this is a copy",
        "the project is not here",
    ] {
        assert!(report.out.contains(word), "{word}: {report:?}");
    }
    let read = |name: &str| fs::read_to_string(there.join(name)).unwrap();
    assert!(read("report.txt").contains("last words"));
    assert!(!read("report.txt").contains('\u{1b}'));
    assert_eq!(
        serde_json::from_str::<Value>(&read("report.json")).unwrap()["run"]["number"],
        3
    );
    assert!(read("report.html").contains("<html"));
    assert!(read("README.txt").contains("Left out:"));
    assert!(!has(&all_bytes(&there), "the key"));
    // No partial file remains after an error.
    let nowhere = project.run(&["postmortem", "--bundle", "nowhere/bundle.tar.zst"]);
    assert_eq!(nowhere.code, 6, "{nowhere:?}");
}

#[test]
fn the_output_of_the_parent_run_is_shown_for_a_run_without_its_own() {
    let project = Project::new();
    let inner = format!(
        "echo before; {} put build/a --expect present",
        crate::running::TLJOURNAL
    );
    let done = project.run(&["exec", "--label", "outer", "--", "sh", "-c", &inner]);
    assert_eq!(done.code, 3);
    let report = project.postmortem("");
    assert_eq!(
        (&report["run"]["number"], &report["parents"][0]["label"]),
        (&2.into(), &"outer".into())
    );
    assert_eq!(
        (
            &report["output"][0]["run"],
            &report["output"][0]["lines"][0]
        ),
        (&1.into(), &"before".into()),
        "{report}"
    );
}

#[test]
fn what_a_command_wrote_reaches_the_terminal_as_text() {
    let project = Project::new();
    let script = r"printf 'a\033]0;title\007b\033[31mred\n\302\233x\n'; exit 1";
    assert_eq!(project.run(&["exec", "--", "sh", "-c", script]).code, 1);
    let said = project.ok(&["postmortem"]).out;
    assert!(
        !said.contains('\u{1b}') && !said.contains('\u{9b}') && !said.contains('\u{7}'),
        "{said:?}"
    );
}

impl Running {
    fn write(&mut self, bytes: &[u8]) {
        self.input().write_all(bytes).unwrap();
    }
}
