use std::fs;

use tljournal::{EventFilter, Journal, Options, TxnFilter};
use tljournal_testkit::{Steps, World};

use crate::play::small;

/// The content of files outside of the project, which must not change.
pub(super) const VICTIM: &str = "precious, and not of the project";

/// A user's file in the project, at a path that no input names.
pub(super) const KEPT: (&str, &str) = ("build/keep/mine", "what a person keeps");

/// A project with files of every kind, and files outside of it.
pub(super) fn yard() -> World {
    let world = World::new();
    let outside = world.outside().join("outside");
    fs::create_dir_all(outside.join("dir")).expect("a directory beside the project");
    for name in ["victim", "dir/victim", "old.txt", "0", "1"] {
        fs::write(outside.join(name), VICTIM).expect("a file beside the project");
    }
    world.write(KEPT.0, KEPT.1);
    world.link("../../outside", "build/out");
    let journal = world.open();
    let steps = Steps::new("first")
        .put("build/old.txt", "old")
        .put("build/dir/other", "other")
        .put("Project.lock", "locked")
        .link("build/latest", "1.0.0")
        .tree("build/tools", small("one"));
    steps.try_commit(&journal).expect("a first commit");
    let steps = Steps::new("second").rebuildable("build/quick", small("quick"));
    steps.try_commit(&journal).expect("a second commit");
    journal.close().expect("a close");
    world
}

/// Uses a project as a user would: inspects it, opens it for work, inspects it again, changes something, closes it, and
/// opens it once more. Errors are permitted.
pub(super) fn use_as(options: &dyn Fn() -> Options) {
    look(options());
    for round in 0..2 {
        let Ok(journal) = options().work() else {
            continue;
        };
        read_all(&journal);
        let steps = Steps::new("use").put("build/mine", format!("{round}"));
        let _ = steps.try_commit(&journal);
        let _ = journal.recover();
        let _ = journal.close();
        look(options());
    }
}

const PATHS: [&str; 6] = [
    "build/old.txt",
    "build/tools",
    "build/quick",
    "build/latest",
    "Project.lock",
    "build/mine",
];

fn look(options: Options) {
    let Ok(found) = options.inspect() else {
        return;
    };
    let history = found.history();
    let _ = history.status();
    let _ = history.events(&EventFilter {
        limit: Some(50),
        ..EventFilter::default()
    });
    for txn in history
        .transactions(&TxnFilter::latest(20))
        .unwrap_or_default()
    {
        let _ = history.changes(txn.number);
    }
    for path in PATHS {
        let _ = history.entry(path);
        if let Ok(Some(manifest)) = history.manifest(path) {
            let _ = manifest.bytes();
        }
        let _ = found.verify(path, true);
    }
}

fn read_all(journal: &Journal) {
    let history = journal.history();
    let _ = history.status();
    for txn in history
        .transactions(&TxnFilter::default())
        .unwrap_or_default()
    {
        let _ = history.changes(txn.number);
        let _ = history.events(&EventFilter {
            txn: Some(txn.number),
            limit: Some(50),
            ..EventFilter::default()
        });
    }
    for path in PATHS {
        let _ = history.entry(path);
        let _ = history.manifest(path);
        let _ = journal.verify(path, false);
        let _ = journal.pin(path);
        if let Ok(reading) = journal.read() {
            let _ = reading.open(path);
        }
    }
}
