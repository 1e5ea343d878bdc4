//! Every reading command works on copies from other machines, and does not change them.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tljournal::{Expect, Journal};
use tljournal_tests::Mounted;

use crate::world::{Done, Project, command_in, done, listing, untouchable};

/// The commands, and what they may end with.
const READING: [(&[&str], &[i32]); 26] = [
    (&["status"], &[0]),
    (&["status", "--short"], &[0]),
    (&["log"], &[0]),
    (&["log", "--graph", "--path", "build/a"], &[0]),
    (&["log", "-n", "1", "--json"], &[0]),
    (&["show", "2"], &[0]),
    (&["diff", "2"], &[0]),
    (&["diff", "4", "--json"], &[0]),
    (&["blame", "build/a"], &[0]),
    // A database alone has no retained content.
    (&["undo", "4", "--dry-run"], &[0, 3]),
    (&["undo", "2", "--dry-run", "--force", "--json"], &[0, 3]),
    (
        &["restore", "build/tools", "--at", "3", "--dry-run"],
        &[0, 3],
    ),
    (&["gc", "--keep-count", "0", "--dry-run"], &[0]),
    (&["runs"], &[0]),
    (&["runs", "--failed", "--json"], &[0]),
    (&["tree", "show", "build/tools"], &[0]),
    (&["tree", "verify", "build/tools"], &[0, 5]),
    (&["tree", "verify", "build/tools", "--full"], &[0, 5]),
    (&["tag", "list"], &[0]),
    // A missing `.state` next to the database is damage.
    (&["fsck", "--quick"], &[0, 4]),
    (&["fsck"], &[0, 4]),
    (&["fsck", "--full", "--json"], &[0, 4]),
    (&["postmortem"], &[0]),
    (&["postmortem", "--json"], &[0]),
    (&["report", "--html", "-"], &[0]),
    (&["export", "--format", "jsonl"], &[0]),
];

/// A project with files of every kind, whose latest transactions are only in the log of the database.
fn project() -> (Project, Journal) {
    let project = Project::new();
    for content in ["one\n", "two\n"] {
        let done = project.run_with_input(&["put", "build/a"], content.as_bytes());
        assert_eq!(done.code, 0, "{done:?}");
    }
    for content in ["old", "new"] {
        project.write("src/file", content);
        project.ok(&["tree", "install", "build/tools", "--from", "src"]);
    }
    project.run(&[
        "exec",
        "--label",
        "fails",
        "--",
        "sh",
        "-c",
        "echo why; exit 3",
    ]);
    let journal = Journal::open(project.path().to_str().unwrap()).unwrap();
    let mut txn = journal.begin("not yet in the database");
    txn.put("build/late", "x", Expect::Any).unwrap();
    drop(txn.prepare().unwrap().commit().unwrap());
    (project, journal)
}

fn copied(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

fn all_work(
    what: &str,
    there: &Path,
    run: &dyn Fn(&[&str]) -> Done,
    seen: &dyn Fn() -> Vec<String>,
) {
    let before = seen();
    for (args, may_be) in READING {
        let told = run(args);
        assert!(may_be.contains(&told.code), "{what}, {args:?}: {told:?}");
        // A database alone has no retained content, and changed modes count as edits.
        let may_refuse = matches!(what, "alone" | "without permission");
        assert!(told.code != 3 || may_refuse, "{what}, {args:?}: {told:?}");
        assert!(!told.err.contains("panicked"), "{what}, {args:?}: {told:?}");
        assert_eq!(
            seen(),
            before,
            "{what}, {args:?} changed {}",
            there.display()
        );
    }
    assert!(
        run(&["log"]).out.contains("not yet in the database"),
        "{what}"
    );
}

#[test]
fn g10_every_reading_command_works_on_copies_of_every_kind_and_changes_nothing() {
    let (project, _at_work) = project();
    let place = tempfile::tempdir().unwrap();
    let with_log = place.path().join("with-log");
    copied(project.path(), &with_log);
    let no_index = place.path().join("no-index");
    copied(&with_log, &no_index);
    fs::remove_file(no_index.join("build/.state.db-shm")).unwrap();
    assert!(
        fs::metadata(no_index.join("build/.state.db-wal"))
            .unwrap()
            .len()
            > 0
    );
    for (what, there) in [("a copy", &with_log), ("without the index", &no_index)] {
        let run = |args: &[&str]| done(command_in(there, args).output().unwrap());
        all_work(what, there, &run, &|| listing(there));
    }
}

#[test]
fn g10_every_reading_command_works_without_write_access() {
    let (project, _at_work) = project();
    let place = tempfile::tempdir().unwrap();
    let open: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(place.path(), open).unwrap();
    let there = place.path().join("copy");
    copied(project.path(), &there);
    let locked = Command::new("chmod")
        .args(["-R", "a+rX,a-w"])
        .arg(&there)
        .status();
    assert!(locked.unwrap().success());
    // As another user with read access.
    let as_other = |args: &[&str]| {
        let mut command = command_in(&there, args);
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        done(command.output().unwrap())
    };
    all_work("without permission", &there, &as_other, &|| listing(&there));
    // On a read-only mount of a project in use.
    let mounted: PathBuf = place.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    let (from, to) = (project.path().to_str().unwrap(), mounted.to_str().unwrap());
    let Some(_mount) = Mounted::bind(from.into(), to.into()) else {
        return;
    };
    let only = Command::new("mount")
        .args(["-o", "remount,ro,bind", to])
        .status();
    assert!(only.unwrap().success());
    let run = |args: &[&str]| done(command_in(&mounted, args).output().unwrap());
    all_work("mounted read-only", &mounted, &run, &|| {
        untouchable(&mounted)
    });
}

#[test]
fn g10_a_database_alone_is_readable() {
    let (project, at_work) = project();
    at_work.close().unwrap();
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("build")).unwrap();
    fs::copy(
        project.at("build/.state.db"),
        place.path().join("build/.state.db"),
    )
    .unwrap();
    let run = |args: &[&str]| done(command_in(place.path(), args).output().unwrap());
    all_work("alone", place.path(), &run, &|| listing(place.path()));
    // The state of the disk there is not reported as the state of the project.
    let status = run(&["status", "--json"]).json();
    assert_eq!(status["at_home"], false);
}

/// One unreadable directory prevented the check of everything else, and was not named.
#[test]
fn an_unreadable_directory_is_a_finding_and_the_rest_is_checked() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (project, at_work) = project();
    at_work.close().unwrap();
    project.write("build/a", "an edit");
    // The project belongs to another user, except for one directory of root.
    let given = Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(project.path())
        .status();
    assert!(given.unwrap().success());
    std::os::unix::fs::chown(project.at("build/tools"), Some(0), Some(0)).unwrap();
    let closed: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(project.at("build/tools"), closed).unwrap();
    let open: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(project.path(), open).unwrap();
    let mut command = command_in(project.path(), &["fsck", "--json"]);
    command.uid(65534).gid(65534);
    let told = done(command.output().unwrap());
    let json = told.json();
    let findings = json["findings"].as_array().unwrap();
    let paths = |code: &str| -> Vec<&str> {
        let of = findings.iter().filter(|finding| finding["code"] == code);
        of.filter_map(|finding| finding["path"].as_str()).collect()
    };
    assert_eq!(paths("unreadable"), ["build/tools"], "{told:?}");
    assert_eq!(paths("changed"), ["build/a"], "{told:?}");
}
