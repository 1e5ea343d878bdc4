use rustix::event::Timespec;
use rustix::io::Errno;
use tljournal::Redactor;

use super::log::Log;

/// For how long nothing has to come until the beginning of a line is written.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// A log without secrets. It is written line by line, because a secret may come in pieces.
pub(super) struct RedactedLog {
    log: Log,
    redactor: Redactor,
    /// Whether nothing has come since the last pause.
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

    /// Why it does not have everything.
    pub(super) fn failure(&self) -> Option<Errno> {
        self.log.failure()
    }

    /// Takes what has come, and writes the lines that are whole.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.redactor.push(bytes, &mut self.lines);
        self.paused = !self.redactor.is_behind();
        self.write();
    }

    /// How long to wait for the end of a line; `None` if nothing is missing.
    pub(super) fn patience(&self) -> Option<&'static Timespec> {
        (!self.paused).then_some(&PAUSE)
    }

    /// Writes what can be written of a line whose end has not come in time.
    pub(super) fn pause(&mut self) {
        self.redactor.pause(&mut self.lines);
        self.paused = true;
        self.write();
    }

    /// Writes all that is left.
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
