//! The decision table of apply. It is pure: it receives the classified state of the disk.

use super::look::Seen;

/// Whether a transaction is being applied or undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    Forward,
    Back,
}

/// The kind of a change, as far as renames are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    Create,
    Replace,
    Remove,
}

/// The next step of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Nothing: the change is complete, or a later change of another program stands.
    Done,
    /// Exchange target and staging slot.
    Exchange,
    /// Rename the staging slot to the target, which is free.
    Publish,
    /// Rename the target to the staging slot, which is free.
    TakeOut,
    /// Rename what was moved out of the target to the staging slot, which is free: the end of an exchange by three
    /// renames.
    Stow,
    /// Rename what was moved out of the target back to it, which cancels an exchange by three renames.
    Return,
    /// A change of another program prevents it.
    Blocked,
}

/// Decides about one change from the state of its target, its staging slot, and the third name.
///
/// Where a filesystem cannot exchange, three renames are used: the target is moved out to a third name, the slot is
/// published, and what was moved out is moved to the slot. Something is at the third name only between these renames,
/// and the positions of the others show which renames have happened.
pub(crate) fn decide(
    direction: Direction,
    shape: Shape,
    target: Seen,
    spot: Seen,
    out: Seen,
) -> Step {
    use Seen::{Absent, New, Other, Pre};
    match (target, spot, out) {
        (_, _, Absent) => settled(direction, shape, target, spot),
        // Already published.
        (New | Pre | Other, Absent, _) => Step::Stow,
        (Absent, Absent, _) => Step::Return,
        // Not published yet: continue if an exchange would start from this state.
        (Absent, _, _) => match settled(direction, shape, out, spot) {
            Step::Exchange => Step::Publish,
            _ => Step::Return,
        },
        // Another program created something at the target while it was missing, as if after the replacement.
        (Other, New, Pre) if direction == Direction::Forward => Step::Done,
        (New | Pre | Other, _, _) => Step::Blocked,
    }
}

/// Decides when nothing is at the third name.
fn settled(direction: Direction, shape: Shape, target: Seen, spot: Seen) -> Step {
    match (direction, shape) {
        (Direction::Forward, Shape::Create) => finish_create(target, spot),
        (Direction::Forward, Shape::Replace) => finish_replace(target, spot),
        (Direction::Forward, Shape::Remove) => finish_remove(target, spot),
        (Direction::Back, Shape::Create) => undo_create(target, spot),
        (Direction::Back, Shape::Replace) => undo_replace(target, spot),
        (Direction::Back, Shape::Remove) => undo_remove(target, spot),
    }
}

fn finish_create(target: Seen, spot: Seen) -> Step {
    use Seen::{Absent, New, Other, Pre};
    match (target, spot) {
        (New, _) => Step::Done,
        (Absent, New) => Step::Publish,
        (Other | Pre, New) => Step::Blocked,
        // The staging slot no longer holds it: it was published, and another program changed the target since.
        (Absent | Other | Pre, Absent | Other | Pre) => Step::Done,
    }
}

fn finish_replace(target: Seen, spot: Seen) -> Step {
    use Seen::{Absent, New, Other, Pre};
    match (target, spot) {
        (Pre, New) => Step::Exchange,
        (New, Pre | Absent | New) => Step::Done,
        // The exchange returned something unexpected: an editor saved in between.
        (New, Other) => Step::Blocked,
        // The exchange happened, and another program changed the target since.
        (Other | Absent, Pre | Absent) => Step::Done,
        (Other | Absent, New | Other) => Step::Blocked,
        // The new content is missing, and the old content is still in place.
        (Pre, Pre | Absent | Other) => Step::Blocked,
    }
}

fn finish_remove(target: Seen, spot: Seen) -> Step {
    use Seen::{Absent, New, Other, Pre};
    match (target, spot) {
        (Pre, Absent) => Step::TakeOut,
        (Absent, Pre | Absent) => Step::Done,
        (Other | New, Pre) => Step::Done,
        // The content that was moved out, or that is at the target, is not the expected one.
        (Absent, Other | New) | (Other | New, Absent | Other | New) => Step::Blocked,
        (Pre, Pre | Other | New) => Step::Blocked,
    }
}

fn undo_create(target: Seen, spot: Seen) -> Step {
    use Seen::{Absent, New, Other, Pre};
    match (target, spot) {
        (New, Absent) => Step::TakeOut,
        (New, New | Other | Pre) => Step::Blocked,
        (Absent | Other | Pre, _) => Step::Done,
    }
}

fn undo_replace(target: Seen, spot: Seen) -> Step {
    use Seen::{Absent, New, Other, Pre};
    match (target, spot) {
        (Pre, _) => Step::Done,
        // An editor's save that the exchange returned is moved back to where it was saved.
        (New, Pre | Other) => Step::Exchange,
        (New, Absent | New) => Step::Blocked,
        // Never exchanged, or nothing of this transaction is left to undo.
        (Other | Absent, New) | (Other | Absent, Absent) => Step::Done,
        (Absent, Pre | Other) => Step::Publish,
        (Other, Pre | Other) => Step::Blocked,
    }
}

fn undo_remove(target: Seen, spot: Seen) -> Step {
    use Seen::{Absent, New, Other, Pre};
    match (target, spot) {
        (Pre, _) => Step::Done,
        (Absent, Pre | Other) => Step::Publish,
        (Absent, Absent | New) => Step::Blocked,
        (Other | New, Absent | New) => Step::Done,
        (Other | New, Pre | Other) => Step::Blocked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: [Seen; 4] = [Seen::Absent, Seen::Pre, Seen::New, Seen::Other];
    const SHAPES: [Shape; 3] = [Shape::Create, Shape::Replace, Shape::Remove];
    const DIRECTIONS: [Direction; 2] = [Direction::Forward, Direction::Back];

    /// The state of the target, the staging slot, and the third name.
    type At = (Seen, Seen, Seen);

    /// The state after a step; `None` if the step is impossible.
    fn after(step: Step, (target, spot, out): At, can_exchange: bool) -> Option<At> {
        use Seen::Absent;
        let (there, free) = (|seen| seen != Absent, |seen| seen == Absent);
        match step {
            Step::Done | Step::Blocked => Some((target, spot, out)),
            Step::Exchange if can_exchange => {
                (there(target) && there(spot)).then_some((spot, target, out))
            }
            Step::Exchange => {
                (there(target) && there(spot) && free(out)).then_some((Absent, spot, target))
            }
            Step::Publish => (there(spot) && free(target)).then_some((spot, Absent, out)),
            Step::TakeOut => (there(target) && free(spot)).then_some((Absent, target, out)),
            Step::Stow => (there(out) && free(spot)).then_some((target, out, Absent)),
            Step::Return => (there(out) && free(target)).then_some((out, spot, Absent)),
        }
    }

    fn next(direction: Direction, shape: Shape, (target, spot, out): At) -> Step {
        decide(direction, shape, target, spot, out)
    }

    fn ends(step: Step) -> bool {
        matches!(step, Step::Done | Step::Blocked)
    }

    /// All possible states: only a replacement uses the third name.
    fn every(check: impl Fn(Direction, Shape, At)) {
        for direction in DIRECTIONS {
            for shape in SHAPES {
                for target in SEEN {
                    for spot in SEEN {
                        for out in SEEN {
                            if shape == Shape::Replace || out == Seen::Absent {
                                check(direction, shape, (target, spot, out));
                            }
                        }
                    }
                }
            }
        }
    }

    /// All states from one state to the end.
    fn way(direction: Direction, shape: Shape, from: At, can_exchange: bool) -> Vec<At> {
        let mut way = vec![from];
        loop {
            let at = way[way.len() - 1];
            let step = next(direction, shape, at);
            if ends(step) {
                return way;
            }
            let then = after(step, at, can_exchange);
            way.push(then.unwrap_or_else(|| panic!("{direction:?} {shape:?} {at:?}: {step:?}")));
            assert!(way.len() < 6, "{direction:?} {shape:?}: endless: {way:?}");
        }
    }

    #[test]
    fn g1_every_step_is_possible_and_a_few_steps_reach_the_end() {
        every(|direction, shape, at| {
            for can_exchange in [true, false] {
                let way = way(direction, shape, at, can_exchange);
                let settled = at.2 == Seen::Absent;
                assert!(!settled || !can_exchange || way.len() <= 2, "{way:?}");
            }
        });
    }

    #[test]
    fn g9_the_work_of_another_program_is_only_moved_back_to_its_path() {
        every(|direction, shape, at| {
            let step = next(direction, shape, at);
            let case = format!("{direction:?} {shape:?} {at:?}: {step:?}");
            let (target, spot, out) = at;
            if target == Seen::Other {
                // What was moved out may still be moved to the slot.
                assert!(ends(step) || step == Step::Stow, "{case}");
            }
            if spot == Seen::Other && !ends(step) && step != Step::Return {
                assert_eq!(direction, Direction::Back, "{case}");
                assert!(matches!(step, Step::Exchange | Step::Publish), "{case}");
            }
            if out == Seen::Other && !ends(step) {
                let published = target != Seen::Absent;
                let back = Step::Return;
                assert_eq!(step, if published { Step::Stow } else { back }, "{case}");
            }
        });
    }

    const UNDISTURBED: [(Shape, At, At); 3] = {
        use Seen::{Absent, New, Pre};
        [
            (Shape::Create, (Absent, New, Absent), (New, Absent, Absent)),
            (Shape::Replace, (Pre, New, Absent), (New, Pre, Absent)),
            (Shape::Remove, (Pre, Absent, Absent), (Absent, Pre, Absent)),
        ]
    };

    #[test]
    fn g1_an_undisturbed_change_goes_forward_to_the_end_and_back_to_the_beginning() {
        for (shape, begin, end) in UNDISTURBED {
            for can_exchange in [true, false] {
                let forward = way(Direction::Forward, shape, begin, can_exchange);
                let back = way(Direction::Back, shape, end, can_exchange);
                // From every interruption it can continue or go back.
                for at in forward.into_iter().chain(back) {
                    let case = format!("{shape:?} from {at:?}");
                    let last = |direction| way(direction, shape, at, can_exchange).pop();
                    assert_eq!(last(Direction::Forward), Some(end), "{case}");
                    assert_eq!(last(Direction::Back), Some(begin), "{case}");
                }
            }
        }
    }

    #[test]
    fn g3_without_exchange_a_path_is_missing_between_two_renames_only() {
        let (shape, begin, end) = UNDISTURBED[1];
        for (direction, from) in [(Direction::Forward, begin), (Direction::Back, end)] {
            let way = way(direction, shape, from, false);
            let missing = way.iter().filter(|at| at.0 == Seen::Absent).count();
            assert_eq!((way.len(), missing), (4, 1), "{way:?}");
        }
    }

    #[test]
    fn g1_replaced_content_is_not_given_up_while_it_can_be_restored() {
        every(|direction, shape, at| {
            let waits = at.1 == Seen::Pre || at.2 == Seen::Pre;
            if direction == Direction::Back && waits && at.0 != Seen::Pre && shape != Shape::Create
            {
                assert_ne!(next(direction, shape, at), Step::Done, "{shape:?} {at:?}");
            }
        });
    }
}
