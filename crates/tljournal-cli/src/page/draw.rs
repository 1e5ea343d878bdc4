use std::collections::HashMap;
use std::fmt;

use tljournal::{EventRecord, RunRecord, Timestamp, TxnRecord};

use super::lanes::{Bar, pack};
use super::past::Past;
use super::scale::Scale;
use super::tables::{self, End};
use super::words::{clock, day, nanos, span, text};

/// How high a lane is, and how much is free above the first and below the last.
const LANE: usize = 36;
const ABOVE: usize = 6;
const BELOW: usize = 8;
/// Moments that are nearer to each other than this are drawn at the same place, in nanoseconds.
const NEAR: f64 = 10_000.0;
/// How far apart the marks of the axis are at least, in percent.
const TICK_APART: f64 = 8.0;

/// The picture of a past.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) height: usize,
    pub(super) runs: Vec<DrawnRun>,
    pub(super) cuts: Vec<Cut>,
    pub(super) ticks: Vec<Tick>,
    /// The pieces of the scale for the script, numbers only.
    pub(super) pieces: String,
    /// How near the script may go, in percent.
    pub(super) least: f64,
    /// What there is to be seen, for those who do not see it.
    pub(super) summary: String,
}

/// Percents, with as many digits as the picture needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Percent {
    value: f64,
    digits: usize,
}

/// From where to where something is drawn.
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
    /// The time between its last sign of life and when it was found dead.
    pub(super) ghost: Option<Stretch>,
    /// How far its label may go.
    pub(super) room: Stretch,
    pub(super) txns: Vec<DrawnTxn>,
    pub(super) marks: Vec<Mark>,
    pub(super) waits: Vec<(Stretch, String)>,
}

#[derive(Debug)]
pub(super) struct DrawnTxn {
    pub(super) number: i64,
    pub(super) title: String,
    pub(super) parts: Vec<(&'static str, Stretch)>,
}

/// A moment that has a sign of its own.
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
    /// Whether a narrow page has no room for it.
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

/// Draws a past; nothing if nothing happened.
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
        least: 10_f64.powi(3 - pen.digits as i32),
        summary,
    })
}

/// What draws: rows with a scale.
struct Pen<'a> {
    past: &'a Past,
    scale: Scale,
    digits: usize,
    txns: HashMap<i64, Vec<&'a TxnRecord>>,
    events: HashMap<i64, Vec<&'a EventRecord>>,
}

impl<'a> Pen<'a> {
    fn new(past: &'a Past) -> Self {
        let mut txns: HashMap<i64, Vec<_>> = HashMap::new();
        for txn in &past.txns {
            txns.entry(txn.run.number).or_default().push(txn);
        }
        let mut events: HashMap<i64, Vec<_>> = HashMap::new();
        for event in &past.events {
            if let Some(run) = event.run {
                events.entry(run).or_default().push(event);
            }
        }
        let mut pen = Self {
            past,
            scale: Scale::new(Vec::new()),
            digits: 2,
            txns,
            events,
        };
        pen.scale = Scale::new(pen.busy());
        pen.digits = digits(&pen.scale);
        pen
    }

    /// When something happened.
    fn busy(&self) -> Vec<(i64, i64)> {
        let mut busy = Vec::new();
        for run in &self.past.runs {
            let (start, alive_until, end) = self.life(run);
            busy.extend([start, alive_until, end].map(|at| (at, at)));
            let waits = self.waits(run).map(|(from, to, _)| (from, to));
            busy.extend(waits);
        }
        for txn in &self.past.txns {
            busy.push((nanos(txn.began_at), self.end_of(txn)));
        }
        let of_runs = self.events.values().flatten();
        busy.extend(of_runs.map(|event| (nanos(event.at), nanos(event.at))));
        busy
    }

    /// When a run began, when it gave its last sign of life, and when its bar ends.
    fn life(&self, run: &RunRecord) -> (i64, i64, i64) {
        let start = nanos(run.started_at);
        let ended = run.ended_at.map(nanos);
        match End::of(run, &self.past.alive) {
            End::Alive => (start, nanos(self.past.now), nanos(self.past.now)),
            End::Dead | End::Unknown => {
                let txns = self.txns_of(run).iter();
                let times = txns.flat_map(|txn| phases(txn)).map(nanos);
                // Who finds a run dead ends its transactions too: that is no sign of its life.
                let own = times.filter(|at| ended.is_none_or(|ended| *at < ended));
                let last = own.fold(start, i64::max);
                (start, last, ended.unwrap_or(last).max(last))
            }
            _ => {
                let end = ended.unwrap_or(start).max(start);
                (start, end, end)
            }
        }
    }

    fn txns_of(&self, run: &RunRecord) -> &[&'a TxnRecord] {
        self.txns.get(&run.number).map_or(&[], Vec::as_slice)
    }

    fn end_of(&self, txn: &TxnRecord) -> i64 {
        let began = nanos(txn.began_at);
        let end = match txn.ended_at {
            Some(at) => nanos(at),
            None if self.past.alive.contains(&txn.run.number) => nanos(self.past.now),
            None => phases(txn).map(nanos).fold(began, i64::max),
        };
        end.max(began)
    }

    /// The long waits of a run, with what was waited for.
    fn waits(&self, run: &RunRecord) -> impl Iterator<Item = (i64, i64, String)> {
        let events = self.events.get(&run.number).into_iter().flatten();
        events.filter_map(|event| {
            let seconds = waited(event)?;
            let to = nanos(event.at);
            let from = to.saturating_sub((seconds * 1e9) as i64);
            let title = format!(
                "Waited for the lock {}\n{}",
                text(event.path.as_deref().unwrap_or("?"), 80),
                text(&event.detail, 160)
            );
            Some((from, to, title))
        })
    }

    fn bars(&self) -> Vec<Bar> {
        let runs = &self.past.runs;
        let numbers: HashMap<_, _> = runs
            .iter()
            .enumerate()
            .map(|(n, run)| (run.id, n))
            .collect();
        // Few runs have room for their labels.
        let least = (150.0 / runs.len() as f64).clamp(0.4, 12.0);
        let bars = runs.iter().map(|run| {
            let (start, _, end) = self.life(run);
            let from = self.scale.at(start);
            let to = self.scale.at(end).max(from + least) + 0.2;
            let parent = run.parent.and_then(|id| numbers.get(&id).copied());
            Bar { from, to, parent }
        });
        bars.collect()
    }

    fn run(&self, run: &RunRecord) -> DrawnRun {
        let (start, alive_until, end) = self.life(run);
        let how = End::of(run, &self.past.alive);
        let rail = self.stretch(start, alive_until);
        let ghost = (end > alive_until).then(|| self.stretch(alive_until, end));
        let waits = self.waits(run);
        DrawnRun {
            y: 0,
            depth: 0,
            number: run.number,
            end: how.class(),
            label: tables::name_of(run),
            title: run_title(run, how, end - start),
            rail,
            ghost,
            room: rail,
            txns: self.txns_of(run).iter().map(|txn| self.txn(txn)).collect(),
            marks: self.marks(run, how, end),
            waits: waits
                .map(|(from, to, title)| (self.stretch(from, to), title))
                .collect(),
        }
    }

    fn txn(&self, txn: &TxnRecord) -> DrawnTxn {
        let began = nanos(txn.began_at);
        let end = self.end_of(txn);
        let staged = txn.staged_at.map_or(end, nanos).clamp(began, end);
        let locked = txn.locked_at.map_or(end, nanos).clamp(staged, end);
        let last = match txn.state.as_str() {
            "applied" | "committed" => "c",
            "stuck" => "c bad",
            _ => "x",
        };
        let all = [
            ("s", began, staged),
            ("w", staged, locked),
            (last, locked, end),
        ];
        let mut parts: Vec<_> = all
            .into_iter()
            .filter(|(_, from, to)| to > from)
            .map(|(class, from, to)| (class, self.stretch(from, to)))
            .collect();
        if matches!(txn.state.as_str(), "aborted" | "aborting")
            && !parts.iter().any(|part| part.0 == "x")
        {
            parts.push(("x", self.stretch(end, end)));
        }
        if parts.is_empty() {
            parts.push((last, self.stretch(began, end)));
        }
        DrawnTxn {
            number: txn.number,
            title: txn_title(txn),
            parts,
        }
    }

    fn marks(&self, run: &RunRecord, how: End, end: i64) -> Vec<Mark> {
        let events = self.events.get(&run.number).into_iter().flatten();
        let events = events.filter_map(|event| {
            Some(Mark {
                sign: sign(&event.kind)?,
                x: self.percent(self.scale.at(nanos(event.at))),
                href: format!("e{}", event.number),
                title: event_title(event),
            })
        });
        let mut marks: Vec<_> = events.collect();
        let sign = match how {
            End::Dead => "dead",
            End::Failed => "failed",
            _ => return marks,
        };
        marks.push(Mark {
            sign,
            x: self.percent(self.scale.at(end)),
            href: format!("run-{}", run.number),
            title: format!("Run {}\n{}", run.number, how.words(run)),
        });
        marks
    }

    fn cuts(&self) -> Vec<Cut> {
        let cuts = self.scale.cuts().map(|cut| Cut {
            at: self.percents(cut.at, cut.at + cut.width),
            title: format!("{} in which nothing happened", span(cut.to - cut.from)),
        });
        cuts.collect()
    }

    /// The axis as it is without a script: when each stretch of work began.
    fn ticks(&self) -> Vec<Tick> {
        let mut ticks: Vec<Tick> = Vec::new();
        let (mut last_day, mut last_major) = (String::new(), f64::MIN);
        for piece in self.scale.pieces.iter().filter(|piece| !piece.cut) {
            let far = ticks
                .last()
                .is_none_or(|tick| piece.at - tick.x.value >= TICK_APART);
            if !far || piece.at > 100.0 - TICK_APART {
                continue;
            }
            let at = Timestamp::new(piece.from.div_euclid(1_000_000_000), 0);
            let today = day(at);
            let minor = piece.at - last_major < 4.0 * TICK_APART;
            if !minor {
                last_major = piece.at;
            }
            ticks.push(Tick {
                x: self.percent(piece.at),
                day: (today != last_day).then(|| today.clone()),
                text: clock(at),
                minor,
            });
            last_day = today;
        }
        ticks
    }

    fn pieces(&self) -> String {
        let told = self.scale.pieces.iter().map(|piece| {
            let Stretch { x, width } = self.percents(piece.at, piece.at + piece.width);
            format!(
                "{},{},{x},{width},{}",
                piece.from / 1000,
                piece.to / 1000,
                u8::from(piece.cut)
            )
        });
        told.collect::<Vec<_>>().join(";")
    }

    fn stretch(&self, from: i64, to: i64) -> Stretch {
        self.percents(self.scale.at(from), self.scale.at(to.max(from)))
    }

    fn percents(&self, from: f64, to: f64) -> Stretch {
        Stretch {
            x: self.percent(from),
            width: self.percent((to - from).max(0.0)),
        }
    }

    fn percent(&self, value: f64) -> Percent {
        let digits = self.digits;
        Percent { value, digits }
    }
}

/// How many digits keep apart what is not near.
fn digits(scale: &Scale) -> usize {
    let worked = scale.pieces.iter().filter(|piece| !piece.cut);
    let coarsest = worked
        .map(|piece| (piece.to - piece.from) as f64 / piece.width)
        .fold(1.0, f64::max);
    (coarsest / NEAR).log10().ceil().clamp(2.0, 9.0) as usize
}

/// When a transaction went from one phase to the next.
fn phases(txn: &TxnRecord) -> impl Iterator<Item = Timestamp> {
    let later = [txn.staged_at, txn.locked_at, txn.committed_at, txn.ended_at];
    std::iter::once(txn.began_at).chain(later.into_iter().flatten())
}

/// How long was waited, in seconds, if an event tells of that.
fn waited(event: &EventRecord) -> Option<f64> {
    let seconds = event
        .detail
        .split(" s ")
        .next()
        .filter(|_| event.kind == "lock wait")?;
    let seconds: f64 = seconds.trim().parse().ok()?;
    (0.0..1e7).contains(&seconds).then_some(seconds)
}

/// The sign of an event; long waits are drawn as long as they were.
fn sign(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "lock wait" => return None,
        "recovered" | "tree put back" | "repaired" => "recovery",
        _ => "event",
    })
}

fn run_title(run: &RunRecord, how: End, length: i64) -> String {
    format!(
        "Run {}, {}\n{}\n{} {} UTC, {}",
        run.number,
        how.words(run),
        tables::name_of(run),
        day(run.started_at),
        clock(run.started_at),
        span(length),
    )
}

fn txn_title(txn: &TxnRecord) -> String {
    let mut lines = format!("Transaction {}, {}", txn.number, text(&txn.state, 20));
    if !txn.label.is_empty() {
        lines.push('\n');
        lines.push_str(&text(&txn.label, 120));
    }
    let told = tables::lengths(txn);
    if !told.is_empty() {
        lines.push('\n');
        lines.push_str(&told);
    }
    if let Some(reason) = &txn.reason {
        lines.push('\n');
        lines.push_str(&text(reason, 160));
    }
    lines
}

fn event_title(event: &EventRecord) -> String {
    let path = event
        .path
        .as_deref()
        .map(|path| format!("\n{}", text(path, 120)));
    format!(
        "{}{}\n{}",
        text(&event.kind, 40),
        path.unwrap_or_default(),
        text(&event.detail, 160)
    )
}

/// How far each label may go: to the next bar in its lane.
fn rooms(bars: &[Bar], lanes: &[usize]) -> Vec<f64> {
    let mut next: HashMap<usize, f64> = HashMap::new();
    let mut rooms = vec![100.0; bars.len()];
    for index in (0..bars.len()).rev() {
        let from = next.insert(lanes[index], bars[index].from);
        rooms[index] = from.map_or(100.0, |from| from - 0.3).max(bars[index].from);
    }
    rooms
}

/// How many runs are above each one.
fn depths(bars: &[Bar]) -> Vec<usize> {
    let mut depths = vec![0; bars.len()];
    for index in 0..bars.len() {
        if let Some(parent) = bars[index].parent.filter(|parent| *parent < index) {
            depths[index] = depths[parent] + 1;
        }
    }
    depths
}
