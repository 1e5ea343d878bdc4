//! The decision table of recovery. Pure.

use super::look::Evidence;
use crate::model::TxnState;

/// What becomes of a transaction that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    /// It is somebody's who lives, or not ours to touch.
    Leave,
    /// Give up what was staged.
    RollBack,
    /// Put it in place.
    Finish,
    /// Put back what was there.
    TakeBack,
    /// Delete what it left, if nobody holds it.
    Sweep,
    /// Delete a directory that no row accounts for: the row was not synced, so it never committed.
    RemoveOrphan,
}

/// Decides about one transaction.
pub(super) fn decide(evidence: &Evidence) -> Fate {
    let Evidence {
        state,
        owner_lives,
        within_reach,
        directory,
    } = *evidence;
    match state {
        None if directory && !owner_lives => Fate::RemoveOrphan,
        None => Fate::Leave,
        Some(TxnState::Staging) if owner_lives => Fate::Leave,
        Some(TxnState::Staging) => Fate::RollBack,
        // Its owner holds the commit lock while it lives, or is about to fail and leave it to us.
        Some(TxnState::Committed | TxnState::Aborting) if owner_lives || !within_reach => {
            Fate::Leave
        }
        Some(TxnState::Committed) => Fate::Finish,
        Some(TxnState::Aborting) => Fate::TakeBack,
        Some(TxnState::Applied | TxnState::Aborted) if directory && !owner_lives => Fate::Sweep,
        Some(TxnState::Applied | TxnState::Aborted | TxnState::Stuck) => Fate::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(check: impl Fn(Evidence, Fate)) {
        for state in TxnState::ALL.into_iter().map(Some).chain([None]) {
            for bits in 0..8 {
                let bit = |at: u32| bits >> at & 1 == 1;
                let evidence = Evidence {
                    state,
                    owner_lives: bit(0),
                    within_reach: bit(1),
                    directory: bit(2),
                };
                check(evidence, decide(&evidence));
            }
        }
    }

    #[test]
    fn g6_nothing_of_a_living_owner_is_touched() {
        every(|evidence, fate| {
            if evidence.owner_lives {
                assert_eq!(fate, Fate::Leave, "{evidence:?}");
            }
        });
    }

    #[test]
    fn g1_what_a_dead_owner_left_is_decided_by_its_row_alone() {
        every(|evidence, fate| {
            if evidence.owner_lives {
                return;
            }
            let expected = match (evidence.state, evidence.within_reach, evidence.directory) {
                (Some(TxnState::Staging), ..) => Fate::RollBack,
                (Some(TxnState::Committed), true, _) => Fate::Finish,
                (Some(TxnState::Aborting), true, _) => Fate::TakeBack,
                (Some(TxnState::Applied | TxnState::Aborted), _, true) => Fate::Sweep,
                (None, _, true) => Fate::RemoveOrphan,
                _ => Fate::Leave,
            };
            assert_eq!(fate, expected, "{evidence:?}");
        });
    }

    #[test]
    fn g8_what_reaches_beyond_the_opener_is_neither_finished_nor_taken_back() {
        every(|evidence, fate| {
            if !evidence.within_reach {
                assert!(
                    !matches!(fate, Fate::Finish | Fate::TakeBack),
                    "{evidence:?}"
                );
            }
        });
    }
}
