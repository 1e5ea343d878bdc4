use std::io::Write;

use serde_json::{Value, json};
use tljournal::{ChangeRecord, EventRecord, RunRecord, TxnRecord};

use super::{RunLife, Sink, unwritten};
use crate::commands::views::{image_json, run_json, txn_json};
use crate::failure::Failure;
use crate::output::SCHEMA;
use crate::time;

/// One JSON object per row, each on a line.
pub(crate) struct JsonLines<'a, 'b> {
    out: &'a mut dyn Write,
    shown: &'b dyn Fn(&ChangeRecord) -> String,
}

impl<'a, 'b> JsonLines<'a, 'b> {
    /// Writes to `out`; `shown` formats paths.
    pub(crate) fn new(out: &'a mut dyn Write, shown: &'b dyn Fn(&ChangeRecord) -> String) -> Self {
        Self { out, shown }
    }

    fn line(&mut self, kind: &str, mut row: Value) -> Result<(), Failure> {
        row["schema"] = SCHEMA.into();
        row["type"] = kind.into();
        writeln!(self.out, "{row}").map_err(unwritten)
    }
}

impl Sink for JsonLines<'_, '_> {
    fn run(&mut self, life: &RunLife) -> Result<(), Failure> {
        let run: &RunRecord = &life.run;
        let mut row = run_json(run);
        row["alive"] = life.alive.into();
        self.line("run", row)
    }

    fn txn(&mut self, txn: &TxnRecord, changes: &[ChangeRecord]) -> Result<(), Failure> {
        let mut row = txn_json(txn);
        row["run"] = txn.run.number.into();
        let changes = changes.iter().map(|change| {
            json!({
                "op": change.op.as_str(),
                "path": (self.shown)(change),
                "before": change.before.as_ref().map(image_json),
                "after": change.after.as_ref().map(image_json),
                "digest": change.digest.map(|digest| digest.to_string()),
                "target": change.target,
                "drift": change.drift,
            })
        });
        row["changes"] = changes.collect();
        self.line("transaction", row)
    }

    fn event(&mut self, event: &EventRecord) -> Result<(), Failure> {
        let row = json!({
            "number": event.number,
            "at": time::exact(event.at),
            "run": event.run,
            "transaction": event.txn,
            "kind": event.kind.as_str(),
            "path": event.path,
            "detail": event.detail,
        });
        self.line("event", row)
    }

    fn end(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}
