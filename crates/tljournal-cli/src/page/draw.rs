use std::collections::HashMap;
use std::fmt;

use super::lanes::{Bar, pack};
use super::past::Past;
use super::pen::Pen;

/// The height of a lane, and the space above the first and below the last.
const LANE: usize = 36;
const ABOVE: usize = 6;
const BELOW: usize = 8;
/// The width that a label needs, in percent of a wide page.
const ROOM_FOR_NUMBER: f64 = 4.0;
const ROOM_FOR_LABEL: f64 = 8.0;
/// The picture of the timeline.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) height: usize,
    pub(super) runs: Vec<DrawnRun>,
    pub(super) cuts: Vec<Cut>,
    pub(super) ticks: Vec<Tick>,
    /// The pieces of the scale for the script, numbers only.
    pub(super) pieces: String,
    /// The number of digits of percentages: how far the script can zoom in.
    pub(super) digits: usize,
    /// A description for screen readers.
    pub(super) summary: String,
}

/// A percentage, with as many digits as the picture needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Percent {
    pub(super) value: f64,
    pub(super) digits: usize,
}

/// The extent of something drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) x: Percent,
    pub(super) width: Percent,
}

#[derive(Debug)]
pub(super) struct DrawnRun {
    pub(super) y: usize,
    pub(super) number: i64,
    pub(super) end: &'static str,
    pub(super) depth: usize,
    pub(super) label: String,
    pub(super) title: String,
    pub(super) rail: Stretch,
    /// The time between its last activity and when it was recorded as killed.
    pub(super) ghost: Option<Stretch>,
    /// The space for its label, and how much of the label fits: nothing, its number, or all.
    pub(super) room: Stretch,
    pub(super) told: u8,
    pub(super) txns: Vec<DrawnTxn>,
    pub(super) marks: Vec<Mark>,
    pub(super) waits: Vec<(Stretch, String)>,
}

#[derive(Debug)]
pub(super) struct DrawnTxn {
    pub(super) number: i64,
    pub(super) title: String,
    pub(super) parts: Vec<(&'static str, Stretch)>,
    /// The phases, for the script, if they are too narrow to draw: a letter and a number for each, in units of the
    /// last digit.
    pub(super) folded: Option<String>,
    /// Whether it is too narrow for its width to be visible.
    pub(super) line: bool,
}

/// A moment with a symbol of its own.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) sign: &'static str,
    pub(super) x: Percent,
    pub(super) href: String,
    pub(super) title: String,
}

/// Idle time that is not drawn.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) at: Stretch,
    pub(super) title: String,
}

#[derive(Debug)]
pub(super) struct Tick {
    pub(super) x: Percent,
    pub(super) day: Option<String>,
    pub(super) text: String,
    /// Whether it is omitted on a narrow page.
    pub(super) minor: bool,
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.*}", self.digits, self.value);
        let text = match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.'),
            false => &text,
        };
        f.write_str(match text.strip_prefix("0.") {
            Some(_) => &text[1..],
            None => text,
        })
    }
}

/// Draws the timeline; `None` if it is empty.
pub(super) fn draw(past: &Past) -> Option<Timeline> {
    if past.runs.is_empty() {
        return None;
    }
    let pen = Pen::new(past);
    let bars = pen.bars();
    let (lanes, count) = pack(&bars);
    let rooms = rooms(&bars, &lanes);
    let depths = depths(&bars);
    let drawn = past.runs.iter().enumerate().map(|(index, run)| {
        let mut drawn = pen.run(run);
        drawn.y = ABOVE + lanes[index] * LANE;
        drawn.depth = depths[index];
        drawn.room = pen.percents(bars[index].from, rooms[index]);
        drawn.told = match rooms[index] - bars[index].from {
            ..ROOM_FOR_NUMBER => 0,
            ..ROOM_FOR_LABEL => 1,
            _ => 2,
        };
        drawn
    });
    let runs: Vec<_> = drawn.collect();
    let summary = format!(
        "Timeline of {} and {}, in {}",
        crate::text::count(past.runs.len(), "run"),
        crate::text::count(past.txns.len(), "transaction"),
        crate::text::count(count, "lane"),
    );
    Some(Timeline {
        height: ABOVE + count * LANE + BELOW,
        runs,
        cuts: pen.cuts(),
        ticks: pen.ticks(),
        pieces: pen.pieces(),
        digits: pen.digits(),
        summary,
    })
}

/// The space for each label: up to the next bar in its lane.
fn rooms(bars: &[Bar], lanes: &[usize]) -> Vec<f64> {
    let mut next: HashMap<usize, f64> = HashMap::new();
    let mut rooms = vec![100.0; bars.len()];
    for index in (0..bars.len()).rev() {
        let from = next.insert(lanes[index], bars[index].from);
        rooms[index] = from.map_or(100.0, |from| from - 0.3).max(bars[index].from);
    }
    rooms
}

/// The nesting depth of each run.
fn depths(bars: &[Bar]) -> Vec<usize> {
    let mut depths = vec![0; bars.len()];
    for index in 0..bars.len() {
        if let Some(parent) = bars[index].parent.filter(|parent| *parent < index) {
            depths[index] = depths[parent] + 1;
        }
    }
    depths
}
