use std::collections::HashMap;

use tljournal::{EventKind, EventRecord, RunRecord, Timestamp, TxnRecord, TxnState};

use super::draw::{Cut, DrawnRun, DrawnTxn, Mark, Percent, Stretch, Tick};
use super::lanes::Bar;
use super::past::Past;
use super::scale::Scale;
use super::tables;
use super::titles;
use super::words::{clock, day, nanos, span};
use crate::ending::End;

/// Moments closer than this are drawn at the same position, in nanoseconds.
const NEAR: f64 = 10_000.0;
/// The smallest distance between marks of the axis, in percent.
const TICK_APART: f64 = 8.0;
/// Narrower bars, in percent, are drawn without phases until the page is zoomed in.
const NARROW: f64 = 0.25;
/// Narrower bars, in percent, are drawn as a line.
const LINE: f64 = 0.05;
/// The duration from which a wait is recorded, in nanoseconds.
const LONG_WAIT: i64 = 1_000_000_000;

/// Draws rows with a scale.
pub(super) struct Pen<'a> {
    past: &'a Past,
    scale: Scale,
    digits: usize,
    txns: HashMap<i64, Vec<&'a TxnRecord>>,
    events: HashMap<i64, Vec<&'a EventRecord>>,
}

impl<'a> Pen<'a> {
    pub(super) fn new(past: &'a Past) -> Self {
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

    pub(super) fn digits(&self) -> usize {
        self.digits
    }

    /// The busy times.
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

    /// The start of a run, its last activity, and the end of its bar.
    fn life(&self, run: &RunRecord) -> (i64, i64, i64) {
        let start = nanos(run.started_at);
        let ended = run.ended_at.map(nanos);
        match self.past.end_of(run) {
            End::Alive => (start, nanos(self.past.now), nanos(self.past.now)),
            End::FoundDead | End::SeenDead | End::Unknown => {
                let txns = self.txns_of(run).iter();
                let times = txns.flat_map(|txn| phases(txn)).map(nanos);
                // A process that records a run as killed also ends its transactions: these times are not the run's
                // activity.
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

    /// The long waits of a run, with descriptions.
    fn waits(&self, run: &RunRecord) -> impl Iterator<Item = (i64, i64, String)> {
        let events = self.events.get(&run.number).map_or(&[][..], Vec::as_slice);
        let ends = run.ended_at.unwrap_or(self.past.now);
        events.iter().enumerate().filter_map(move |(index, event)| {
            let of_same = |later: &&&EventRecord| later.path == event.path;
            let next = events[index + 1..].iter().find(of_same);
            let (from, to) = wait(event, next.is_none().then_some(ends))?;
            Some((from, to, titles::of_wait(event)))
        })
    }

    pub(super) fn bars(&self) -> Vec<Bar> {
        let runs = &self.past.runs;
        let numbers: HashMap<_, _> = runs
            .iter()
            .enumerate()
            .map(|(n, run)| (run.id, n))
            .collect();
        // With many runs few have space for labels.
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

    pub(super) fn run(&self, run: &RunRecord) -> DrawnRun {
        let (start, alive_until, end) = self.life(run);
        let how = self.past.end_of(run);
        let rail = self.stretch(start, alive_until);
        let ghost = (end > alive_until).then(|| self.stretch(alive_until, end));
        let waits = self.waits(run);
        DrawnRun {
            y: 0,
            depth: 0,
            number: run.number,
            end: tables::class(how),
            label: tables::name_of(run),
            title: titles::of_run(run, how, end - start),
            rail,
            ghost,
            room: rail,
            told: 0,
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
        let last = match txn.state {
            TxnState::Applied | TxnState::Committed => "c",
            TxnState::Stuck => "c bad",
            TxnState::Staging | TxnState::Aborting | TxnState::Aborted => "x",
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
        if matches!(txn.state, TxnState::Aborted | TxnState::Aborting)
            && !parts.iter().any(|part| part.0 == "x")
        {
            parts.push(("x", self.stretch(end, end)));
        }
        if parts.is_empty() {
            parts.push((last, self.stretch(began, end)));
        }
        let whole = self.stretch(began, end);
        let narrow = parts.len() > 1 && whole.width.value < NARROW;
        let folded = narrow.then(|| fold(&parts));
        if narrow {
            let longest = parts
                .iter()
                .rev()
                .map(|(class, at)| (*class, at.width.value));
            let class = match last {
                "c" => {
                    longest
                        .fold(("c", 0.0), |a, b| if b.1 > a.1 { b } else { a })
                        .0
                }
                bad => bad,
            };
            parts = vec![(class, whole)];
        }
        DrawnTxn {
            number: txn.number,
            title: titles::of_txn(txn),
            parts,
            folded,
            line: narrow && whole.width.value < LINE,
        }
    }

    fn marks(&self, run: &RunRecord, how: End, end: i64) -> Vec<Mark> {
        let events = self.events.get(&run.number).into_iter().flatten();
        let events = events.filter_map(|event| {
            Some(Mark {
                sign: sign(&event.kind)?,
                x: self.percent(self.scale.at(nanos(event.at))),
                href: format!("e{}", event.number),
                title: titles::of_event(event),
            })
        });
        let mut marks: Vec<_> = events.collect();
        let sign = match how {
            _ if how.is_death() || how.is_failure() => tables::class(how),
            _ => return marks,
        };
        marks.push(Mark {
            sign,
            x: self.percent(self.scale.at(end)),
            href: format!("run-{}", run.number),
            title: format!("Run {}\n{}", run.number, tables::told(how, run)),
        });
        marks
    }

    pub(super) fn cuts(&self) -> Vec<Cut> {
        let cuts = self.scale.cuts().map(|cut| Cut {
            at: self.percents(cut.at, cut.at + cut.width),
            title: format!("{} in which nothing happened", span(cut.to - cut.from)),
        });
        cuts.collect()
    }

    /// The axis without a script: the start of each busy stretch.
    pub(super) fn ticks(&self) -> Vec<Tick> {
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

    pub(super) fn pieces(&self) -> String {
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

    pub(super) fn percents(&self, from: f64, to: f64) -> Stretch {
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

/// The number of digits that distinguishes moments that are not close.
fn digits(scale: &Scale) -> usize {
    let worked = scale.pieces.iter().filter(|piece| !piece.cut);
    let coarsest = worked
        .map(|piece| (piece.to - piece.from) as f64 / piece.width)
        .fold(1.0, f64::max);
    (coarsest / NEAR).log10().ceil().clamp(2.0, 9.0) as usize
}

/// Phases in the script's format.
fn fold(parts: &[(&'static str, Stretch)]) -> String {
    let told = parts.iter().map(|(class, at)| {
        let units = at.width.value * 10_f64.powi(at.width.digits as i32);
        let letter = class.get(..1).unwrap_or_default();
        format!("{letter}{units:.0}")
    });
    told.collect::<Vec<_>>().join(" ")
}

/// The times of a transaction's phase changes.
fn phases(txn: &TxnRecord) -> impl Iterator<Item = Timestamp> {
    let later = [txn.staged_at, txn.locked_at, txn.committed_at, txn.ended_at];
    std::iter::once(txn.began_at).chain(later.into_iter().flatten())
}

/// The extent of a wait, if the event is about one. A run that started to wait and did nothing afterwards waited
/// `until` its end.
fn wait(event: &EventRecord, until: Option<Timestamp>) -> Option<(i64, i64)> {
    let at = nanos(event.at);
    match &event.kind {
        EventKind::Waiting => Some((at - LONG_WAIT, nanos(until?).max(at))),
        EventKind::Waited | EventKind::GaveUp => {
            let seconds: f64 = event.detail.split(" s ").next()?.trim().parse().ok()?;
            let is_sane = (0.0..1e7).contains(&seconds);
            is_sane.then(|| (at.saturating_sub((seconds * 1e9) as i64), at))
        }
        _ => None,
    }
}

/// The symbol of an event, if it has one: waits are drawn as bars, and holds are omitted.
fn sign(kind: &EventKind) -> Option<&'static str> {
    Some(match kind {
        EventKind::Waiting | EventKind::Waited => return None,
        EventKind::Holds | EventKind::Released | EventKind::Populated => return None,
        EventKind::Conflict => "conflict",
        EventKind::Recovered | EventKind::TreePutBack | EventKind::Repaired => "recovery",
        _ => "event",
    })
}
