//! Opens a journal, runs one transaction, or only recovers, and is killed at one moment of it.
//!
//! `kill-one ROOT CASE|recover MOMENT`. Says `done` when the call that promises something has returned.

use std::io::Write;
use std::sync::Arc;

use tljournal_testkit::{Kill, Moment, World};
use tljournal_tests::case_named;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("kill-one ROOT CASE|recover MOMENT");
    let (root, case, moment) = (next()?, next()?, next()?.parse::<Moment>()?);
    let world = World::at(root);
    let kill = Kill::at(moment);
    let journal = if case == "recover" {
        let journal = world.open_witnessed(&Arc::new(kill))?;
        journal.recover()?;
        journal
    } else {
        let case = case_named(&case);
        let journal = case.open(&world, kill)?;
        case.run(&journal)?;
        journal
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "done")?;
    out.flush()?;
    journal.close()?;
    Ok(())
}
