use std::ops::ControlFlow;

use tljournal::{Code, Finding, FsckDepth, FsckOptions, RepairOptions, Severity};
use tljournal_testkit::{Tell, tell};

use super::{Done, Worker};

impl Worker {
    /// Checks everything repeatedly, and reports findings that only a bug of the journal can cause.
    ///
    /// # Errors
    /// When the journal cannot be read, or the storm has ended.
    pub fn check(&mut self) -> Done {
        loop {
            self.check_once()?;
        }
    }

    /// The same, and repairs the findings.
    ///
    /// # Errors
    /// The errors of [`Self::check`], and a failed repair.
    pub fn mend(&mut self) -> Done {
        loop {
            let found = self.check_once()?;
            let journal = self.open()?;
            // What it could not repair may be repaired by others.
            let mut told = |_| ControlFlow::Continue(());
            journal.repair(&found, &RepairOptions::default(), &mut told)?;
            journal.close()?;
        }
    }

    fn check_once(&mut self) -> Result<Vec<Finding>, Box<dyn std::error::Error>> {
        let depth = match self.random.below(3) {
            0 => FsckDepth::Quick,
            1 => FsckDepth::Default,
            _ => FsckDepth::Full,
        };
        let options = FsckOptions {
            depth,
            ..FsckOptions::default()
        };
        let mut found = Vec::new();
        let mut told = |finding: Finding| {
            found.push(finding);
            ControlFlow::Continue(())
        };
        match self.world.options().fsck(&options, &mut told) {
            Ok(_) => tell(&Tell::Read)?,
            // It does not exist yet.
            Err(tljournal::Error::Usage(_)) => {}
            Err(error) => return Err(error.into()),
        }
        for finding in found.iter().filter(|finding| is_damage(finding.code)) {
            let text = format!("G9: fsck, {depth:?}, told of {finding:?}");
            tell(&Tell::Violation(text))?;
        }
        Ok(found)
    }
}

/// Whether a finding is explained neither by a kill nor by a running process.
fn is_damage(code: Code) -> bool {
    match code {
        Code::TxnUnfinished => false,
        Code::Changed | Code::KeptMissing | Code::KeptDamaged => true,
        code => code.severity() == Severity::Error,
    }
}
