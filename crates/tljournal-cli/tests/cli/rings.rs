//! Commands that hold one thing and request another: a deadlock is detected, and everything else completes.

use crate::running::{Running, TLJOURNAL};
use crate::world::{Done, Project};

/// The arguments for holding or requesting something.
fn words(what: &str) -> Vec<&str> {
    match what.split_once(' ') {
        Some(("lock", name)) => vec!["exec", "--lock", name],
        Some(("file", name)) => vec!["exec", "--lock-file", name],
        Some(("tree", path)) => vec!["populate", path, "--key", "k"],
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
