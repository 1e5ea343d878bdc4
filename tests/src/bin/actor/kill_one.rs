//! Opens a journal, runs one transaction, or only recovers, or rebuilds the database, and is killed at one moment of
//! it.
//!
//! `kill-one ROOT run|recover|rebuild CASE MOMENT`. Prints `done` when the call with a guarantee has returned.

use std::io::Write;

use tljournal::RebuildOptions;
use tljournal::disk::Disk;
use tljournal_testkit::{Kill, Moment, World};
use tljournal_tests::case_named;

use crate::{Args, Played};

pub(crate) fn play(mut args: Args) -> Played {
    let mut next = || args.next().ok_or("kill-one ROOT run|recover CASE MOMENT");
    let (world, what, case) = (World::at(next()?), next()?, next()?);
    let kill = Kill::at(next()?.parse::<Moment>()?);
    if what == "rebuild" {
        let options = RebuildOptions {
            adopt: vec!["build/tools".parse()?],
            force: true,
        };
        let rebuilt = world
            .options()
            .disk(Disk::witnessed(std::sync::Arc::new(kill)))
            .rebuild(&options)?;
        return Ok(writeln!(std::io::stdout(), "{}", rebuilt.entries)?);
    }
    let case = case_named(&case);
    let journal = if what == "recover" {
        let journal = case.open_lacking(&world, kill)?;
        journal.recover()?;
        journal
    } else {
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
