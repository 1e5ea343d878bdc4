//! The lane of each run: concurrent runs in separate lanes, the children of a run below it, and later runs in lanes
//! that have become free.

/// The facts about a run for the layout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bar {
    /// Its extent, in percent.
    pub(super) from: f64,
    pub(super) to: f64,
    /// The run that started it, which is earlier in the list.
    pub(super) parent: Option<usize>,
}

/// A run with all its descendants: its height, and its right end.
#[derive(Debug, Clone, Copy)]
struct Block {
    height: usize,
    to: f64,
}

/// The lane of each run, and the number of lanes. Bars are sorted by their start.
pub(super) fn pack(bars: &[Bar]) -> (Vec<usize>, usize) {
    let parent = |index: usize| bars[index].parent.filter(|parent| *parent < index);
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); bars.len()];
    let mut roots = Vec::new();
    for index in 0..bars.len() {
        match parent(index) {
            Some(parent) => children[parent].push(index),
            None => roots.push(index),
        }
    }
    let own = |bar: &Bar| Block {
        height: 1,
        to: bar.to,
    };
    let mut blocks: Vec<_> = bars.iter().map(own).collect();
    // Relative to the parent, whose position follows later.
    let mut lanes = vec![0; bars.len()];
    for index in (0..bars.len()).rev() {
        let height = place(&children[index], bars, &blocks, &mut lanes);
        let ends = children[index].iter().map(|child| blocks[*child].to);
        blocks[index].to = ends.fold(blocks[index].to, f64::max);
        blocks[index].height = 1 + height;
    }
    let count = place(&roots, bars, &blocks, &mut lanes);
    for index in 0..bars.len() {
        if let Some(parent) = parent(index) {
            lanes[index] += lanes[parent] + 1;
        }
    }
    (lanes, count)
}

/// Places each block in the first free lanes; returns how many were needed.
fn place(which: &[usize], bars: &[Bar], blocks: &[Block], lanes: &mut [usize]) -> usize {
    let mut free_from: Vec<f64> = Vec::new();
    for &index in which {
        let Block { height, to } = blocks[index];
        let is_free = |lane: &f64| *lane <= bars[index].from;
        let fits = |at: &usize| free_from[*at..].iter().take(height).all(is_free);
        let at = (0..=free_from.len()).find(fits).unwrap_or_default();
        lanes[index] = at;
        if free_from.len() < at + height {
            free_from.resize(at + height, f64::MIN);
        }
        free_from[at..at + height].fill(to);
    }
    free_from.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(from: f64, to: f64, parent: Option<usize>) -> Bar {
        Bar { from, to, parent }
    }

    #[test]
    fn parallel_runs_are_stacked_and_later_runs_take_free_lanes() {
        let bars = [
            bar(0.0, 5.0, None),
            bar(1.0, 9.0, None),
            bar(6.0, 8.0, None),
            bar(7.0, 9.0, None),
        ];
        assert_eq!(pack(&bars), (vec![0, 1, 0, 2], 3));
    }

    #[test]
    fn children_are_directly_below_their_parent() {
        let bars = [
            bar(0.0, 9.0, None),
            bar(0.5, 9.0, None),
            bar(1.0, 3.0, Some(0)),
            bar(2.0, 4.0, Some(0)),
            bar(2.5, 2.8, Some(2)),
            bar(5.0, 6.0, Some(0)),
        ];
        assert_eq!(pack(&bars), (vec![0, 4, 1, 3, 2, 1], 5));
    }

    #[test]
    fn runs_that_claim_to_be_their_own_parents_have_no_parent() {
        let bars = [
            bar(0.0, 1.0, Some(1)),
            bar(0.0, 1.0, Some(1)),
            bar(0.0, 1.0, Some(0)),
        ];
        assert_eq!(pack(&bars).1, 3);
        assert_eq!(pack(&[]), (Vec::new(), 0));
    }
}
