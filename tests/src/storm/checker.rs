use std::ops::ControlFlow;

use tljournal::{Code, Finding, FsckDepth, FsckOptions, Severity};
use tljournal_testkit::{Tell, tell};

use super::{Done, Worker};

impl Worker {
    /// Has everything checked all the time, and tells of findings that nobody but a broken journal explains.
    ///
    /// # Errors
    /// When the journal cannot be looked at, or nobody listens any more.
    pub fn check(&mut self) -> Done {
        loop {
            let depth = match self.random.below(3) {
                0 => FsckDepth::Quick,
                1 => FsckDepth::Default,
                _ => FsckDepth::Full,
            };
            let options = FsckOptions {
                depth,
                ..FsckOptions::default()
            };
            let mut wrong = Vec::new();
            let mut told = |finding: Finding| {
                if is_damage(finding.code) {
                    wrong.push(format!("{depth:?}: {finding:?}"));
                }
                ControlFlow::Continue(())
            };
            match self.world.options().fsck(&options, &mut told) {
                Ok(_) => tell(&Tell::Read)?,
                // Nobody has made it yet.
                Err(tljournal::Error::Usage(_)) => {}
                Err(error) => return Err(error.into()),
            }
            for finding in wrong {
                tell(&Tell::Violation(format!("G9: fsck told of {finding}")))?;
            }
        }
    }
}

/// Whether a kill does not explain a finding, nor somebody who is at work.
fn is_damage(code: Code) -> bool {
    match code {
        Code::TxnUnfinished => false,
        Code::Changed | Code::KeptMissing | Code::KeptDamaged => true,
        code => code.severity() == Severity::Error,
    }
}
