//! Maps times to positions in the picture.
//!
//! Builds are hours apart and their transactions take milliseconds: idle time is cut out, and the cut is shown with
//! its duration.

/// Idle time that is always cut, in nanoseconds.
const IDLE_MAX: i64 = 300_000_000_000;
/// Idle time that is never cut.
const IDLE_MIN: i64 = 1_000_000_000;
/// How much longer than all busy time a pause may be without being cut.
const IDLE_TO_WORK: i64 = 4;
/// The width of a cut, in percent, and of all cuts together.
const CUT_WIDTH: f64 = 2.5;
const CUTS_WIDTH: f64 = 25.0;
/// The smallest width of all busy stretches together.
const STRETCHES_WIDTH_MIN: f64 = 30.0;
/// The margin at both ends.
const MARGIN: f64 = 1.0;

/// A stretch of time with its position in the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece {
    /// Its start and end, in nanoseconds since 1970.
    pub(super) from: i64,
    pub(super) to: i64,
    /// Its position and width, in percent.
    pub(super) at: f64,
    pub(super) width: f64,
    /// Whether it is idle time that is drawn short.
    pub(super) cut: bool,
}

/// The shown time, in order and without gaps.
#[derive(Debug)]
pub(super) struct Scale {
    pub(super) pieces: Vec<Piece>,
}

impl Scale {
    /// `busy` holds the moments and stretches in which something happened.
    pub(super) fn new(mut busy: Vec<(i64, i64)>) -> Self {
        busy.sort_unstable();
        let merged = merge(&busy, 0);
        let worked: i64 = merged
            .iter()
            .map(|(from, to)| to - from)
            .fold(0, i64::saturating_add);
        let idle = worked
            .saturating_mul(IDLE_TO_WORK)
            .clamp(IDLE_MIN, IDLE_MAX);
        let mut stretches = merge(&busy, idle);
        if let [(from, to)] = stretches[..]
            && from == to
        {
            stretches = vec![(from, to + 1_000_000)];
        }
        Self {
            pieces: lay_out(&stretches),
        }
    }

    /// The position of a moment, in percent of the width.
    pub(super) fn at(&self, moment: i64) -> f64 {
        let next = self.pieces.partition_point(|piece| piece.to < moment);
        let Some(piece) = self.pieces.get(next) else {
            return 100.0 - MARGIN;
        };
        let into = (moment - piece.from).max(0) as f64;
        let length = (piece.to - piece.from).max(1) as f64;
        piece.at + piece.width * into / length
    }

    /// The stretches that are cut out.
    pub(super) fn cuts(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(|piece| piece.cut)
    }
}

/// Merges stretches whose distance is at most `apart`.
fn merge(sorted: &[(i64, i64)], apart: i64) -> Vec<(i64, i64)> {
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for &(from, to) in sorted {
        let to = to.max(from);
        match merged.last_mut() {
            Some(last) if from <= last.1.saturating_add(apart) => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

fn lay_out(stretches: &[(i64, i64)]) -> Vec<Piece> {
    let count = stretches.len();
    let cuts = count.saturating_sub(1) as f64;
    let cut = if cuts > 0.0 {
        CUT_WIDTH.min(CUTS_WIDTH / cuts)
    } else {
        0.0
    };
    let room = 100.0 - 2.0 * MARGIN - cut * cuts;
    let least = STRETCHES_WIDTH_MIN / count.max(1) as f64;
    let length = |(from, to): (i64, i64)| (to - from) as f64;
    let total: f64 = stretches.iter().copied().map(length).sum();
    let share = |stretch| room * length(stretch) / total.max(1.0);
    let wanted: f64 = stretches.iter().map(|&s| share(s).max(least)).sum();
    let mut pieces = Vec::with_capacity(2 * count);
    let mut at = MARGIN;
    for (index, &(from, to)) in stretches.iter().enumerate() {
        if let Some(before) = index.checked_sub(1).and_then(|index| stretches.get(index)) {
            let (from, to) = (before.1, from);
            let width = cut;
            pieces.push(Piece {
                from,
                to,
                at,
                width,
                cut: true,
            });
            at += cut;
        }
        let width = room * share((from, to)).max(least) / wanted;
        pieces.push(Piece {
            from,
            to,
            at,
            width,
            cut: false,
        });
        at += width;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn idle_hours_are_cut_and_everything_stays_in_order() {
        let scale = Scale::new(vec![
            (0, 60 * S),
            (7200 * S, 7260 * S),
            (7230 * S, 7290 * S),
        ]);
        let cuts: Vec<_> = scale.cuts().map(|cut| (cut.from, cut.to)).collect();
        assert_eq!(cuts, [(60 * S, 7200 * S)]);
        let moments = [0, 30, 60, 3600, 7200, 7230, 7290, 9999];
        let places: Vec<_> = moments.iter().map(|at| scale.at(at * S)).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(
            places[0] >= MARGIN && places[6] <= 100.0 - MARGIN + 1e-9,
            "{places:?}"
        );
        assert!(places[1] - places[0] > 10.0, "{places:?}");
    }

    #[test]
    fn short_pauses_are_shown_as_they_were() {
        let scale = Scale::new(vec![(0, S), (2 * S, 3 * S)]);
        assert_eq!(scale.pieces.len(), 1);
        let tenth = |at: i64| (scale.at(at) * 10.0).round() / 10.0;
        assert_eq!(
            (tenth(0), tenth(3 * S / 2), tenth(3 * S)),
            (1.0, 50.0, 99.0)
        );
    }

    #[test]
    fn a_single_moment_and_none_at_all_have_a_place() {
        assert_eq!(Scale::new(vec![(5, 5)]).at(5), MARGIN);
        assert!(Scale::new(Vec::new()).at(5).is_finite());
    }

    #[test]
    fn times_of_any_year_and_in_any_order_have_a_place() {
        let far = i64::MAX / 2;
        let scale = Scale::new(vec![(far, -far), (-far, far), (3, 1)]);
        for at in [-far, 0, far] {
            assert!((0.0..=100.0).contains(&scale.at(at)), "{}", scale.at(at));
        }
    }

    #[test]
    fn a_thousand_stretches_fit() {
        let scale = Scale::new(
            (0..1000)
                .map(|n| (n * 3600 * S, n * 3600 * S + S))
                .collect(),
        );
        let last = scale.pieces.last().copied();
        assert!(
            last.is_some_and(|piece| (piece.at + piece.width - 99.0).abs() < 1e-6),
            "{last:?}"
        );
    }
}
