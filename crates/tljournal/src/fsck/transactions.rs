use super::check::{Check, Stop};
use super::finding::Subject;
use super::{Code, Finding};
use crate::catalog::TxnRow;
use crate::model::TxnState;

impl Check<'_> {
    /// Reports transactions that are neither applied nor rolled back, and that no process works on.
    pub(super) fn transactions(&mut self) -> Result<(), Stop> {
        let look = self.look;
        // What is staged has no path yet.
        let staging = match self.options.paths.is_empty() {
            true => look.ask(|catalog| catalog.staging())?,
            false => Vec::new(),
        };
        for row in staging {
            // A run records the end of its transactions before it releases its byte.
            if !look.is_alive(row.run)? && self.is_still(&row)? {
                self.tell_txn(Code::TxnAbandoned, &row)?;
            }
        }
        for row in look.ask(|catalog| catalog.unfinished())? {
            if !self.options.paths.is_empty() {
                let places = look.ask(|catalog| catalog.places(row.row))?;
                if places.iter().filter(|place| self.is_wanted(place)).count() == 0 {
                    continue;
                }
            }
            if row.state == TxnState::Stuck {
                self.tell_txn(Code::TxnStuck, &row)?;
                continue;
            }
            // A process that works on it holds the commit lock.
            let _moment = self.moment()?;
            if self.is_still(&row)? {
                self.tell_txn(Code::TxnUnfinished, &row)?;
            }
        }
        for (place, entry) in look.ask(|catalog| catalog.unsettled())? {
            if !self.is_wanted(&place) {
                continue;
            }
            let finding = Finding::new(Code::TreeUnsettled, look.shown(&place));
            self.tell(finding.written_by(look.txn(entry.txn)))?;
        }
        Ok(())
    }

    fn is_still(&self, row: &TxnRow) -> Result<bool, Stop> {
        let now = self.look.ask(|catalog| catalog.txn(row.id))?;
        Ok(now.is_some_and(|now| now.state == row.state))
    }

    fn tell_txn(&mut self, code: Code, row: &TxnRow) -> Result<(), Stop> {
        let record = self.look.txn(row.row);
        let reason = record.as_ref().and_then(|record| record.reason.clone());
        let mut finding = Finding::new(code, format!("transaction {}", row.row))
            .expected("applied or aborted")
            .actual(match reason {
                Some(reason) => format!("{}: {reason}", row.state.as_str()),
                None => row.state.as_str().to_owned(),
            })
            .written_by(record)
            .about(Subject::Txn(row.id));
        if code == Code::TxnStuck {
            finding.advice = finding
                .advice
                .replace("show`", &format!("show {}`", row.row));
        }
        self.tell(finding)
    }
}
