use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;
use std::time::Duration;

/// A report of a process of a storm, as a line of its standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tell {
    /// `commit` returned Ok after this long, and something was changed. The number is what the process last made
    /// durable: its successor must find it, or the next one.
    Committed {
        /// The number.
        number: u64,
        /// How long it took from the call to its return.
        took: Duration,
        /// The bytes of new content.
        bytes: u64,
    },
    /// A process found its predecessor's number, and continues from there.
    Found {
        /// The number.
        number: u64,
    },
    /// `commit` returned Ok after this long, and nothing had to be changed.
    Unchanged {
        /// The time from the first read to the return.
        took: Duration,
    },
    /// The result of the recovery when the journal was opened.
    Recovered {
        /// Transactions that were finished.
        finished: u32,
        /// Transactions that were rolled back.
        rolled_back: u32,
    },
    /// A check without a problem.
    Read,
    /// A lock was waited for.
    Waited(Duration),
    /// A permitted refusal, with a short description.
    Refused(String),
    /// A guarantee was violated.
    Violation(String),
}

/// Sends a report to the storm, if this process was started by one.
///
/// # Errors
/// When the storm has ended: the process can exit.
pub fn tell(what: &Tell) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()
}

impl fmt::Display for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committed {
                number,
                took,
                bytes,
            } => write!(f, "commit {number} {} {bytes}", took.as_micros()),
            Self::Found { number } => write!(f, "found {number}"),
            Self::Unchanged { took } => write!(f, "same {}", took.as_micros()),
            Self::Recovered {
                finished,
                rolled_back,
            } => write!(f, "recovered {finished} {rolled_back}"),
            Self::Read => f.write_str("read"),
            Self::Waited(long) => write!(f, "waited {}", long.as_micros()),
            Self::Refused(text) => write!(f, "refused {}", text.escape_debug()),
            Self::Violation(text) => write!(f, "violation {}", text.escape_debug()),
        }
    }
}

impl FromStr for Tell {
    type Err = ();
    fn from_str(line: &str) -> Result<Self, ()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let numbers: Vec<u64> = rest
            .split(' ')
            .map_while(|text| text.parse().ok())
            .collect();
        Ok(match (word, &numbers[..]) {
            ("commit", &[number, micros, bytes]) => Self::Committed {
                number,
                took: Duration::from_micros(micros),
                bytes,
            },
            ("found", &[number]) => Self::Found { number },
            ("same", &[micros]) => Self::Unchanged {
                took: Duration::from_micros(micros),
            },
            ("recovered", &[finished, rolled_back]) => Self::Recovered {
                finished: u32::try_from(finished).map_err(|_| ())?,
                rolled_back: u32::try_from(rolled_back).map_err(|_| ())?,
            },
            ("read", &[]) => Self::Read,
            ("waited", &[micros]) => Self::Waited(Duration::from_micros(micros)),
            ("refused", _) => Self::Refused(rest.to_owned()),
            ("violation", _) => Self::Violation(rest.to_owned()),
            _ => return Err(()),
        })
    }
}
