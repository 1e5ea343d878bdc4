//! Refusals, and the handling of planted, lost, damaged or newer files (G6, G9, G10, G11). Tests of scope are in
//! `guarantees_scope`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tljournal::{Conflict, ConflictKind, Error, Expect, LockMode, Unsupported};
use tljournal_testkit::{Outcome, Steps, World, check_at_rest, explain};
use tljournal_tests::{quiet, start, tools};

use crate::ACTOR;

/// A process that holds a named lock.
fn holder(world: &World, name: &str) -> Child {
    let mut command = Command::new(ACTOR);
    command.args(["hold", world.root().as_str(), name]);
    let mut child = start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "held\n");
    child
}

#[test]
fn g6_a_lock_is_released_when_its_process_exits() {
    let world = World::new();
    let mut child = holder(&world, "sdk");
    let journal = world.open();
    let exclusive = |limit| journal.lock("sdk", LockMode::Exclusive, "mine", limit);
    assert!(exclusive(Some(Duration::from_millis(20))).is_err());
    child.kill().unwrap();
    child.wait().unwrap();
    // Without a limit: if it were not released this would never return.
    exclusive(None).unwrap().release();
}

#[test]
fn g10_a_lock_timeout_names_the_holder_its_purpose_and_that_it_is_stopped() {
    let world = World::new();
    let mut child = holder(&world, "sdk");
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::STOP).unwrap();
    let journal = world.open();
    let limit = Some(Duration::from_millis(20));
    let error = journal
        .lock("sdk", LockMode::Shared, "mine", limit)
        .unwrap_err();
    assert!(matches!(error, Error::Lock(_)), "{error:?}");
    let text = explain(&error);
    for word in [&child.id().to_string(), "a long build", "stopped", "sdk"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn with_content() -> World {
    let world = World::new();
    let journal = world.open();
    let steps = Steps::new("one")
        .put("build/file", "one")
        .tree("build/tools", tools());
    steps.try_commit(&journal).unwrap();
    journal.close().unwrap();
    world
}

#[test]
fn g9_a_lost_database_is_created_again_and_files_on_disk_stay() {
    let _quiet = quiet();
    let world = with_content();
    for name in [".state.db", ".state.db-wal", ".state.db-shm"] {
        let _ = fs::remove_file(world.path(&format!("build/{name}")));
    }
    // The database itself is an entry of the home.
    let snapshot = || world.snapshot().ignoring_parents_of("build/.state.db");
    let before = snapshot();
    let journal = world.open();
    snapshot().assert_matches(&before);
    let again = Steps::new("again")
        .put("build/file", "one")
        .tree("build/tools", tools());
    let receipt = again.try_commit(&journal).unwrap();
    assert!(
        !receipt.changed_anything(),
        "existing content is adopted: {receipt:?}"
    );
    assert!(journal.history().entry("build/tools").unwrap().is_some());
    snapshot().assert_matches(&before);
    drop(journal);
    assert_eq!(check_at_rest(&world), [""; 0]);
}

#[test]
fn g9_a_corrupt_database_is_set_aside_and_created_again() {
    for (name, from) in [("its header", 0), ("its pages", 4096)] {
        let world = with_content();
        let path = world.path("build/.state.db");
        let mut bytes = fs::read(&path).unwrap();
        bytes[from..].fill(0xa5);
        fs::write(&path, &bytes).unwrap();
        let before = world.snapshot();
        let journal = match world.try_open() {
            Ok(journal) => journal,
            Err(error) => panic!("{name}: {}", explain(&error)),
        };
        let steps = Steps::new("two").put("build/other", "two");
        // Damage may be detected after the opening: then the next opening repairs it.
        let journal = match steps.try_commit(&journal) {
            Ok(_) => journal,
            Err(Error::Damaged(_) | Error::Usage(_)) => {
                drop(journal);
                let journal = world.open();
                steps.try_commit(&journal).unwrap();
                journal
            }
            Err(error) => panic!("{name}: {}", explain(&error)),
        };
        drop(journal);
        let aside = fs::read_dir(world.path("build/.state/aside"))
            .unwrap()
            .flatten();
        let mut kept = aside.filter_map(|dir| fs::read(dir.path().join(".state.db")).ok());
        assert!(
            kept.any(|kept| kept == bytes),
            "{name}: it was not set aside"
        );
        assert_eq!(world.read("build/file"), "one");
        let found = world.snapshot().below("build/tools");
        found.assert_matches(&before.below("build/tools"));
    }
}

#[test]
fn g9_a_newer_format_is_refused_and_left_as_it_is() {
    let world = with_content();
    let path = world.path("build/.state.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute("UPDATE home SET incompat = 1 << 40", [])
        .unwrap();
    database
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(database);
    let all = || ["", "-wal"].map(|end| fs::read(format!("{path}{end}")).unwrap_or_default());
    let before = all();
    let error = world.try_open().unwrap_err();
    assert!(
        matches!(error, Error::Unsupported(Unsupported::Format(_))),
        "{error:?}"
    );
    assert!(explain(&error).contains("newer"), "{}", explain(&error));
    assert!(world.options().inspect().is_err());
    assert!(all() == before, "the database was touched");
}

#[test]
fn g9_a_foreign_database_is_not_used() {
    let world = with_content();
    let path = world.path("build/.state.db");
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{path}{end}"));
    }
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
        .unwrap();
    drop(database);
    let bytes = fs::read(&path).unwrap();
    let journal = world.open();
    assert!(journal.recovery().database_set_aside.is_some());
    let kept = journal.recovery().database_set_aside.clone().unwrap();
    assert_eq!(fs::read(format!("{kept}/.state.db")).unwrap(), bytes);
}

#[test]
fn g10_conflicts_say_where_and_why() {
    let world = World::new();
    let journal = world.open();
    let one = Steps::new("one")
        .put("build/file", "one")
        .link("build/link", "x");
    one.try_commit(&journal).unwrap();
    let digest = tljournal::Digest::of(b"other");
    let refused = [
        (
            Steps::new("a")
                .put("build/file", "x")
                .expecting(Expect::Absent),
            "build/file",
            "expected absent",
        ),
        (
            Steps::new("b")
                .put("build/new", "x")
                .expecting(Expect::Present),
            "build/new",
            "found nothing",
        ),
        (
            Steps::new("c")
                .put("build/file", "x")
                .expecting(Expect::Digest(digest)),
            "build/file",
            "sha256:",
        ),
        (
            Steps::new("d").put("build/file/below", "x"),
            "build/file",
            "not a directory",
        ),
        (
            Steps::new("e").put("build/link", "x"),
            "build/link",
            "symbolic link",
        ),
        (
            Steps::new("f").tree("build/file", tools()),
            "build/file",
            "remove it first",
        ),
    ];
    let before = world.snapshot();
    for (steps, path, why) in refused {
        let outcome = steps.commit(&journal);
        let Outcome::Conflict(text) = &outcome else {
            panic!("{steps:?}: {outcome:?}")
        };
        assert!(text.contains(path) && text.contains(why), "{text}");
    }
    assert_eq!(world.snapshot().differences(&before), [""; 0]);
    let error = Error::from(Conflict {
        path: "x".to_owned(),
        kind: ConflictKind::Edited,
    });
    assert!(error.to_string().contains("that change was kept"));
}

/// A filesystem of a few megabytes while this exists; `None` if it cannot be created.
struct Tiny(World);

impl Tiny {
    fn mount(options: &str) -> Option<Self> {
        let world = World::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs", world.root().as_str()]);
        let mounted = start(mount.stderr(Stdio::null())).wait().unwrap();
        mounted.success().then_some(Self(world))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = start(Command::new("umount").arg(self.0.root())).wait();
    }
}

#[test]
fn g11_a_disk_that_is_really_full_loses_nothing() {
    for options in ["size=6m", "size=64m,nr_inodes=60"] {
        let Some(tiny) = Tiny::mount(options) else {
            println!("skipped: no small filesystem can be mounted here");
            return;
        };
        let world = &tiny.0;
        let _quiet = quiet();
        let journal = world.open();
        Steps::new("one")
            .put("build/file", "one")
            .try_commit(&journal)
            .unwrap();
        fill(world);
        let before = world.snapshot();
        let much = Steps::new("much")
            .put("build/file", vec![b'x'; 7 << 20])
            .tree("build/tools", tools());
        let error = much.try_commit(&journal).unwrap_err();
        assert!(
            matches!(error, Error::Disk(_) | Error::Catalog(_) | Error::Source(_)),
            "{error:?}"
        );
        assert_eq!(world.snapshot().differences(&before), [""; 0], "{options}");
        assert!(
            world.left_in_staging().is_empty(),
            "what was staged is gone: {options}"
        );
        drop(journal);
        // It can be opened and read while it is full, and works again when it is not.
        let journal = world.open();
        assert!(journal.history().entry("build/file").unwrap().is_some());
        for name in world
            .snapshot()
            .paths()
            .filter(|path| path.starts_with("fill"))
        {
            fs::remove_file(world.path(name)).unwrap();
        }
        Steps::new("two")
            .put("build/file", "two")
            .try_commit(&journal)
            .unwrap();
        journal.close().unwrap();
        assert_eq!(world.read("build/file"), "two");
        assert_eq!(check_at_rest(world), [""; 0]);
    }
}

/// Uses up all blocks or inodes.
fn fill(world: &World) {
    for n in 0..1000 {
        let path = world.path(&format!("fill{n}"));
        if fs::write(&path, vec![0; 256 << 10]).is_err() {
            break;
        }
    }
    for n in 0..1000 {
        if fs::write(world.path(&format!("fill-small{n}")), [0; 1]).is_err() {
            return;
        }
    }
}
