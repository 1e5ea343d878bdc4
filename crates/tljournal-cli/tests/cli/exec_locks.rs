use std::process::Command;

use crate::running::{Running, TLJOURNAL};
use crate::world::Project;

const FREE: [&str; 2] = ["--", "true"];

/// Whether a lock can be acquired without waiting.
fn is_free(project: &Project, option: &str, lock: &str) -> bool {
    let done = project.run(&[&["exec", option, lock, "--no-wait"][..], &FREE].concat());
    assert!([0, 124].contains(&done.code), "{done:?}");
    done.code == 0
}

fn flock(project: &Project, args: &[&str]) -> Command {
    let mut command = Command::new("flock");
    command.args(args).current_dir(project.path());
    command
}

#[test]
fn a_lock_timeout_has_its_own_exit_code_and_names_the_holder() {
    let project = Project::new();
    let holder = project.holding(&["--lock", "a", "--label", "the vendor task"]);
    for (options, code) in [
        (&["--no-wait"][..], 124),
        (&["--wait", "0.05"], 124),
        (&["--lock-wait", "0.05"], 124),
        (&["--wait", "5ms", "-E", "77"], 77),
        (&["--no-wait", "--timeout-code", "0"], 0),
    ] {
        let args = [
            &["exec", "--lock", "a"][..],
            options,
            &["--", "touch", "ran"],
        ]
        .concat();
        let done = project.run(&args);
        assert_eq!(done.code, code, "{options:?}: {done:?}");
        let told = format!(
            "held by process {} (tljournal), for \"the vendor task\"",
            holder.pid()
        );
        assert!(done.err.contains(&told), "{done:?}");
        assert!(done.err.contains("--wait"), "{done:?}");
    }
    assert!(!project.has("ran"));
    assert_eq!(holder.end(), 0);
    assert!(is_free(&project, "--lock", "a"));
}

#[test]
fn g10_a_waiter_sees_the_holder_its_purpose_and_the_duration() {
    let project = Project::new();
    let alone = project.holding(&["--lock", "a", "--label", "the vendor task"]);
    let sharing = project.holding(&["--lock", "b:shared"]);
    let file = project.holding(&["--lock-file", "lf"]);
    for (option, lock, told, holder) in [
        ("--lock", "a", "\"the vendor task\"", &alone),
        ("--lock", "b", "exec --lock b:shared", &sharing),
        ("--lock-file", "lf", "exec --lock-file lf", &file),
    ] {
        let mut waiter = project.start(&[&["exec", option, lock][..], &FREE].concat());
        let said = waiter.warning();
        assert!(
            said.starts_with("tljournal: warning: waiting for the lock"),
            "{said}"
        );
        assert!(
            said.contains(&format!("held by process {} (tljournal)", holder.pid())),
            "{said}"
        );
        assert!(said.contains(told), "{said}");
        // The duration of the hold, or an upper bound.
        assert!(said.ends_with(" s"), "{said}");
        // While it waits a signal ends it as usual.
        waiter.signal("TERM");
        assert_eq!(waiter.ended(), 1015);
    }
    for holder in [alone, sharing, file] {
        assert_eq!(holder.end(), 0);
    }
}

#[test]
fn shared_holders_exclude_an_exclusive_request() {
    let project = Project::new();
    let one = project.holding(&["--lock", "a:shared"]);
    let two = project.holding(&["--lock", "a:shared"]);
    assert!(is_free(&project, "--lock", "a:shared"));
    assert!(!is_free(&project, "--lock", "a"));
    assert_eq!((one.end(), two.end()), (0, 0));
    assert!(is_free(&project, "--lock", "a"));
}

#[test]
fn locks_of_an_ancestor_are_borrowed_without_waiting() {
    let project = Project::new();
    let nested = format!(
        "{TLJOURNAL} exec --lock a:shared --lock a --lock b:shared --lock-file lf --no-wait -- \
         {TLJOURNAL} exec --lock a --lock-file ./lf --no-wait -- \
         {TLJOURNAL} put build/x --lock-wait 0"
    );
    let held = ["--lock", "a", "--lock", "b:shared", "--lock-file", "lf"];
    project.ok(&[&["exec"], &held[..], &["--", "sh", "-c", &nested]].concat());
    assert!(project.has("build/x"));
    // The borrower has not released it.
    let script = format!("{TLJOURNAL} exec --lock a -- true; echo held; read x; exit 0");
    let mut outer = project.start(&["exec", "--lock", "a", "--", "sh", "-c", &script]);
    assert_eq!(outer.line(), "held");
    assert!(!is_free(&project, "--lock", "a"));
    assert_eq!(outer.end(), 0);
}

#[test]
fn an_exclusive_request_for_a_lock_that_an_ancestor_shares_is_refused() {
    let project = Project::new();
    for (option, shared, alone) in [
        ("--lock", "a:shared", "a"),
        ("--lock-file", "lf:shared", "lf"),
    ] {
        let nested = ["--", TLJOURNAL, "exec", option, alone, "--", "true"];
        let done = project.run(&[&["exec", option, shared][..], &nested].concat());
        assert_eq!(done.code, 125, "{done:?}");
        assert!(
            done.err
                .contains("which this process belongs to, holds it shared"),
            "{done:?}"
        );
    }
}

#[test]
fn g6_locks_are_kept_when_the_wrapper_is_killed_but_not_its_command() {
    let project = Project::new();
    let script =
        format!("echo held; read x; {TLJOURNAL} exec --lock a --no-wait -- touch borrowed; exit 0");
    let held = ["--lock", "a", "--lock-file", "lf", "--label", "a task"];
    let args = [&["exec"], &held[..], &["--", "sh", "-c", &script]].concat();
    let mut wrapper = project.start(&args);
    assert_eq!(wrapper.line(), "held");
    let input = wrapper.kill();
    let done = project.run(&["exec", "--lock", "a", "--no-wait", "--", "true"]);
    assert_eq!(done.code, 124, "{done:?}");
    let told = "(sh), which inherited it from a process that has ended, for \"a task\"";
    assert!(done.err.contains(told), "{done:?}");
    assert!(!is_free(&project, "--lock-file", "lf"));
    let run = || {
        let mut runs = project.runs().into_iter();
        runs.find(|run| run.label.as_deref() == Some("a task"))
            .unwrap()
    };
    assert_eq!(run().ended_at, None, "its run is still running");
    drop(input);
    // This one waits until the processes that inherited the locks have ended.
    project.ok(&["exec", "--lock", "a", "--wait", "1m", "--", "true"]);
    assert!(
        project.has("borrowed"),
        "the command had its locks until its end"
    );
    assert!(is_free(&project, "--lock-file", "lf"));
    assert_eq!(run().outcome.as_deref(), Some("found dead"));
}

#[test]
fn g6_locks_are_released_when_the_command_ends_despite_its_daemons() {
    let project = Project::new();
    project.fifo("gate");
    let daemon = "sh -c 'echo started; read x < gate; echo $x > gate2' & exit 0";
    project.fifo("gate2");
    let held = ["--lock", "a", "--lock", "b:shared", "--lock-file", "lf"];
    project.ok(&[&["exec"], &held[..], &["--", "sh", "-c", daemon]].concat());
    assert!(is_free(&project, "--lock", "a"));
    assert!(is_free(&project, "--lock", "b"));
    assert!(is_free(&project, "--lock-file", "lf"));
    assert_eq!(project.json(&["status"])["open_runs"], 0);
    // The daemon was running all the time: it answers.
    std::fs::write(project.at("gate"), "alive\n").unwrap();
    assert_eq!(project.text("gate2"), "alive\n");
}

#[test]
fn a_lock_file_excludes_flock_and_is_excluded_by_it() {
    let project = Project::new();
    let holder = project.holding(&["--lock-file", "lf"]);
    assert_eq!(project.text("lf"), "", "nothing is written into it");
    let tried = flock(&project, &["-n", "-E", "9", "lf", "true"])
        .status()
        .unwrap();
    assert_eq!(tried.code(), Some(9));
    assert_eq!(holder.end(), 0);
    let mut foreign = Running::start(&mut flock(
        &project,
        &["lf", "sh", "-c", "echo held; read x"],
    ));
    assert_eq!(foreign.line(), "held");
    let done = project.run(&["exec", "--lock-file", "lf", "--no-wait", "--", "true"]);
    assert_eq!(done.code, 124, "{done:?}");
    assert!(done.err.contains("(flock): \"flock lf sh -c"), "{done:?}");
    foreign.end();
    let sharer = project.holding(&["--lock-file", "lf:shared"]);
    assert!(
        flock(&project, &["-s", "-n", "lf", "true"])
            .status()
            .unwrap()
            .success()
    );
    assert!(
        !flock(&project, &["-n", "lf", "true"])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(sharer.end(), 0);
    // A directory can be locked, and the content of an existing file is not changed.
    project.write("theirs", "content");
    project.ok(&[
        "exec",
        "--lock-file",
        "theirs",
        "--lock-file",
        "build",
        "--",
        "true",
    ]);
    assert_eq!(project.text("theirs"), "content");
}

#[test]
fn a_lock_file_that_was_replaced_meanwhile_is_locked_again() {
    let project = Project::new();
    let hold = ["lf", "sh", "-c", "echo held; read x"];
    let mut old = Running::start(&mut flock(&project, &hold));
    assert_eq!(old.line(), "held");
    let mut waiter = project.start(&["exec", "--lock-file", "lf", "--", "touch", "ran"]);
    assert!(waiter.warning().contains("(flock)"));
    project.write("new", "");
    std::fs::rename(project.at("new"), project.at("lf")).unwrap();
    let mut new = Running::start(&mut flock(&project, &hold));
    assert_eq!(new.line(), "held");
    let pid = new.pid();
    old.end();
    let said = waiter.warning();
    assert!(said.contains(&format!("process {pid} (flock)")), "{said}");
    assert!(!project.has("ran"));
    new.end();
    assert_eq!(waiter.end(), 0);
    assert!(project.has("ran"));
}

/// A run that holds `lock/db` would wait for itself, and closing a file of the database drops its locks.
#[test]
fn the_files_of_the_journal_itself_are_refused_as_lock_files() {
    let project = Project::new();
    std::os::unix::fs::symlink("build/.state", project.at("way")).unwrap();
    for file in [
        "build/.state/lock/db",
        "build/.state/lock/commit",
        "build/.state/new",
        "build/.state",
        "build/.state.db",
        "way/lock/db",
    ] {
        let done = project.run(&[&["exec", "--lock-file", file][..], &FREE].concat());
        assert_eq!(done.code, 125, "{file}: {done:?}");
        assert!(done.err.contains("journal's own files"), "{done:?}");
    }
    assert!(!project.has("build/.state/new"));
    assert!(is_free(&project, "--lock-file", "build/.statement"));
}

#[test]
fn one_file_by_two_names_and_one_lock_named_twice_are_locked_once() {
    let project = Project::new();
    project.write("sub/lf", "");
    std::os::unix::fs::symlink("sub/lf", project.at("link")).unwrap();
    let files = [
        "--lock-file",
        "link:shared",
        "--lock-file",
        "./sub/../sub/lf",
    ];
    let locks = ["--lock", "a", "--lock", "a:shared", "--no-wait"];
    project.ok(&[&["exec"], &files[..], &locks, &FREE].concat());
}

/// Links to one file were sorted by their paths, so the command waited for itself: for a file with two names, and for
/// a link to a missing file.
#[test]
fn two_names_of_one_lock_file_are_locked_once_even_if_it_is_missing() {
    let project = Project::new();
    project.write("h1", "");
    std::fs::hard_link(project.at("h1"), project.at("h2")).unwrap();
    std::os::unix::fs::symlink("missing", project.at("link")).unwrap();
    for (one, two) in [("h1", "h2"), ("h2:shared", "h1"), ("link", "missing")] {
        let files = ["--lock-file", one, "--lock-file", two, "--no-wait"];
        project.ok(&[&["exec"], &files[..], &FREE].concat());
    }
    assert!(project.has("missing"));
}

/// A process that waited for a lock in a build directory that was removed meanwhile acquired a lock on a deleted
/// file, at the same time as another process in the new directory.
#[test]
fn g6_a_lock_of_a_home_that_was_removed_meanwhile_is_refused() {
    let project = Project::new();
    let holder = project.holding(&["--lock", "a"]);
    let mut waiter = project.start(&["exec", "--lock", "a", "--", "touch", "ran"]);
    assert!(waiter.warning().contains("waiting for the lock"));
    std::fs::remove_dir_all(project.at("build")).unwrap();
    std::fs::create_dir(project.at("build")).unwrap();
    let next = project.holding(&["--lock", "a"]);
    holder.end();
    let said = waiter.warning();
    assert!(
        said.contains("replaced since the journal was opened"),
        "{said}"
    );
    assert_eq!(waiter.end(), 125);
    assert_eq!(next.end(), 0);
    assert!(!project.has("ran"));
}

/// A process that waited for a lock whose file was removed meanwhile held it at the same time as a process that
/// created it again.
#[test]
fn g6_a_lock_whose_file_was_removed_meanwhile_is_waited_for_again() {
    let project = Project::new();
    let holder = project.holding(&["--lock", "a"]);
    let mut waiter = project.start(&["exec", "--lock", "a", "--", "touch", "ran"]);
    assert!(waiter.warning().contains("waiting for the lock"));
    for name in ["a", "a.turnstile"] {
        std::fs::remove_file(project.at(&format!("build/.state/lock/name/{name}"))).unwrap();
    }
    let next = project.holding(&["--lock", "a", "--label", "the next one"]);
    assert_eq!(holder.end(), 0);
    let said = waiter.warning();
    assert!(said.contains("the next one"), "{said}");
    assert!(!project.has("ran"));
    assert_eq!(next.end(), 0);
    assert_eq!(waiter.end(), 0);
    assert!(project.has("ran"));
}

/// The holder was searched in the home of the waiting process, where its run is not known: a command waited for its
/// own ancestor.
#[test]
fn a_lock_file_is_lent_to_a_command_that_works_in_another_home() {
    let (project, other) = (Project::new(), Project::new());
    let root = other.path().to_str().unwrap();
    let file = project.at("lf").to_str().unwrap().to_owned();
    let nested = |held: &str, wanted: &str| {
        let outer = ["exec", "--lock-file", held, "--", TLJOURNAL, "--root", root];
        let inner = ["exec", "--lock-file", wanted, "--no-wait"];
        project.run(&[&outer[..], &inner, &FREE].concat())
    };
    let shared = format!("{file}:shared");
    for (held, wanted, code) in [
        (&file, &file, 0),
        (&file, &shared, 0),
        (&shared, &shared, 0),
        (&shared, &file, 125),
    ] {
        let done = nested(held, wanted);
        assert_eq!(done.code, code, "{held} {wanted}: {done:?}");
    }
    // A claim in the variable by a run that holds nothing is not believed.
    let env = ["--lock-file", "lf", "--", "sh", "-c", "echo $TLJOURNAL_RUN"];
    let told = project.ok(&[&["exec"], &env[..]].concat()).out;
    let holder = project.holding(&["--lock-file", "lf"]);
    let inner = ["--root", root, "exec", "--lock-file", &file, "--no-wait"];
    let mut liar = project.command(&[&inner[..], &FREE].concat());
    let ended = liar.env("TLJOURNAL_RUN", told.trim()).output().unwrap();
    assert_eq!(ended.status.code(), Some(124), "{ended:?}");
    assert_eq!(holder.end(), 0);
}

/// A process in the queue of a free lock was not named: the previous holder was reported, with its label. And a
/// request that does not wait found a free lock taken, because another process was passing the turnstile.
#[test]
fn g10_a_process_in_the_queue_is_named_and_blocks_only_waiters() {
    let project = Project::new();
    project.ok(&["exec", "--lock", "a", "--label", "the old", "--", "true"]);
    let turnstile = "build/.state/lock/name/a.turnstile";
    let mut first = Running::start(&mut flock(
        &project,
        &[turnstile, "sh", "-c", "echo held; read x"],
    ));
    assert_eq!(first.line(), "held");
    let done = project.run(&["exec", "--lock", "a", "--wait", "0.05", "--", "true"]);
    assert_eq!(done.code, 124, "{done:?}");
    assert!(
        done.err
            .contains(&format!("process {} (flock)", first.pid())),
        "{done:?}"
    );
    assert!(done.err.contains("first in line"), "{done:?}");
    assert!(!done.err.contains("the old"), "{done:?}");
    assert!(is_free(&project, "--lock", "a:shared"));
    assert!(is_free(&project, "--lock", "a"));
    first.end();
}
