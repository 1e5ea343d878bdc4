use crate::engine::Engine;
use crate::error::Error;
use crate::home::Staging;
use crate::lock;
use crate::model::{Change, Op, Spot, TxnId};

/// Deletes what a finished transaction has left at its spots, if nobody holds it: what was replaced, or
/// what was staged and not used. The caller has locked the directory, and no commit lock.
///
/// What was not the journal's own work goes aside instead. What is pinned stays, and so does the
/// directory then; the next sweep tries again.
pub(crate) fn discard(
    engine: &Engine,
    id: TxnId,
    staging: &Staging,
    changes: &[Change],
) -> Result<bool, Error> {
    let mut all_gone = true;
    for change in changes {
        if matches!(change.op, Op::Adopt | Op::Parent) {
            continue;
        }
        let Some((dir, name)) = engine.home.spot(id, change)? else {
            continue;
        };
        if dir.stat(&name)?.is_none() {
            continue;
        }
        if change.drift && change.spot == Spot::Home && change.pre.is_some() {
            let kept = engine
                .home
                .set_aside(&dir, &name, change.place.path.name())?;
            tracing::info!(path = %engine.home.shown(&change.place), kept, "kept what was replaced");
        } else if lock::is_locked_within(&dir, &name)? {
            tracing::info!(path = %engine.home.shown(&change.place), "the replaced tree is pinned");
            all_gone = false;
        } else {
            dir.remove_tree(&name)?;
        }
    }
    for name in staging.dir.names()? {
        if lock::is_locked_within(&staging.dir, &name)? {
            all_gone = false;
        } else if all_gone {
            // Nothing that a change accounts for: a file that was being staged when its owner died.
            staging.dir.remove_tree(&name)?;
        }
    }
    if all_gone {
        engine.home.txns.remove_dir(id.to_string())?;
    }
    Ok(all_gone)
}
