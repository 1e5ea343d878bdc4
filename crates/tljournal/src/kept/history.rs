use super::gc::Gc;
use crate::ambient;
use crate::catalog::Sync;
use crate::engine::Engine;
use crate::error::Error;
use crate::model::Limits;
use crate::model::Timestamp;

/// How many transactions are forgotten in one write, so that nobody waits long behind it.
const SLICE: u32 = 500;

/// Forgets the oldest transactions and runs that there are more of than there may be. Those stay that tell
/// of something that stands, or is kept, or has not ended.
pub(super) fn thin(
    engine: &Engine,
    limits: &Limits,
    dry_run: bool,
    done: &mut Gc,
) -> Result<(), Error> {
    let age = i64::try_from(limits.age.as_secs()).unwrap_or(i64::MAX);
    let before = Timestamp::new(ambient::now().secs().saturating_sub(age), 0);
    if dry_run {
        let (txns, runs) =
            engine.look(|catalog| catalog.count_forgettable(limits.count, before))?;
        (done.history_txns, done.history_runs) = (txns, runs);
        return Ok(());
    }
    loop {
        let old = engine.look(|catalog| catalog.forgettable(limits.count, before, SLICE))?;
        if old.is_empty() {
            return Ok(());
        }
        let (txns, runs) = engine.record(Sync::Normal, |catalog| catalog.forget(&old))?;
        done.history_txns += txns;
        done.history_runs += runs;
        if txns == 0 {
            return Ok(());
        }
    }
}
