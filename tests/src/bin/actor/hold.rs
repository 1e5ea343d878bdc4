//! Takes a named lock of a journal, prints `held`, and holds it until its input ends: `hold ROOT NAME`.

use std::io::{Read, Write};

use tljournal::{Journal, LockMode};

use crate::{Args, Played};

pub(crate) fn play(mut args: Args) -> Played {
    let mut next = || args.next().ok_or("hold ROOT NAME");
    let journal = Journal::open(next()?)?;
    let _lock = journal.lock(&next()?, LockMode::Exclusive, "a long build", None)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "held")?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
