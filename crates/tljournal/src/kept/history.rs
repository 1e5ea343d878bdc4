use super::gc::Gc;
use crate::ambient;
use crate::catalog::Sync;
use crate::engine::Engine;
use crate::error::Error;
use crate::look::Look;
use crate::model::{Limits, Timestamp};

/// How many transactions are forgotten in one write, so that nobody waits long behind it.
const SLICE: u32 = 500;

/// Forgets the oldest transactions and runs that there are more of than there may be. Those stay that tell
/// of something that stands, or is kept, or has not ended. So many slices at most.
pub(super) fn thin(
    engine: &Engine,
    limits: &Limits,
    slices: usize,
    done: &mut Gc,
) -> Result<(), Error> {
    let before = oldest(limits);
    for _ in 0..slices {
        let old = engine.look(|catalog| catalog.forgettable(limits.count, before, SLICE))?;
        if old.is_empty() {
            return Ok(());
        }
        let (txns, runs) = engine.record(Sync::Normal, |catalog| catalog.forget(&old))?;
        done.history_txns += txns;
        done.history_runs += runs;
        if txns == 0 && runs == 0 {
            break;
        }
    }
    Ok(())
}

/// Says how many [`thin`] would forget.
pub(super) fn plan(look: &Look<'_>, limits: &Limits, would: &mut Gc) -> Result<(), Error> {
    let before = oldest(limits);
    let (txns, runs) = look.ask(|catalog| catalog.count_forgettable(limits.count, before))?;
    (would.history_txns, would.history_runs) = (txns, runs);
    Ok(())
}

/// What began before this is older than it may be.
fn oldest(limits: &Limits) -> Timestamp {
    let age = i64::try_from(limits.age.as_secs()).unwrap_or(i64::MAX);
    Timestamp::new(ambient::now().secs().saturating_sub(age), 0)
}
