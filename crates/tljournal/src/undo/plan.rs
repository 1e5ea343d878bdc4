use super::report::{NotKept, UndoAction};

/// The facts that decide about one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// The transaction only recorded existing content.
    pub(super) adopted: bool,
    /// The wanted state is not "absent".
    pub(super) wants_something: bool,
    /// The current state is the wanted one.
    pub(super) is_wanted: bool,
    /// The current state is what the transaction left; for a restore, what was recorded last.
    pub(super) is_left: bool,
    /// The current content is of another kind than the wanted one.
    pub(super) other_kind: bool,
    /// Why the wanted content is missing, if it is.
    pub(super) not_kept: Option<NotKept>,
}

/// The reason for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    AlreadySo,
    Adopted,
    /// Later changes would be, or are, lost.
    Lost,
    OtherKind,
    NotKept(NotKept),
}

/// Decides what is done at a path, and why.
///
/// | current state | content | `force` | done |
/// |---|---|---|---|
/// | the wanted one, or it was only recorded | | | keep |
/// | what the transaction left | retained, or "absent" is wanted | | restore, or remove |
/// | anything else | retained, or "absent" is wanted | no | refuse: it would be lost |
/// | anything else | retained, or "absent" is wanted | yes | restore, or remove; what is lost is named |
/// | another kind of thing than is wanted | | | refuse |
/// | | not retained | | refuse |
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
    fn later_changes_are_lost_only_if_forced_and_reported() {
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
    fn wanted_or_adopted_content_is_kept() {
        every_combination(|facts, force| {
            let (action, _) = decide(&facts, force);
            let stays = facts.adopted || facts.is_wanted;
            assert_eq!(action == UndoAction::Keep, stays, "{facts:?}");
        });
    }

    #[test]
    fn only_retained_content_is_restored_and_wanted_content_is_not_removed() {
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
    fn a_refusal_always_has_a_reason() {
        every_combination(|facts, force| {
            let (action, why) = decide(&facts, force);
            let needs = matches!(action, UndoAction::Refuse | UndoAction::Keep);
            assert!(!needs || why.is_some(), "{facts:?}");
            // With force only the impossible is refused.
            if force && action == UndoAction::Refuse {
                assert!(facts.not_kept.is_some() || facts.other_kind, "{facts:?}");
            }
        });
    }
}
