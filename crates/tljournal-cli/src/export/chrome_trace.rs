use std::io::Write;

use serde_json::{Value, json};
use tljournal::{ChangeRecord, EventRecord, RunRecord, Timestamp, TxnRecord};

use super::spans::{end, micros, phases, waited_since};
use super::{RunLife, Sink, unwritten};
use crate::commands::views::run_name;
use crate::failure::Failure;
use crate::text::clean;

/// The largest number of changes listed with a transaction.
const CHANGES_MAX: usize = 20;

/// JSON for Perfetto and chrome://tracing: a process for each run, with one thread for the run and more for
/// concurrent transactions.
pub(crate) struct ChromeTrace<'a, 'b> {
    out: &'a mut dyn Write,
    shown: &'b dyn Fn(&ChangeRecord) -> String,
    any: bool,
    /// The latest run.
    life: Option<RunLife>,
    /// The time before which each thread of its transactions is free, in microseconds: transactions come latest
    /// first.
    free_before: Vec<i64>,
}

impl<'a, 'b> ChromeTrace<'a, 'b> {
    /// Writes to `out`; `shown` formats paths.
    pub(crate) fn new(
        out: &'a mut dyn Write,
        shown: &'b dyn Fn(&ChangeRecord) -> String,
    ) -> Result<Self, Failure> {
        out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")
            .map_err(unwritten)?;
        Ok(Self {
            out,
            shown,
            any: false,
            life: None,
            free_before: Vec::new(),
        })
    }

    fn put(&mut self, event: &Value) -> Result<(), Failure> {
        let comma = if self.any { "," } else { "" };
        self.any = true;
        write!(self.out, "{comma}\n{event}").map_err(unwritten)
    }

    /// Names a process or a thread.
    fn name(&mut self, what: &str, pid: i64, tid: usize, args: Value) -> Result<(), Failure> {
        self.put(&json!({"ph": "M", "name": what, "pid": pid, "tid": tid, "args": args}))
    }

    /// An event with a duration.
    fn complete(
        &mut self,
        (name, category): (&str, &str),
        (pid, tid): (i64, usize),
        (from, to): (Timestamp, Timestamp),
        args: Value,
    ) -> Result<(), Failure> {
        let (from, to) = (micros(from), micros(to));
        self.put(&json!({
            "ph": "X", "name": name, "cat": category, "pid": pid, "tid": tid, "ts": from, "dur": (to - from).max(0), "args": args,
        }))
    }

    /// A free thread for a transaction, or a new one.
    fn thread(&mut self, pid: i64, from: i64, to: i64) -> Result<usize, Failure> {
        let free = self.free_before.iter().position(|before| to <= *before);
        let index = free.unwrap_or(self.free_before.len());
        if free.is_none() {
            self.free_before.push(from);
            let name = json!({"name": format!("transactions {}", index + 1)});
            self.name("thread_name", pid, index + 1, name)?;
        }
        self.free_before[index] = from;
        Ok(index + 1)
    }

    /// A long wait, which overlaps with the run's other work.
    fn wait(&mut self, event: &EventRecord, since: Timestamp) -> Result<(), Failure> {
        let what = clean(event.path.as_deref().unwrap_or("a lock"));
        let (pid, id) = (event.run.unwrap_or_default(), event.number.to_string());
        let (name, args) = (format!("wait for {what}"), json!({"detail": event.detail}));
        for (ph, at) in [("b", since), ("e", event.at)] {
            self.put(&json!({
                "ph": ph, "name": name, "cat": "wait", "id": id, "pid": pid, "tid": 0, "ts": micros(at), "args": args,
            }))?;
        }
        Ok(())
    }
}

impl Sink for ChromeTrace<'_, '_> {
    fn run(&mut self, life: &RunLife) -> Result<(), Failure> {
        let run: &RunRecord = &life.run;
        let pid = run.number;
        let name = clean(&run_name(run));
        self.name(
            "process_name",
            pid,
            0,
            json!({"name": format!("run {pid}: {name}")}),
        )?;
        self.name(
            "process_labels",
            pid,
            0,
            json!({"labels": run.outcome.as_deref().map(clean)}),
        )?;
        self.name("process_sort_index", pid, 0, json!({"sort_index": pid}))?;
        self.name("thread_name", pid, 0, json!({"name": "run"}))?;
        let args = json!({
            "command": run.argv, "outcome": run.outcome, "error": run.error, "host": run.host, "pid": run.pid,
            "started by": run.parent.map(|parent| parent.to_string()), "id": run.id.to_string(),
        });
        self.complete((&name, "run"), (pid, 0), (run.started_at, life.until), args)?;
        self.free_before.clear();
        self.life = Some(RunLife {
            run: run.clone(),
            ..*life
        });
        Ok(())
    }

    fn txn(&mut self, txn: &TxnRecord, changes: &[ChangeRecord]) -> Result<(), Failure> {
        let pid = txn.run.number;
        let until = self.life.as_ref().map_or(txn.began_at, |life| life.until);
        let to = end(txn, until);
        let tid = self.thread(pid, micros(txn.began_at), micros(to))?;
        let named: Vec<_> = changes
            .iter()
            .take(CHANGES_MAX)
            .map(|change| format!("{} {}", change.op.as_str(), (self.shown)(change)))
            .collect();
        let args = json!({
            "transaction": txn.number, "state": txn.state.as_str(), "reason": txn.reason, "changes": named, "id": txn.id.to_string(),
        });
        let name = format!("{} {}", txn.number, clean(&txn.label));
        self.complete((&name, "transaction"), (pid, tid), (txn.began_at, to), args)?;
        for phase in phases(txn, until) {
            let at = (phase.from, phase.to);
            self.complete((phase.name, "phase"), (pid, tid), at, json!({}))?;
        }
        Ok(())
    }

    fn event(&mut self, event: &EventRecord) -> Result<(), Failure> {
        if let Some(since) = waited_since(event) {
            return self.wait(event, since);
        }
        let scope = if event.run.is_some() { "p" } else { "g" };
        self.put(&json!({
            "ph": "i", "s": scope, "name": clean(event.kind.as_str()), "cat": "event", "pid": event.run.unwrap_or_default(), "tid": 0,
            "ts": micros(event.at), "args": {"path": event.path, "detail": event.detail, "transaction": event.txn},
        }))
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.out.write_all(b"\n]}\n").map_err(unwritten)
    }
}
