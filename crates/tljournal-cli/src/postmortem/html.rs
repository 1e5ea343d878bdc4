use std::io::{self, Write};

use tljournal::{Finding, Inspection};

use super::report::Report;
use crate::failure::Failure;
use crate::page::{self, Past, Subject, Wanted};
use crate::session::Session;

/// The part of history on the page of one run.
const WANTED: Wanted = Wanted {
    runs: 200,
    txns: 5_000,
};

/// The report as a page for a browser.
pub(crate) struct Page<'a> {
    session: &'a Session,
    report: &'a Report,
    past: Past,
    findings: Option<Vec<Finding>>,
}

impl<'a> Page<'a> {
    /// Reads history around the run.
    pub(crate) fn read(
        session: &'a Session,
        inspection: &Inspection,
        report: &'a Report,
    ) -> Result<Self, Failure> {
        let (run, now) = (Some(&report.run.run), report.made_at);
        let past = Past::read(inspection, WANTED, run, now)?;
        Ok(Self {
            session,
            report,
            past,
            findings: page::findings(inspection),
        })
    }

    /// Writes it.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let subject = Subject {
            home: self.report.home.clone(),
            at_home: self.report.at_home,
            run: Some(&self.report.run.run),
            shown: &|path, in_home| self.session.shown(path, in_home),
            findings: self.findings.as_deref(),
            report: Some(self.report),
        };
        page::write(&self.past, &subject, out)
    }
}
