//! Which lane of the picture a run is in: parallel runs below each other, a run's children below it, and
//! what comes later in the lanes that have become free.

/// What has to be known of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bar {
    /// From where to where it is drawn, in percent.
    pub(super) from: f64,
    pub(super) to: f64,
    /// The run that started it; it comes earlier in the list.
    pub(super) parent: Option<usize>,
}

/// A run with all that it started: how high, and how far to the right.
#[derive(Debug, Clone, Copy)]
struct Block {
    height: usize,
    to: f64,
}

/// The lane of each run, and how many lanes there are. Bars are sorted by where they begin.
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
    // Below the parent; where the parent is comes later.
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

/// Gives each block the highest lanes that are free; says how many were needed.
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
    fn what_is_parallel_is_stacked_and_what_comes_later_takes_the_free_lane() {
        let bars = [
            bar(0.0, 5.0, None),
            bar(1.0, 9.0, None),
            bar(6.0, 8.0, None),
            bar(7.0, 9.0, None),
        ];
        assert_eq!(pack(&bars), (vec![0, 1, 0, 2], 3));
    }

    #[test]
    fn children_are_below_their_parent_and_nobody_else_is_between() {
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
    fn runs_that_claim_to_be_their_own_parents_are_nobodys_children() {
        let bars = [
            bar(0.0, 1.0, Some(1)),
            bar(0.0, 1.0, Some(1)),
            bar(0.0, 1.0, Some(0)),
        ];
        assert_eq!(pack(&bars).1, 3);
        assert_eq!(pack(&[]), (Vec::new(), 0));
    }
}
