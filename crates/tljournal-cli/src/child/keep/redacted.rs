use rustix::event::Timespec;
use rustix::io::Errno;
use tljournal::Redactor;

use super::log::Log;

/// The time without input after which an incomplete line is written.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// A redacted log. It is written line by line, because a secret may arrive in pieces.
pub(super) struct RedactedLog {
    log: Log,
    redactor: Redactor,
    /// Whether nothing has arrived since the last pause.
    paused: bool,
    lines: Vec<u8>,
}

impl RedactedLog {
    pub(super) fn new(log: Log) -> Self {
        Self {
            log,
            redactor: Redactor::default(),
            paused: true,
            lines: Vec::new(),
        }
    }

    /// The error if it is incomplete.
    pub(super) fn failure(&self) -> Option<Errno> {
        self.log.failure()
    }

    /// Takes input, and writes the complete lines.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.redactor.push(bytes, &mut self.lines);
        self.paused = !self.redactor.is_behind();
        self.write();
    }

    /// How long to wait for the end of a line; `None` if no line is incomplete.
    pub(super) fn patience(&self) -> Option<&'static Timespec> {
        (!self.paused).then_some(&PAUSE)
    }

    /// Writes the safe part of a line whose end has not arrived in time.
    pub(super) fn pause(&mut self) {
        self.redactor.pause(&mut self.lines);
        self.paused = true;
        self.write();
    }

    /// Writes the rest.
    pub(super) fn finish(&mut self) {
        self.redactor.finish(&mut self.lines);
        self.paused = true;
        self.write();
    }

    fn write(&mut self) {
        if !self.lines.is_empty() {
            self.log.append(&self.lines);
            self.lines.clear();
        }
    }
}
