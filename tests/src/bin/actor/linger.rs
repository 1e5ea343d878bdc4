//! Opens a journal, stages a file, and commits when a line arrives: `linger ROOT PATH`. Prints its pid with the
//! number of transactions it rolled back and of killed runs it found, and then `done`.

use std::io::Write;

use tljournal::{Expect, Journal};

use crate::{Args, Played};

pub(crate) fn play(mut args: Args) -> Played {
    let mut next = || args.next().ok_or("linger ROOT PATH");
    let journal = Journal::open(next()?)?;
    let (rolled_back, dead_runs) = (journal.recovery().rolled_back, journal.recovery().dead_runs);
    let mut txn = journal.begin("linger");
    txn.put(next()?.as_str(), "content".as_bytes(), Expect::Any)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} {rolled_back} {dead_runs}", std::process::id())?;
    out.flush()?;
    std::io::stdin().read_line(&mut String::new())?;
    txn.prepare()?.commit()?;
    writeln!(out, "done")?;
    Ok(())
}
