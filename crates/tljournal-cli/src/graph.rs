//! The graph of the log: a lane for each open run.

use std::collections::{BTreeMap, HashMap};

use anstyle::{AnsiColor, Style};

/// The colours of lanes, in the order of the runs.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::Green,
    AnsiColor::Red,
];

/// One row of the log: its run and its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) run: i64,
    pub(crate) at: i128,
}

/// The time in which a run was open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: i128,
    pub(crate) to: i128,
}

/// The content of a lane next to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    /// No run.
    Empty,
    /// An open run.
    Open(i64),
    /// The run of the row.
    Here(i64),
}

/// The lanes next to each row, latest row first. Runs without a lane of their own share the last one.
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
        // The run of the row gets the first free lane.
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

/// The style of each run, by the order of appearance.
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

    /// Draws rows of (run, time), latest first, for runs open in the given spans.
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
    fn consecutive_runs_share_a_lane() {
        let rows = [(2, 9), (2, 8), (1, 3), (1, 2)];
        assert_eq!(draw(&rows, &[(1, 1, 4), (2, 7, 10)], 8), ["*"; 4]);
    }

    #[test]
    fn concurrent_runs_have_lanes_of_their_own() {
        let rows = [(1, 9), (2, 8), (1, 7), (3, 6), (1, 2)];
        let spans = [(1, 1, 10), (2, 7, 8), (3, 5, 6)];
        assert_eq!(draw(&rows, &spans, 8), ["*", "|*", "*|", "|*", "*"]);
    }

    #[test]
    fn a_lane_keeps_its_position_when_its_neighbour_ends() {
        let rows = [(1, 9), (2, 8), (2, 4), (3, 3), (2, 2)];
        let spans = [(1, 7, 10), (2, 1, 9), (3, 3, 3)];
        assert_eq!(draw(&rows, &spans, 8), ["*|", "|*", " *", "*|", " *"]);
    }

    #[test]
    fn runs_without_a_free_lane_share_the_last() {
        let rows = [(1, 9), (2, 8), (3, 7), (4, 6)];
        let spans = [(1, 1, 10), (2, 1, 10), (3, 1, 10), (4, 1, 10)];
        assert_eq!(draw(&rows, &spans, 2), ["*|", "|*", "|*", "|*"]);
        assert_eq!(draw(&rows, &spans, 0), ["*"; 4]);
    }

    #[test]
    fn a_row_whose_run_has_no_times_is_drawn() {
        assert_eq!(draw(&[(1, 9)], &[(1, 100, 50)], 3), ["*"]);
        assert_eq!(draw(&[(1, 9)], &[], 3), [""]);
    }
}
