//! Nothing escapes (G8): no path, link, planted file or row makes the engine change anything outside of its
//! territory.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tljournal::RelPath;
use tljournal::disk::Verb;
use tljournal_testkit::{Meddle, Moment, Outcome, Steps, World};
use tljournal_tests::{case_named, tools};

use crate::ACTOR;

#[test]
fn g8_no_path_leads_out_of_the_root_or_into_the_journals_own_files() {
    let world = World::new();
    let outside = world.outside().join("victim");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "precious").unwrap();
    world.link(outside.as_str(), "build/evil");
    world.link(outside.join("file").as_str(), "build/link");
    let journal = world.open();
    let before = world.snapshot();
    let usage = [
        "/etc/x",
        "../x",
        "build/../../x",
        "",
        ".",
        "build",
        "build/.state.db",
    ];
    let usage =
        usage
            .into_iter()
            .chain(["build/.state/txn/x", "build/.state.db-wal", "build/.state"]);
    for path in usage {
        for steps in [
            Steps::new("put").put(path, "x"),
            Steps::new("rm").remove(path),
        ] {
            let outcome = steps.commit(&journal);
            assert!(
                matches!(outcome, Outcome::Usage(_)),
                "{path:?}: {outcome:?}"
            );
        }
    }
    let refused = [
        Steps::new("put").put("build/evil/file", "x"),
        Steps::new("put").put("build/evil/new/file", "x"),
        Steps::new("put").put("build/link", "x"),
        Steps::new("tree").tree("build/evil", tools()),
        Steps::new("tree").tree("build/evil/sub", tools()),
        Steps::new("link").link("build/evil/link", "x"),
    ];
    for steps in refused {
        let outcome = steps.commit(&journal);
        let Outcome::Conflict(text) = &outcome else {
            panic!("{steps:?}: {outcome:?}")
        };
        assert!(text.contains("symbolic link"), "{text}");
    }
    let below = Steps::new("rm").remove("build/evil/file").commit(&journal);
    assert!(!matches!(below, Outcome::Failed(_)), "{below:?}");
    assert_eq!(world.snapshot().differences(&before), [""; 0]);
    // The link itself can be removed, and its target stays.
    Steps::new("rm")
        .remove("build/evil")
        .remove("build/link")
        .try_commit(&journal)
        .unwrap();
    assert!(!world.exists("build/evil"));
    assert_eq!(
        fs::read_to_string(outside.join("file")).unwrap(),
        "precious"
    );
}

#[test]
fn g8_nothing_outside_of_the_territory_is_changed() {
    let world = World::new();
    let territory = RelPath::new("build/mine").unwrap();
    let journal = world.options().territory(territory).work().unwrap();
    for path in ["build/theirs", "file", "build/mine2"] {
        let outcome = Steps::new("put").put(path, "x").commit(&journal);
        let Outcome::Usage(text) = &outcome else {
            panic!("{path}: {outcome:?}")
        };
        assert!(text.contains("territory `build/mine`"), "{text}");
    }
    Steps::new("put")
        .put("build/mine/x", "x")
        .try_commit(&journal)
        .unwrap();
}

#[test]
fn g8_a_directory_replaced_by_a_link_meanwhile_is_not_followed() {
    let world = World::new();
    let outside = world.outside().join("victim");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x"), "precious").unwrap();
    let journal = world.open();
    Steps::new("one")
        .put("build/dir/x", "one")
        .try_commit(&journal)
        .unwrap();
    drop(journal);
    let (dir, moved, to) = (
        world.path("build/dir"),
        world.path("build/moved"),
        outside.clone(),
    );
    let swap = move || {
        fs::rename(&dir, &moved).unwrap();
        std::os::unix::fs::symlink(&to, &dir).unwrap();
    };
    let witness = Arc::new(Meddle::before_first(Verb::Exchange, swap));
    let journal = world.open_witnessed(&witness).unwrap();
    let outcome = Steps::new("two").put("build/dir/x", "two").commit(&journal);
    assert!(witness.is_done());
    drop(journal);
    drop(world.open());
    assert_eq!(
        fs::read_to_string(outside.join("x")).unwrap(),
        "precious",
        "{outcome:?}"
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{outcome:?}");
}

#[test]
fn g8_links_planted_in_place_of_the_journals_files_are_not_followed() {
    for name in [".state.db", ".state", ".state.db-wal"] {
        let world = World::new();
        let outside = world.outside().join("victim");
        fs::write(&outside, "precious").unwrap();
        world.link(outside.as_str(), &format!("build/{name}"));
        // It is moved away, and work continues.
        drop(world.open());
        assert_eq!(fs::read_to_string(&outside).unwrap(), "precious", "{name}");
    }
}

#[test]
fn g8_a_hostile_row_does_not_lead_recovery_out_of_the_root() {
    let case = case_named("put-replace");
    for path in [
        "../../victim",
        "/etc/victim",
        "x/../../../victim",
        ".state.db",
        "a\0b",
    ] {
        let world = World::new();
        let outside = world.outside().join("victim");
        fs::write(&outside, "precious").unwrap();
        case.prepare(&world);
        leave_committed(&world, "put-replace");
        let database = rusqlite::Connection::open(world.path("build/.state.db")).unwrap();
        let sql = "UPDATE change SET path = ?1 WHERE txn = (SELECT max(id) FROM txn)";
        database.execute(sql, [path]).unwrap();
        drop(database);
        // Refused or set aside: nothing outside changes.
        drop(world.try_open());
        assert_eq!(
            fs::read_to_string(&outside).unwrap(),
            "precious",
            "{path:?}"
        );
        assert!(!camino::Utf8Path::new("/etc/victim").exists());
    }
}

/// Kills a case so that its transaction is committed but not applied.
fn leave_committed(world: &World, case: &str) {
    for moment in Moment::all() {
        let done = Command::new(ACTOR)
            .args([
                "kill-one",
                world.root().as_str(),
                "run",
                case,
                &moment.to_string(),
            ])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(
            !done.success(),
            "{case} ended without having been committed"
        );
        let found = world.options().inspect().unwrap();
        if !found.history().status().unwrap().unfinished.is_empty() {
            return;
        }
    }
}
