use super::gc::Gc;
use crate::ambient;
use crate::catalog::Sync;
use crate::engine::Engine;
use crate::error::Error;
use crate::look::Look;
use crate::model::{Limits, Timestamp};

/// The number of transactions deleted in one write, so that other writers do not wait long.
const SLICE: u32 = 500;

/// Deletes the oldest transactions and runs beyond the limits, at most this many slices. Rows stay if they describe
/// an existing entry, retained content, or something unfinished.
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

/// The number of rows that [`thin`] would delete.
pub(super) fn plan(look: &Look<'_>, limits: &Limits, would: &mut Gc) -> Result<(), Error> {
    let before = oldest(limits);
    let (txns, runs) = look.ask(|catalog| catalog.count_forgettable(limits.count, before))?;
    (would.history_txns, would.history_runs) = (txns, runs);
    Ok(())
}

/// The start time before which a row exceeds the age limit.
fn oldest(limits: &Limits) -> Timestamp {
    let age = i64::try_from(limits.age.as_secs()).unwrap_or(i64::MAX);
    Timestamp::new(ambient::now().secs().saturating_sub(age), 0)
}
