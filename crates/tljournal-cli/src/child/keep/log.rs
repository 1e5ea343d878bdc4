use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

/// The largest log, in bytes; four of them are the limit for the logs of all runs.
const BYTES_MAX: u64 = 64 << 20;

/// The first line of a log whose beginning was deleted.
const CUT: &[u8] = b"[tljournal: what came before this was too long to be kept]\n";

const CHUNK_BYTES: usize = 64 << 10;

/// A log of limited size: when it is full it keeps the newer half, which explains a failure.
pub(super) struct Log {
    /// `None` after a write failed.
    file: Option<File>,
    len: u64,
    max: u64,
    failure: Option<Errno>,
}

impl Log {
    /// A log in an empty file, open for reading and writing.
    pub(super) fn new(file: File) -> Self {
        Self {
            file: Some(file),
            len: 0,
            max: BYTES_MAX,
            failure: None,
        }
    }

    /// The error if it is incomplete.
    pub(super) fn failure(&self) -> Option<Errno> {
        self.failure
    }

    /// Appends, unless an earlier write failed.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let Some(file) = &self.file else {
            return;
        };
        match write(file, self.len, self.max, bytes) {
            Ok(len) => self.len = len,
            Err(error) => {
                let errno = Errno::from_io_error(&error);
                self.failure = Some(errno.unwrap_or(Errno::IO));
                self.file = None;
            }
        }
    }
}

/// Writes at the end, and returns the new end.
fn write(file: &File, mut len: u64, max: u64, bytes: &[u8]) -> io::Result<u64> {
    if len + bytes.len() as u64 > max {
        len = shorten(file, len, max / 2)?;
    }
    file.write_all_at(bytes, len)?;
    Ok(len + bytes.len() as u64)
}

/// Moves about this many of the last bytes to the beginning.
fn shorten(file: &File, len: u64, keep: u64) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut from = len.saturating_sub(keep).max(CUT.len() as u64);
    // The kept part begins at the start of a line, unless lines are very long.
    let count = file.read_at(&mut chunk, from)?;
    let line = chunk[..count].iter().position(|byte| *byte == b'\n');
    from += line.map_or(0, |at| at as u64 + 1);
    file.write_all_at(CUT, 0)?;
    let mut to = CUT.len() as u64;
    while from < len {
        let count = file.read_at(&mut chunk, from)?;
        if count == 0 {
            // Another program has truncated it.
            break;
        }
        file.write_all_at(&chunk[..count], to)?;
        (from, to) = (from + count as u64, to + count as u64);
    }
    file.set_len(to)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_full_keeps_its_end_in_whole_lines() {
        let mut log = Log {
            max: 4096,
            ..Log::new(tempfile::tempfile().unwrap())
        };
        let file = log.file.as_ref().unwrap().try_clone().unwrap();
        for n in 0..10_000 {
            log.append(format!("line {n}\n").as_bytes());
            assert!(file.metadata().unwrap().len() <= 4096, "{n}");
        }
        assert_eq!(log.failure(), None);
        let mut text = vec![0; 4096];
        let count = file.read_at(&mut text, 0).unwrap();
        let text = String::from_utf8(text[..count].to_vec()).unwrap();
        let kept = text
            .strip_prefix(std::str::from_utf8(CUT).unwrap())
            .unwrap();
        let first: u32 = kept.split_once('\n').unwrap().0[5..].parse().unwrap();
        let expected: String = (first..10_000).map(|n| format!("line {n}\n")).collect();
        assert_eq!(kept, expected);
        assert!(kept.len() > 1500);
    }

    #[test]
    fn a_failed_log_reports_its_error_once() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut log = Log::new(full);
        log.append(b"a");
        log.append(b"b");
        assert_eq!(
            (log.failure(), log.file.is_none()),
            (Some(Errno::NOSPC), true)
        );
    }
}
