//! The decision table. Pure: it sees names for what is on disk, and no disk.

use super::look::Seen;

/// Whether a transaction is being finished or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    Forward,
    Back,
}

/// What a change does, as far as renames go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    Create,
    Replace,
    Remove,
}

/// What to do next about one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Nothing: it is as it should be, or somebody went on from there and theirs stands.
    Done,
    /// Swap target and spot.
    Exchange,
    /// Rename the spot to the target, which is free.
    Publish,
    /// Rename the target to the spot, which is free.
    TakeOut,
    /// Somebody else's work is in the way.
    Blocked,
}

/// Decides about one change from what is at its target and at its spot.
pub(crate) fn decide(direction: Direction, shape: Shape, target: Seen, spot: Seen) -> Step {
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
        // Not waiting any more: it was published, and somebody went on from there.
        (Absent | Other | Pre, Absent | Other | Pre) => Step::Done,
    }
}

fn finish_replace(target: Seen, spot: Seen) -> Step {
    use Seen::{Absent, New, Other, Pre};
    match (target, spot) {
        (Pre, New) => Step::Exchange,
        (New, Pre | Absent | New) => Step::Done,
        // What came out is not what was expected: an editor saved in between.
        (New, Other) => Step::Blocked,
        // The exchange happened, and somebody went on from there.
        (Other | Absent, Pre | Absent) => Step::Done,
        (Other | Absent, New | Other) => Step::Blocked,
        // The new content is nowhere, and the old is still in place.
        (Pre, Pre | Absent | Other) => Step::Blocked,
    }
}

fn finish_remove(target: Seen, spot: Seen) -> Step {
    use Seen::{Absent, New, Other, Pre};
    match (target, spot) {
        (Pre, Absent) => Step::TakeOut,
        (Absent, Pre | Absent) => Step::Done,
        (Other | New, Pre) => Step::Done,
        // What came out is not what was expected, or what is there is not.
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
        // An editor's save that came out goes back where it was saved.
        (New, Pre | Other) => Step::Exchange,
        (New, Absent | New) => Step::Blocked,
        // Never exchanged, or nothing of ours is left to take back.
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

    /// What a step makes of target and spot; `None` if it could not be made.
    fn after(step: Step, target: Seen, spot: Seen) -> Option<(Seen, Seen)> {
        match step {
            Step::Done | Step::Blocked => Some((target, spot)),
            Step::Exchange if target == Seen::Absent || spot == Seen::Absent => None,
            Step::Exchange => Some((spot, target)),
            Step::Publish if target != Seen::Absent || spot == Seen::Absent => None,
            Step::Publish => Some((spot, Seen::Absent)),
            Step::TakeOut if target == Seen::Absent || spot != Seen::Absent => None,
            Step::TakeOut => Some((Seen::Absent, target)),
        }
    }

    fn every(check: impl Fn(Direction, Shape, Seen, Seen)) {
        for direction in [Direction::Forward, Direction::Back] {
            for shape in SHAPES {
                for target in SEEN {
                    for spot in SEEN {
                        check(direction, shape, target, spot);
                    }
                }
            }
        }
    }

    #[test]
    fn g1_every_step_can_be_made_and_the_next_look_finds_nothing_left_to_do() {
        every(|direction, shape, target, spot| {
            let step = decide(direction, shape, target, spot);
            let case = format!("{direction:?} {shape:?} {target:?} {spot:?}: {step:?}");
            let (target, spot) = after(step, target, spot).expect(&case);
            let next = decide(direction, shape, target, spot);
            let ends = matches!(step, Step::Done | Step::Blocked);
            assert!(
                ends || matches!(next, Step::Done | Step::Blocked),
                "{case}, then {next:?}"
            );
        });
    }

    #[test]
    fn g9_what_somebody_else_made_is_never_moved_except_back_to_where_they_made_it() {
        every(|direction, shape, target, spot| {
            let step = decide(direction, shape, target, spot);
            let case = format!("{direction:?} {shape:?} {target:?} {spot:?}: {step:?}");
            if target == Seen::Other {
                assert!(matches!(step, Step::Done | Step::Blocked), "{case}");
            }
            if spot == Seen::Other && !matches!(step, Step::Done | Step::Blocked) {
                assert_eq!(direction, Direction::Back, "{case}");
                assert!(matches!(step, Step::Exchange | Step::Publish), "{case}");
            }
        });
    }

    #[test]
    fn g1_an_undisturbed_change_goes_forward_to_the_end_and_back_to_the_beginning() {
        for (shape, begin, end) in [
            (
                Shape::Create,
                (Seen::Absent, Seen::New),
                (Seen::New, Seen::Absent),
            ),
            (
                Shape::Replace,
                (Seen::Pre, Seen::New),
                (Seen::New, Seen::Pre),
            ),
            (
                Shape::Remove,
                (Seen::Pre, Seen::Absent),
                (Seen::Absent, Seen::Pre),
            ),
        ] {
            let go = |direction, (target, spot)| {
                let step = decide(direction, shape, target, spot);
                after(step, target, spot).expect("a step that can be made")
            };
            for at in [begin, end] {
                assert_eq!(go(Direction::Forward, at), end, "{shape:?} from {at:?}");
                assert_eq!(go(Direction::Back, at), begin, "{shape:?} from {at:?}");
            }
        }
    }

    #[test]
    fn g1_what_was_replaced_or_removed_is_never_given_up_while_it_waits_to_go_back() {
        for shape in [Shape::Replace, Shape::Remove] {
            for target in SEEN.into_iter().filter(|target| *target != Seen::Pre) {
                let step = decide(Direction::Back, shape, target, Seen::Pre);
                assert_ne!(step, Step::Done, "{shape:?} {target:?}");
            }
        }
    }
}
