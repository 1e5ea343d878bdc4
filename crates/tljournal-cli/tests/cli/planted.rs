//! The owner of a project plants other objects in the place of the journal's own files and waits for root to run a
//! command (G8, G13, G15): the target of a link is neither read, nor written, nor published, and nothing hangs.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::users::{OWNER, ROOT, all_below, set_mode, there_are_users};
use crate::world::{Project, done, listing};

/// The content that only root may read.
const SECRET: &str = "what root alone may read";

/// The planted objects.
const PLANTED: [&str; 6] = [
    "link",
    "link to a directory",
    "dangling",
    "fifo",
    "hard link",
    "directory",
];

/// The places, below the home; `*` is the directory of the transaction that removed a directory.
const PLACES: [&str; 16] = [
    ".state.db-journal",
    ".state/lock/commit",
    ".state/lock/db",
    ".state/lock/runs",
    ".state/lock/keys",
    ".state/lock/name",
    ".state/log",
    ".state/log/*",
    ".state/reserve",
    ".state/rebuilding.db",
    ".state/txn/*",
    ".state/txn/*/paths",
    ".state/txn/*/0",
    ".state/txn/*/0/sub",
    ".state/txn/*/0/sub/f",
    ".state/txn/*/1",
];

const COMMANDS: [&[&str]; 13] = [
    &["undo", "@rm", "--force"],
    &["restore", "build/d", "--at", "@before"],
    &["restore", "build/d/sub/f", "--at", "@before"],
    &["restore", "build/a", "--at", "@before"],
    &["restore", "build/t", "--at", "@before"],
    &["fsck", "--full"],
    &["fsck", "--repair", "build"],
    &["postmortem", "--json"],
    &["postmortem", "--bundle", "bundle"],
    &["report", "--html", "report"],
    &["put", "build/other", "--from", "content"],
    &["exec", "--log", "--lock", "vendor", "--", "true"],
    &["gc", "--keep-count", "0"],
];

/// A project with retained content of every kind, and the numbers of its last transactions.
fn project() -> (Project, String, String) {
    let project = Project::of_owner();
    for path in ["content", "tree/f", "build/d/sub/f"] {
        project.write_as(OWNER, path, "x");
    }
    for path in ["tree", "build/d", "build/d/sub"] {
        std::os::unix::fs::chown(project.at(path), Some(OWNER), Some(OWNER)).unwrap();
    }
    project.ok_as(OWNER, &["put", "build/a", "--from", "content"]);
    project.ok_as(OWNER, &["tree", "install", "build/t", "--from", "tree"]);
    project.run_as(
        OWNER,
        &["exec", "--log", "--", "sh", "-c", "echo log; exit 1"],
    );
    project.ok_as(OWNER, &["rm", "build/d", "build/a", "build/t"]);
    let last = project.run_as(OWNER, &["log", "-n", "1", "--json"]);
    let last = last.json()["transactions"][0]["number"].as_i64().unwrap();
    (project, last.to_string(), (last - 1).to_string())
}

/// The path of a place, if it exists.
fn resolve(project: &Project, place: &str) -> PathBuf {
    let mut path = project.at("build");
    for part in place.split('/') {
        path = match part {
            "*" => {
                let inside = fs::read_dir(&path).into_iter().flatten();
                let mut names: Vec<_> = inside.map(|entry| entry.unwrap().path()).collect();
                names.sort();
                names.pop().unwrap_or_else(|| path.join("none"))
            }
            part => path.join(part),
        };
    }
    path
}

/// Plants an object in a place, as the owner of the project could: replaces what is there by a link to root's secret,
/// for example.
fn plant(at: &Path, what: &str, outside: &Path) {
    if fs::symlink_metadata(at).is_ok() {
        fs::rename(at, at.with_extension("moved")).unwrap();
    }
    match what {
        "link" => symlink(outside.join("f"), at).unwrap(),
        "link to a directory" => symlink(outside, at).unwrap(),
        "dangling" => symlink(outside.join("new"), at).unwrap(),
        "fifo" => assert!(Command::new("mkfifo").arg(at).status().unwrap().success()),
        "hard link" => fs::hard_link(outside.join("f"), at).unwrap(),
        _ => fs::create_dir(at).unwrap(),
    }
}

/// Everything below a directory. The owner may remove a hard link of a file that was planted, which moves its ctime.
fn seen(outside: &Path, what: &str) -> Vec<String> {
    let mut seen = listing(outside);
    if what == "hard link" {
        for line in &mut seen {
            line.truncate(line.rfind('(').unwrap());
        }
    }
    seen
}

/// Files of the project, or reports, that contain the secret.
fn leaks(project: &Project, planted: &Path) -> Vec<String> {
    let leaks = all_below(project.path())
        .into_iter()
        .filter(|(path, meta)| {
            let was_there = path == planted || meta.nlink() > 1;
            meta.is_file() && !was_there && {
                let content = fs::read(path).unwrap();
                content
                    .windows(SECRET.len())
                    .any(|part| part == SECRET.as_bytes())
            }
        });
    leaks.map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn g13_planted_objects_never_make_root_read_write_or_wait() {
    if !there_are_users() {
        return;
    }
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut turn, mut tried) = (0, 0);
    for what in PLANTED {
        for at in PLACES {
            let (project, rm, before) = project();
            let outside = place
                .path()
                .join(format!("{what} {}", at.replace('/', " ")));
            fs::create_dir_all(outside.join("sub")).unwrap();
            for name in ["f", "sub/f", "commit", "db", "runs", "paths", "0", "1", "2"] {
                fs::write(outside.join(name), SECRET).unwrap();
                set_mode(outside.join(name), 0o600);
            }
            set_mode(&outside, 0o700);
            let path = resolve(&project, at);
            if path.parent().is_none_or(|dir| !dir.is_dir()) {
                continue;
            }
            let probe = project.at("probe");
            if what == "hard link" && fs::hard_link(outside.join("f"), &probe).is_err() {
                // The two are on different filesystems.
                continue;
            }
            let _none = fs::remove_file(probe);
            plant(&path, what, &outside);
            let untouched = seen(&outside, what);
            // Enough rounds for each command to run with it, as root and as the owner.
            for _ in 0..if what.contains("link") { 3 } else { 2 } {
                turn += 1;
                let user = if turn % 4 == 0 { OWNER } else { ROOT };
                let args: Vec<_> = COMMANDS[turn % COMMANDS.len()]
                    .iter()
                    .map(|arg| match *arg {
                        "@rm" => rm.as_str(),
                        "@before" => before.as_str(),
                        arg => arg,
                    })
                    .collect();
                let said = format!("{what} at {at}, {args:?} by {user}");
                let mut command = Command::new("timeout");
                command.args(["-k", "1", "20", env!("CARGO_BIN_EXE_tljournal")]);
                command.args(&args).current_dir(project.path());
                if user != ROOT {
                    command.uid(user).gid(user);
                }
                let done = done(command.output().unwrap());
                assert!(![124, 137].contains(&done.code), "{said} waits: {done:?}");
                assert!(!done.err.contains("panicked"), "{said}: {done:?}");
                let printed = format!("{}{}", done.out, done.err);
                assert!(!printed.contains(SECRET), "{said}: {done:?}");
                assert_eq!(seen(&outside, what), untouched, "{said}: {done:?}");
                assert_eq!(leaks(&project, &path), [""; 0], "{said}: {done:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 150, "only {tried} were tried");
}

/// The build directory of a user was a link to a directory of root, and root created a journal there.
#[test]
fn g13_root_does_not_follow_a_planted_link_in_place_of_the_home() {
    if !there_are_users() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let project = Project::of_owner();
    project.write("content", "x");
    fs::rename(project.at("build"), project.at("away")).unwrap();
    symlink(outside.path(), project.at("build")).unwrap();
    std::os::unix::fs::lchown(project.at("build"), Some(OWNER), Some(OWNER)).unwrap();
    for args in [
        &["init"][..],
        &["put", "build/x", "--from", "content"],
        &["status"],
        &["recover"],
        &["fsck"],
    ] {
        let done = project.run_as(ROOT, args);
        assert_ne!(done.code, 0, "{args:?}: {done:?}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{args:?}");
    }
    // A link of root, or a link to the user's own directory, is followed.
    fs::remove_file(project.at("build")).unwrap();
    symlink("away", project.at("build")).unwrap();
    std::os::unix::fs::lchown(project.at("build"), Some(OWNER), Some(OWNER)).unwrap();
    project.ok_as(ROOT, &["put", "build/x", "--from", "content"]);
    fs::remove_file(project.at("build")).unwrap();
    symlink(outside.path(), project.at("build")).unwrap();
    project.ok_as(ROOT, &["init"]);
}

/// Root created a lock file and replaced a report through a link of the user; only as the home such a link was refused.
#[test]
fn g13_a_link_on_the_way_to_a_file_leads_root_nowhere() {
    if !there_are_users() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("index.html"), "root's own").unwrap();
    let project = Project::of_owner();
    project.run_as(OWNER, &["exec", "--", "false"]);
    let link = |target: &Path, at: &str| {
        symlink(target, project.at(at)).unwrap();
        std::os::unix::fs::lchown(project.at(at), Some(OWNER), Some(OWNER)).unwrap();
    };
    link(outside.path(), "build/out");
    link(&outside.path().join("index.html"), "build/file");
    link(&outside.path().join("new"), "build/dangling");
    let untouched = listing(outside.path());
    for args in [
        &["report", "--html", "build/out/index.html"][..],
        &["export", "--format", "jsonl", "-o", "build/out/index.html"],
        &["postmortem", "--html", "build/out/index.html"],
        &["postmortem", "--bundle", "build/out/index.html"],
        &["exec", "--lock-file", "build/out/index.html", "--", "true"],
        &["exec", "--lock-file", "build/out/new", "--", "true"],
        &["exec", "--lock-file", "build/file", "--", "true"],
        &["exec", "--lock-file", "build/dangling", "--", "true"],
        &["put", "build/x", "--from", "build/file"],
        &["put", "build/x", "--from", "build/out/index.html"],
        &["tree", "install", "build/x", "--from", "build/out"],
        &["apply", "build/file"],
    ] {
        let done = project.run_as(ROOT, args);
        assert_ne!(done.code, 0, "{args:?}: {done:?}");
        assert!(
            !done.err.contains("root's own"),
            "{args:?} shows it: {done:?}"
        );
        assert_eq!(listing(outside.path()), untouched, "{args:?}: {done:?}");
        assert!(!project.has("build/x"), "{args:?}");
    }
    // Links of root, and links of the user to own entries, are followed.
    symlink(outside.path(), project.at("roots")).unwrap();
    project.ok_as(ROOT, &["report", "--html", "roots/index.html"]);
    fs::create_dir(project.at("reports")).unwrap();
    std::os::unix::fs::chown(project.at("reports"), Some(OWNER), Some(OWNER)).unwrap();
    link(Path::new("reports"), "own");
    project.ok_as(ROOT, &["report", "--html", "own/index.html"]);
    project.ok_as(ROOT, &["exec", "--lock-file", "own/lock", "--", "true"]);
}

/// The stage had a path in the user's directory, which the user replaced by a link while root's command ran.
#[test]
fn g13_a_stage_that_is_exchanged_for_a_link_has_root_fill_nothing_else() {
    if !there_are_users() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let project = Project::of_owner();
    let script = format!(
        "stage=$(readlink -f $TLJOURNAL_STAGE) && mv $stage $stage.x && ln -s {} $stage && \
         chown -h {OWNER} $stage && echo 1 > $TLJOURNAL_STAGE/keys",
        outside.path().display()
    );
    let populate = ["populate", "build/k", "--key", "1", "--", "sh", "-c"];
    let done = project.run_as(ROOT, &[&populate[..], &[&script]].concat());
    assert_ne!(done.code, 0, "{done:?}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!project.has("build/k"));
    project.ok_as(
        ROOT,
        &[&populate[..], &["echo 1 > $TLJOURNAL_STAGE/f"]].concat(),
    );
    assert_eq!(fs::metadata(project.at("build/k/f")).unwrap().uid(), OWNER);
}
