//! The graph beside the log: a lane for each run that is open at that time.

use std::collections::{BTreeMap, HashMap};

use anstyle::{AnsiColor, Style};

/// The colours of lanes, in the order in which runs appear.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::Green,
    AnsiColor::Red,
];

/// One row of the log: which run it belongs to, and when it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) run: i64,
    pub(crate) at: i128,
}

/// When a run was open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: i128,
    pub(crate) to: i128,
}

/// What stands in a lane beside a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    /// No run is open in it.
    Empty,
    /// This run is open.
    Open(i64),
    /// The row is this run's.
    Here(i64),
}

/// The lanes beside each row. The first row is the latest. Runs for which there is no lane of their own
/// share the last one.
pub(crate) fn lanes(rows: &[Row], spans: &HashMap<i64, Span>, lanes_max: usize) -> Vec<Vec<Cell>> {
    let lanes_max = lanes_max.max(1);
    let mut reach: BTreeMap<i64, (usize, usize)> = BTreeMap::new();
    for (run, span) in spans {
        let open = |row: &Row| row.run == *run || (span.from <= row.at && row.at <= span.to);
        let first = rows.iter().position(open);
        let last = rows.iter().rposition(open);
        reach.extend(first.zip(last).map(|reach| (*run, reach)));
    }
    let mut held: Vec<Vec<i64>> = Vec::new();
    let mut drawn = Vec::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        let mut begun: Vec<_> = reach
            .iter()
            .filter(|(_, (first, _))| *first == at)
            .map(|(run, _)| *run)
            .collect();
        // The one that the row belongs to gets the first lane that is free.
        begun.sort_by_key(|run| (*run != row.run, std::cmp::Reverse(*run)));
        for run in begun {
            let free = held.iter().position(Vec::is_empty);
            match free {
                Some(lane) => held[lane].push(run),
                None if held.len() < lanes_max => held.push(vec![run]),
                None => held[lanes_max - 1].push(run),
            }
        }
        drawn.push(held.iter().map(|runs| cell(runs, row.run)).collect());
        for lane in &mut held {
            lane.retain(|run| reach.get(run).is_some_and(|(_, last)| *last > at));
        }
        while held.last().is_some_and(Vec::is_empty) {
            held.pop();
        }
    }
    drawn
}

fn cell(runs: &[i64], here: i64) -> Cell {
    match runs {
        [] => Cell::Empty,
        runs if runs.contains(&here) => Cell::Here(here),
        [run, ..] => Cell::Open(*run),
    }
}

/// The look of each run, by the order in which they appear.
pub(crate) fn colours(rows: &[Row]) -> HashMap<i64, Style> {
    let mut colours = HashMap::new();
    for row in rows {
        let next = COLOURS[colours.len() % COLOURS.len()];
        colours.entry(row.run).or_insert(next.on_default());
    }
    colours
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws rows of (run, time), latest first, for runs open from a time to a time.
    fn draw(rows: &[(i64, i128)], spans: &[(i64, i128, i128)], lanes_max: usize) -> Vec<String> {
        let rows: Vec<_> = rows
            .iter()
            .map(|(run, at)| Row { run: *run, at: *at })
            .collect();
        let spans = spans.iter().map(|(run, from, to)| {
            let (from, to) = (*from, *to);
            (*run, Span { from, to })
        });
        let text = |cells: Vec<Cell>| {
            let cells = cells.into_iter().map(|cell| match cell {
                Cell::Empty => ' ',
                Cell::Open(_) => '|',
                Cell::Here(_) => '*',
            });
            cells.collect()
        };
        let drawn = lanes(&rows, &spans.collect(), lanes_max);
        drawn.into_iter().map(text).collect()
    }

    #[test]
    fn runs_one_after_the_other_share_a_lane() {
        let rows = [(2, 9), (2, 8), (1, 3), (1, 2)];
        assert_eq!(draw(&rows, &[(1, 1, 4), (2, 7, 10)], 8), ["*"; 4]);
    }

    #[test]
    fn runs_at_once_have_lanes_of_their_own_from_their_begin_to_their_end() {
        let rows = [(1, 9), (2, 8), (1, 7), (3, 6), (1, 2)];
        let spans = [(1, 1, 10), (2, 7, 8), (3, 5, 6)];
        assert_eq!(draw(&rows, &spans, 8), ["*", "|*", "*|", "|*", "*"]);
    }

    #[test]
    fn a_lane_stays_where_it_is_when_its_neighbour_ends() {
        let rows = [(1, 9), (2, 8), (2, 4), (3, 3), (2, 2)];
        let spans = [(1, 7, 10), (2, 1, 9), (3, 3, 3)];
        assert_eq!(draw(&rows, &spans, 8), ["*|", "|*", " *", "*|", " *"]);
    }

    #[test]
    fn what_finds_no_lane_shares_the_last() {
        let rows = [(1, 9), (2, 8), (3, 7), (4, 6)];
        let spans = [(1, 1, 10), (2, 1, 10), (3, 1, 10), (4, 1, 10)];
        assert_eq!(draw(&rows, &spans, 2), ["*|", "|*", "|*", "|*"]);
        assert_eq!(draw(&rows, &spans, 0), ["*"; 4]);
    }

    #[test]
    fn a_row_whose_run_says_nothing_of_its_times_is_drawn_all_the_same() {
        assert_eq!(draw(&[(1, 9)], &[(1, 100, 50)], 3), ["*"]);
        assert_eq!(draw(&[(1, 9)], &[], 3), [""]);
    }
}
