//! Shows how a program that embeds the engine tests its own transactions against power cuts.
//!
//! `cargo run -p tljournal-testkit --example power_cuts`

use std::io::Write;

use tljournal::Expect;
use tljournal_testkit::World;
use tljournal_testkit::crash::{Budget, Explorer, Progress, Subject};

/// Publishes a release: its notes, and the link to the latest one.
struct Publish;

impl Subject for Publish {
    fn prepare(&self, world: &World) {
        let journal = world.open();
        publish(&journal, "1.0.0");
        journal.close().expect("a journal that closes");
    }

    fn work(&self, world: &World, progress: &Progress) {
        let journal = world.open();
        for version in ["1.1.0", "2.0.0"] {
            progress.begin();
            publish(&journal, version);
            progress.done();
        }
        journal.close().expect("a journal that closes");
    }

    fn check(&self, world: &World, done: u32, begun: u32) -> Vec<String> {
        let allowed = &["1.0.0", "1.1.0", "2.0.0"][done as usize..=begun as usize];
        let latest = std::fs::read_link(world.path("build/latest"));
        let latest = latest.map(|to| to.to_string_lossy().into_owned());
        let notes = world.read("build/notes");
        match latest {
            Ok(latest) if notes == latest && allowed.contains(&notes.as_str()) => Vec::new(),
            latest => vec![format!(
                "{latest:?} and {notes:?} where {allowed:?} is right"
            )],
        }
    }
}

fn publish(journal: &tljournal::Journal, version: &str) {
    let mut txn = journal.begin("publish");
    txn.put("build/notes", version, Expect::Any)
        .and_then(|()| txn.link("build/latest", version, Expect::Any))
        .and_then(|()| txn.prepare()?.commit())
        .expect("a transaction that commits");
}

fn main() -> std::io::Result<()> {
    let explorer = Explorer::record(&Publish);
    let budget = Budget {
        seed: 1,
        states: 500,
        recoveries: 20,
    };
    let report = explorer.explore(budget);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{report}")?;
    for found in &report.found {
        writeln!(out, "{found}")?;
    }
    Ok(())
}
