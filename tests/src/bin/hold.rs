//! Takes a named lock of a journal, says `held`, and holds it until its input ends: `hold ROOT NAME`.

use std::io::{Read, Write};

use tljournal::{Journal, LockMode};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("hold ROOT NAME");
    let journal = Journal::open(next()?)?;
    let _lock = journal.lock(&next()?, LockMode::Exclusive, "a long build", None)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "held")?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
