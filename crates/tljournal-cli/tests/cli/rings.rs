//! Commands that hold one thing and request another: a deadlock is detected, and everything else completes.

use crate::running::{Running, TLJOURNAL};
use crate::world::{Done, Project};

/// The arguments for holding or requesting something.
fn words(what: &str) -> Vec<&str> {
    match what.split_once(' ') {
        Some(("lock", name)) => vec!["exec", "--lock", name],
        Some(("file", name)) => vec!["exec", "--lock-file", name],
        Some(("tree", path)) => vec!["populate", path, "--key", "k"],
        Some(("pin", path)) => vec!["pin", path],
        _ => panic!("{what}"),
    }
}

/// Starts a command that holds one thing, reports that, and requests another on demand.
fn start(project: &Project, (held, wanted): (&str, &str)) -> Running {
    let wanted = words(wanted).join(" ");
    let script = format!("echo held; read x; exec {TLJOURNAL} {wanted} -- true");
    let args = [words(held), vec!["--", "sh", "-c", &script]].concat();
    let mut running = project.start(&args);
    assert_eq!(running.line(), "held", "{held}");
    running
}

/// Lets all of them make their requests, and waits for all.
fn all(rings: &[(&str, &str)]) -> Vec<Done> {
    let project = Project::new();
    let mut running: Vec<_> = rings.iter().map(|one| start(&project, *one)).collect();
    running.iter_mut().for_each(|one| one.tell("\n"));
    running.into_iter().map(Running::done).collect()
}

/// Two nested commands that took a lock file and a named lock in opposite orders waited for each other forever, and
/// two trees that were populated from within each other both failed.
#[test]
fn g15_of_a_deadlock_of_commands_exactly_one_fails_with_an_explanation() {
    for ring in [
        &[("lock a", "lock b"), ("lock b", "lock a")][..],
        &[("lock a", "file f"), ("file f", "lock a")],
        &[("file f", "file g"), ("file g", "file f")],
        &[("lock a", "tree build/x"), ("tree build/x", "lock a")],
        &[("file f", "tree build/x"), ("tree build/x", "file f")],
        &[
            ("tree build/x", "tree build/y"),
            ("tree build/y", "tree build/x"),
        ],
        &[
            ("lock a", "lock b"),
            ("lock b", "file f"),
            ("file f", "lock a"),
        ],
        &[("lock a:shared", "lock b"), ("lock b:shared", "lock a")],
    ] {
        let done = all(ring);
        let failed: Vec<_> = done.iter().filter(|done| done.code != 0).collect();
        assert_eq!(failed.len(), 1, "{ring:?}: {done:?}");
        assert_eq!(failed[0].code, 125, "{ring:?}: {failed:?}");
        for told in ["waiting for it would never end: process ", "in one order"] {
            assert!(failed[0].err.contains(told), "{ring:?}: {failed:?}");
        }
    }
}

/// Below a command that held something, a lock that was briefly taken was refused.
#[test]
fn g15_a_lock_whose_holder_waits_for_nothing_is_waited_for() {
    for (held, wanted) in [
        ("lock v", "tree build/x"),
        ("lock v", "lock a"),
        ("file f", "lock a"),
        ("tree build/y", "tree build/x"),
    ] {
        let project = Project::new();
        let holder = start(&project, (wanted, "lock free"));
        let mut waiting = start(&project, (held, wanted));
        waiting.tell("\n");
        let said = waiting.warning();
        assert!(said.contains("waiting for the lock"), "{said}");
        assert_eq!(holder.end(), 0, "{held} {wanted}");
        assert_eq!(waiting.end(), 0, "{held} {wanted}");
    }
}

/// A project with two trees, and what replaces them.
fn with_trees() -> Project {
    let project = Project::new();
    project.write("one/version", "1");
    project.write("two/version", "2");
    for tree in ["build/t", "build/u"] {
        project.ok(&["tree", "install", tree, "--from", "one"]);
    }
    project
}

/// Waits for trees were not listed: commands that pinned a tree and waited for each other's deadlocked.
#[test]
fn g15_a_ring_through_pinned_trees_is_seen_and_one_command_gives_up() {
    let install = |tree| format!("tree install {tree} --from two --on-pinned wait");
    let (lock, pin) = ("exec --lock a -- true", "pin build/t -- true");
    for ring in [
        [
            ("pin build/t", install("build/u")),
            ("pin build/u", install("build/t")),
        ],
        // A lock file may be the directory of a tree.
        [
            ("file build/t", lock.to_owned()),
            ("lock a", pin.to_owned()),
        ],
    ] {
        let project = with_trees();
        let begin = |(held, wanted): &(&str, String)| {
            let script = format!("echo held; read x; exec {TLJOURNAL} {wanted}");
            let args = [words(held), vec!["--", "sh", "-c", &script]].concat();
            let mut running = project.start(&args);
            assert_eq!(running.line(), "held", "{held}");
            running
        };
        let mut running: Vec<_> = ring.iter().map(begin).collect();
        running.iter_mut().for_each(|one| one.tell("\n"));
        let done: Vec<_> = running.into_iter().map(Running::done).collect();
        let failed: Vec<_> = done.iter().filter(|done| done.code != 0).collect();
        assert_eq!(failed.len(), 1, "{ring:?}: {done:?}");
        let told = "waiting for it would never end: process ";
        assert!(failed[0].err.contains(told), "{ring:?}: {failed:?}");
    }
}

/// A command below one that had locked the directory of a tree deadlocked.
#[test]
fn g15_a_lock_file_that_is_a_tree_is_borrowed_as_that_tree() {
    let project = with_trees();
    let locked = ["exec", "--lock-file", "build/t", "--"];
    for below in [
        &["pin", "build/t", "--", "true"][..],
        &["tree", "verify", "build/t"],
        &["tree", "install", "build/t", "--from", "two"],
    ] {
        project.ok(&[&locked[..], &[TLJOURNAL], below].concat());
    }
    assert_eq!(project.text("build/t/version"), "2");
    let pinned = ["pin", "build/t", "--", TLJOURNAL];
    let shared = ["exec", "--lock-file", "build/t:shared", "--", "true"];
    project.ok(&[&pinned[..], &shared].concat());
    let refused = project.run(&[&pinned[..], &locked, &["true"]].concat());
    assert_eq!(refused.code, 125, "{refused:?}");
}

/// A variable that was too long was ignored as a whole, so that a borrowed lock was waited for forever.
#[test]
fn g15_runs_that_are_nested_too_deeply_are_refused() {
    let project = Project::new();
    let run = "01920000-0000-7000-8000-000000000001";
    for times in [1771, 1800] {
        let around = vec![run; times].join(" ");
        let mut command = project.command(&["exec", "--", "true"]);
        let ended = command.env("TLJOURNAL_RUN", &around).output().unwrap();
        let ended = crate::world::done(ended);
        assert_eq!(ended.code, 125, "{times}: {ended:?}");
        for told in ["TLJOURNAL_RUN", "nest fewer"] {
            assert!(ended.err.contains(told), "{ended:?}");
        }
    }
    let around = vec![run; 1700].join(" ");
    let mut command = project.command(&["exec", "--", "true"]);
    let ended = command.env("TLJOURNAL_RUN", &around).status().unwrap();
    assert!(ended.success());
}
