use super::report::{NotKept, UndoAction};

/// What decides about one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// The transaction only recorded what it found.
    pub(super) adopted: bool,
    /// Something is to be there.
    pub(super) wants_something: bool,
    /// What is there is what is wanted.
    pub(super) is_wanted: bool,
    /// What is there is what the transaction left; for a restore, what was recorded last.
    pub(super) is_left: bool,
    /// Something of another kind than is wanted is there.
    pub(super) other_kind: bool,
    /// Why the content that is wanted is not there any more, if it is not.
    pub(super) not_kept: Option<NotKept>,
}

/// Why something is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    AlreadySo,
    Adopted,
    /// What others did since would be, or is, lost.
    Lost,
    OtherKind,
    NotKept(NotKept),
}

/// What is done at a path, and why.
///
/// | what is there | content | `force` | done |
/// |---|---|---|---|
/// | what is wanted, or it was only recorded | | | keep |
/// | what the transaction left | kept, or nothing is wanted | | restore, or remove |
/// | anything else | kept, or nothing is wanted | no | refuse: it would be lost |
/// | anything else | kept, or nothing is wanted | yes | restore, or remove; what is lost is named |
/// | another kind of thing than is wanted | | | refuse |
/// | | not kept | | refuse |
pub(super) fn decide(facts: &Facts, force: bool) -> (UndoAction, Option<Reason>) {
    if facts.adopted {
        return (UndoAction::Keep, Some(Reason::Adopted));
    }
    if facts.is_wanted {
        return (UndoAction::Keep, Some(Reason::AlreadySo));
    }
    let lost = (!facts.is_left).then_some(Reason::Lost);
    if let Some(lost) = lost.filter(|_| !force) {
        return (UndoAction::Refuse, Some(lost));
    }
    if !facts.wants_something {
        return (UndoAction::Remove, lost);
    }
    if let Some(why) = facts.not_kept {
        return (UndoAction::Refuse, Some(Reason::NotKept(why)));
    }
    if facts.other_kind {
        return (UndoAction::Refuse, Some(Reason::OtherKind));
    }
    (UndoAction::Restore, lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_combination(mut check: impl FnMut(Facts, bool)) {
        for bits in 0..64_u8 {
            let is = |bit: u8| bits & (1 << bit) != 0;
            for not_kept in [None, Some(NotKept::Thinned), Some(NotKept::KeyMaterial)] {
                let facts = Facts {
                    adopted: is(0),
                    wants_something: is(1),
                    is_wanted: is(2),
                    is_left: is(3),
                    other_kind: is(4),
                    not_kept,
                };
                check(facts, is(5));
            }
        }
    }

    #[test]
    fn what_others_did_is_lost_only_if_that_is_said_and_forced() {
        every_combination(|facts, force| {
            let (action, why) = decide(&facts, force);
            let acts = matches!(action, UndoAction::Restore | UndoAction::Remove);
            if acts && !facts.is_left {
                assert!(force, "{facts:?}");
                assert_eq!(why, Some(Reason::Lost), "{facts:?}");
            }
            if acts && facts.is_left {
                assert_eq!(why, None, "{facts:?}");
            }
        });
    }

    #[test]
    fn what_is_as_wanted_or_was_only_recorded_is_not_touched() {
        every_combination(|facts, force| {
            let (action, _) = decide(&facts, force);
            let stays = facts.adopted || facts.is_wanted;
            assert_eq!(action == UndoAction::Keep, stays, "{facts:?}");
        });
    }

    #[test]
    fn nothing_is_restored_that_is_not_kept_and_nothing_removed_that_is_wanted() {
        every_combination(|facts, force| match decide(&facts, force).0 {
            UndoAction::Restore => {
                assert!(
                    facts.wants_something && facts.not_kept.is_none(),
                    "{facts:?}"
                );
                assert!(!facts.other_kind, "{facts:?}");
            }
            UndoAction::Remove => assert!(!facts.wants_something, "{facts:?}"),
            UndoAction::Keep | UndoAction::Refuse => {}
        });
    }

    #[test]
    fn a_refusal_always_says_why() {
        every_combination(|facts, force| {
            let (action, why) = decide(&facts, force);
            let needs = matches!(action, UndoAction::Refuse | UndoAction::Keep);
            assert!(!needs || why.is_some(), "{facts:?}");
            // With force nothing is refused but what cannot be done.
            if force && action == UndoAction::Refuse {
                assert!(facts.not_kept.is_some() || facts.other_kind, "{facts:?}");
            }
        });
    }
}
