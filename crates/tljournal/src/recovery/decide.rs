//! The decision table of recovery. Pure.

use super::look::Evidence;
use crate::model::TxnState;

/// What recovery does with a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    /// Leave it: its owner is running, or it is outside this opener's reach.
    Leave,
    /// Discard what was staged.
    RollBack,
    /// Apply it.
    Finish,
    /// Undo what was applied.
    TakeBack,
    /// Delete its leftovers, unless a process has locked them.
    Sweep,
    /// Delete a directory of an unknown transaction: its row was not synced, so it never committed.
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
        // A running owner holds the commit lock, or is about to fail and leave the transaction to recovery.
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
    fn g6_the_transaction_of_a_running_owner_is_left_alone() {
        every(|evidence, fate| {
            if evidence.owner_lives {
                assert_eq!(fate, Fate::Leave, "{evidence:?}");
            }
        });
    }

    #[test]
    fn g1_the_row_decides_about_the_transaction_of_an_ended_owner() {
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
    fn g8_a_transaction_out_of_reach_is_neither_finished_nor_rolled_back() {
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
