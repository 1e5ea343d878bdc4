//! A process with verification tags: `vouch ROOT write|clear|check`.
//!
//! `write` reports when it has a claim and runs until its standard input ends; `check` reports whether the tags are
//! valid for this process.

use std::io::Write;

use tljournal::Digest;
use twoliter_state::{EXTERNAL_KITS_DIR, Level, State, Verified};

use crate::{Args, Played};

pub(crate) fn play(mut args: Args) -> Played {
    let mut next = || args.next().ok_or("vouch ROOT write|clear|check");
    let state = State::open(next()?)?;
    match next()?.as_str() {
        "write" => {
            let verified = Verified::sdk(Digest::of(b"lock file"), "sdk").kits(["kit"]);
            state.write_tags(EXTERNAL_KITS_DIR, &verified)?;
            say("vouched")?;
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
        }
        "clear" => drop(state.cleanup_existing_tags(EXTERNAL_KITS_DIR)?),
        "check" => {
            let checks = state.check_tags(EXTERNAL_KITS_DIR, Level::Kits, true)?;
            let all = checks.iter().all(|check| check.why_not.is_none());
            say(if all { "mine" } else { "not mine" })?;
        }
        _ => return Err("vouch ROOT write|clear|check".into()),
    }
    Ok(())
}

fn say(word: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{word}")
}
