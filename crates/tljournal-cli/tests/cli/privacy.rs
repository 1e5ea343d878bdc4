//! Access to the journal's files, and to files made from them (G13).

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::users::{GROUP, OTHER, OWNER, ROOT, all_below, set_mode, there_are_users};
use crate::world::Project;

/// Runs commands that leave files of every kind in `.state`: retained and staged content, logs, locks, quarantine.
fn something_of_everything(project: &Project) {
    project.write("content", "secret");
    project.write("tree/f", "secret");
    for args in [
        &["put", "build/private/a", "--from", "content"][..],
        &["tree", "install", "build/t", "--from", "tree"],
        &["rm", "build/private/a", "build/t"],
        &["exec", "--log", "--lock", "vendor", "--", "echo", "secret"],
        &["put", "build/a", "--from", "content"],
    ] {
        project.ok(args);
    }
    project.write("build/a", "an edit");
    project.ok(&["put", "build/a", "--from", "tree/f"]);
    let evidence = fs::read_dir(project.at("build/.state/aside")).unwrap();
    assert_ne!(evidence.count(), 0);
}

/// The journal's own files, without retained and staged content, which has the mode of its path.
pub(crate) fn own_modes(project: &Project) -> Vec<(std::path::PathBuf, fs::Metadata)> {
    let mut own = Vec::new();
    for name in [".state.db", ".state.db-wal", ".state.db-shm", ".state"] {
        own.extend(all_below(&project.at("build").join(name)));
    }
    let is_content = |path: &std::path::Path| {
        let text = path.to_str().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let in_txn = text.contains("/txn/") && name != "paths" && name.len() < 36;
        let in_tree = text.contains("/txn/") && text.ends_with("/0/f");
        in_txn || in_tree || text.contains("/aside/") && path.is_file()
    };
    own.retain(|(path, _)| !is_content(path));
    own
}

#[test]
fn g13_the_journals_files_are_private_with_any_umask() {
    for umask in ["000", "022", "077"] {
        let project = Project::bare();
        let init = format!(
            "umask {umask}; exec {} init -q",
            env!("CARGO_BIN_EXE_tljournal")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &init]).current_dir(project.path());
        assert!(command.status().unwrap().success());
        set_mode(project.at("build"), 0o755);
        something_of_everything(&project);
        for (path, meta) in own_modes(&project) {
            let wanted = if meta.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(meta.mode() & 0o777, wanted, "umask {umask}: {path:?}");
        }
    }
}

#[test]
fn g13_a_home_of_an_older_version_is_closed_when_it_is_worked_with() {
    let project = Project::new();
    something_of_everything(&project);
    let own = own_modes(&project);
    for (path, meta) in &own {
        set_mode(path, if meta.is_dir() { 0o755 } else { 0o644 });
    }
    project.ok(&["status"]);
    let state = || {
        fs::metadata(project.at("build/.state"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(state(), 0o755, "a reading command changes nothing");
    project.ok(&["recover"]);
    for (path, meta) in own_modes(&project) {
        let wanted = if meta.is_dir() { 0o700 } else { 0o600 };
        let is_aside = path.to_str().unwrap().contains("/aside/");
        assert!(
            is_aside || meta.mode() & 0o777 == wanted,
            "{path:?} {:o}",
            meta.mode()
        );
    }
}

#[test]
fn g13_another_user_reads_nothing_and_gets_an_explanation() {
    if !there_are_users() {
        return;
    }
    let project = Project::new();
    set_mode(project.path(), 0o755);
    something_of_everything(&project);
    let commands: [&[&str]; 14] = [
        &["status"],
        &["log"],
        &["show", "1"],
        &["diff", "1"],
        &["blame", "build/a"],
        &["runs"],
        &["postmortem"],
        &["report", "--html", "-"],
        &["export", "--format", "jsonl"],
        &["fsck"],
        &["undo", "1", "--dry-run"],
        &["tree", "show", "build/t"],
        &["put", "build/b", "--from", "content"],
        &["exec", "--lock", "vendor", "--", "true"],
    ];
    for args in commands {
        let told = project.run_as(OTHER, args);
        assert_ne!(told.code, 0, "{args:?}: {told:?}");
        let said = format!("{}{}", told.out, told.err);
        assert!(said.contains(".state"), "{args:?} names nothing: {told:?}");
        assert!(said.contains("ermission denied"), "{args:?}: {told:?}");
        assert!(!said.contains("secret"), "{args:?}: {told:?}");
    }
    for (path, meta) in all_below(&project.at("build")) {
        let name = path.strip_prefix(project.path()).unwrap();
        let is_own =
            name.starts_with("build/.state") || name.to_str().unwrap().contains(".state.db");
        if !is_own || meta.is_dir() {
            continue;
        }
        let mut cat = Command::new("cat");
        let read = cat.arg(&path).uid(OTHER).gid(OTHER).output().unwrap();
        assert!(!read.status.success(), "{path:?} can be read");
    }
}

/// A user who could read a lock file could lock it, and block every commit.
#[test]
fn g13_another_user_cannot_hold_a_lock() {
    if !there_are_users() {
        return;
    }
    let project = Project::new();
    set_mode(project.path(), 0o755);
    something_of_everything(&project);
    for (path, _) in all_below(&project.at("build/.state")) {
        let mut hold = Command::new("flock");
        let held = hold.arg("-n").arg(&path).arg("true").uid(OTHER).gid(OTHER);
        assert!(
            !held.output().unwrap().status.success(),
            "{path:?} can be held"
        );
    }
}

#[test]
fn g13_a_home_that_a_group_shares_is_for_that_group() {
    if !there_are_users() {
        return;
    }
    let project = Project::bare();
    set_mode(project.path(), 0o2775);
    fs::create_dir(project.at("build")).unwrap();
    for path in [project.path().to_owned(), project.at("build")] {
        chown(&path, Some(OWNER), Some(GROUP)).unwrap();
    }
    project.write("content", "x");
    project.write("tree/f", "x");
    for shares in [false, true] {
        set_mode(project.at("build"), if shares { 0o775 } else { 0o755 });
        // The owner opens a private home to the group.
        for (round, user) in [OWNER, OTHER, OWNER, OTHER].into_iter().enumerate() {
            project.write("content", format!("{round} {shares}"));
            project.write("tree/f", format!("{round} {shares}"));
            for args in [
                &["put", "build/a", "--from", "content"][..],
                &["tree", "install", "build/t", "--from", "tree"],
                &["exec", "--log", "--lock", "vendor", "--", "true"],
                &["rm", "build/t"],
                &["recover"],
                &["fsck"],
                &["log"],
            ] {
                let done = project.run_in_group(user, args);
                let may = shares || user == OWNER;
                assert_eq!(done.code == 0, may, "{user} {shares} {args:?}: {done:?}");
            }
        }
        for (path, meta) in own_modes(&project) {
            let wanted = match (meta.is_dir(), shares) {
                (true, false) => 0o700,
                (false, false) => 0o600,
                (true, true) => 0o770,
                (false, true) => 0o660,
            };
            assert_eq!(meta.mode() & 0o777, wanted, "shared {shares}: {path:?}");
            assert!(!shares || meta.gid() == GROUP, "{path:?}");
        }
        let other = project.run_as(OTHER, &["log"]);
        assert_ne!(other.code, 0, "{other:?}");
    }
}

/// A file made from a log is not more readable than the log; and a link in the place of a report led to a device.
#[test]
fn g13_reports_are_for_their_owner_and_go_through_no_link() {
    let project = Project::new();
    something_of_everything(&project);
    project.run(&["exec", "--log", "--", "sh", "-c", "echo hunter2; exit 3"]);
    project.write("made", "");
    project.write("outside", "as it was");
    let made: [&[&str]; 4] = [
        &["report", "--html", "made"],
        &["postmortem", "--html", "made"],
        &["postmortem", "--bundle", "made"],
        &["export", "--format", "jsonl", "--output", "made"],
    ];
    for args in made {
        for planted in [
            "nothing",
            "link",
            "dangling",
            "device",
            "fifo",
            "readable",
            "directory",
        ] {
            let at = project.at("made");
            let _gone = fs::remove_file(&at);
            match planted {
                "link" => symlink("outside", &at).unwrap(),
                "dangling" => symlink("nowhere", &at).unwrap(),
                "device" => symlink("/dev/full", &at).unwrap(),
                "fifo" => assert!(Command::new("mkfifo").arg(&at).status().unwrap().success()),
                "readable" => {
                    fs::write(&at, "old").unwrap();
                    set_mode(&at, 0o644);
                }
                "directory" => fs::create_dir(&at).unwrap(),
                _ => {}
            }
            let done = project.run(args);
            let meta = fs::symlink_metadata(&at).unwrap();
            match planted {
                "fifo" => assert_ne!(done.code, 0, "{args:?}: {done:?}"),
                "directory" => {
                    assert_ne!(done.code, 0, "{args:?}: {done:?}");
                    fs::remove_dir(&at).unwrap();
                }
                _ => {
                    assert_eq!(done.code, 0, "{args:?} {planted}: {done:?}");
                    assert!(meta.is_file(), "{args:?} {planted}");
                    assert_eq!(meta.mode() & 0o777, 0o600, "{args:?} {planted}");
                }
            }
            assert_eq!(project.text("outside"), "as it was", "{args:?} {planted}");
            assert!(!project.has("nowhere"), "{args:?}");
            let left = fs::read_dir(project.path()).unwrap();
            let left = left.filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_str().unwrap().starts_with(".unfinished")
            });
            assert_eq!(left.count(), 0, "{args:?} {planted}");
        }
    }
}

#[test]
fn a_report_can_be_written_to_an_open_descriptor() {
    let project = Project::new();
    something_of_everything(&project);
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let done = project.ok(&["report", "--html", name]);
        assert!(
            done.out.contains("<!doctype html>") || done.out.contains("<!DOCTYPE html>"),
            "{name}"
        );
    }
    project.ok(&["export", "--format", "jsonl", "--output", "/dev/null"]);
    let mut is_device = fs::File::open("/dev/null").unwrap();
    assert_eq!(is_device.read(&mut [0]).unwrap(), 0);
    // A process substitution is a pipe that the shell has opened.
    let program = env!("CARGO_BIN_EXE_tljournal");
    let script = format!(
        "{program} export --format jsonl --output >(wc -c > count; echo > done) && until [ -e done ]; do :; done"
    );
    let bash = Command::new("bash")
        .args(["-c", &script])
        .current_dir(project.path())
        .status();
    assert!(bash.unwrap().success());
    assert_ne!(project.text("count").trim(), "0");
}

/// Root's private files in the project of a user became that user's when root installed from there.
#[test]
fn g13_what_the_owner_could_not_read_stays_roots_when_root_installs_it() {
    if !there_are_users() {
        return;
    }
    let project = Project::of_owner();
    for (path, mode) in [
        ("private", 0o600),
        ("closed/file", 0o644),
        ("closed/tree/file", 0o644),
        ("tree/private", 0o640),
        ("tree/closed/file", 0o644),
        ("tree/public", 0o644),
        ("public", 0o644),
    ] {
        project.write(path, "secret");
        set_mode(project.at(path), mode);
    }
    for path in ["closed", "tree/closed"] {
        set_mode(project.at(path), 0o700);
    }
    let tar = Command::new("tar")
        .args(["-cf", "tree.tar", "tree"])
        .current_dir(project.path())
        .status();
    assert!(tar.unwrap().success());
    set_mode(project.at("tree.tar"), 0o600);
    let description = r#"{"changes": [{"put": "build/d", "from": "private", "mode": "0644"}]}"#;
    project.write_as(OWNER, "changes.json", description);
    for args in [
        &["put", "build/a", "--from", "private"][..],
        &["put", "build/b", "--from", "private", "--mode", "0666"],
        &["put", "build/c", "--from", "closed/file"],
        &["apply", "changes.json"],
        &["tree", "install", "build/t", "--from", "tree"],
        &["tree", "install", "build/u", "--from", "tree.tar"],
        &["tree", "install", "build/v", "--from", "closed/tree"],
        &["put", "build/public", "--from", "public"],
    ] {
        let done = project.ok_as(ROOT, args);
        let is_said = done.err.contains("only root may read");
        assert_eq!(is_said, args[1] != "build/public", "{args:?}: {done:?}");
    }
    let readable: Vec<_> = all_below(&project.at("build"))
        .into_iter()
        .filter(|(path, meta)| {
            !path.starts_with(project.at("build/.state")) && meta.is_file() && meta.len() == 6
        })
        .filter(|(path, _)| {
            let mut cat = Command::new("cat");
            cat.arg(path).uid(OWNER).gid(OWNER);
            cat.output().unwrap().status.success()
        })
        .map(|(path, _)| path)
        .collect();
    let public = ["build/public", "build/t/public"].map(|path| project.at(path));
    assert_eq!(readable.len(), 2, "{readable:?}");
    assert!(
        public.iter().all(|path| readable.contains(path)),
        "{readable:?}"
    );
    for path in ["build/t", "build/t/public", "build/public"] {
        assert_eq!(
            fs::metadata(project.at(path)).unwrap().uid(),
            OWNER,
            "{path}"
        );
    }
    project.ok_as(ROOT, &["fsck", "--full"]);
}
