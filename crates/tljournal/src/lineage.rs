//! Inherited locks: the runs around this process, and what they hold.
//!
//! A run that starts a command appends itself and what it holds to the environment variable `TLJOURNAL_RUN`. A
//! journal opened below borrows what its ancestors hold, because waiting for an ancestor that waits for this process
//! to end would deadlock. The variable may also name runs of another home; they do not count as running here.

use std::fmt;
use std::str::FromStr;

use crate::ambient;
use crate::error::UsageError;
use crate::lock::{self, Mode};
use crate::model::{Digest, Identity, RunId, Timestamp};

/// The longest variable that is read, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// The text that stands for a share of the commit lock.
const MOMENT: &str = "moment=";

/// What a run can hold for its child processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Thing {
    /// A named lock.
    Named(String),
    /// A lock file that the caller named by its path.
    File(Identity),
    /// A pinned tree.
    Tree(Identity),
    /// A key that is being populated, by the digest that selects its lock byte.
    Key(Digest),
    /// A share of the commit lock, which is never passed to a child process.
    Moment,
    /// Something that only a newer version knows, as text; another process may wait for it.
    Unknown(String),
}

impl Thing {
    /// Whether a lock on one excludes a lock on the other: a lock file may be the directory of a tree.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one) | Self::Tree(one), Self::File(other) | Self::Tree(other)) => {
                one == other
            }
            (one, other) => one == other,
        }
    }
}

/// Something that a run holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) thing: Thing,
    pub(crate) mode: Mode,
}

impl Holding {
    /// The hold on a pinned tree.
    pub(crate) fn of_tree(identity: Identity) -> Self {
        Self {
            thing: Thing::Tree(identity),
            mode: Mode::Shared,
        }
    }

    /// A share of the commit lock.
    pub(crate) fn of_moment() -> Self {
        Self {
            thing: Thing::Moment,
            mode: Mode::Shared,
        }
    }

    /// The right to populate a tree.
    pub(crate) fn of_key(key: Digest) -> Self {
        Self {
            thing: Thing::Key(key),
            mode: Mode::Exclusive,
        }
    }
}

/// A run around this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ancestor {
    pub(crate) run: RunId,
    pub(crate) holds: Vec<Holding>,
}

/// The ancestors, outermost first; some may have ended or belong to another home.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lineage(pub(crate) Vec<Ancestor>);

/// How the running ancestors affect a lock request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loan {
    /// No ancestor holds it: the caller has to acquire it.
    None,
    /// An ancestor holds it in a sufficient mode: the caller needs no lock.
    Borrowed,
    /// This ancestor holds it shared, so no process below can hold it exclusively.
    Never(RunId),
}

impl Lineage {
    /// The runs around this process. An entry that cannot be parsed is skipped with a warning.
    ///
    /// # Errors
    /// [`UsageError::TooNested`] for a text that is too long: ignoring it could make this process wait for an
    /// ancestor.
    pub(crate) fn of_this_process() -> Result<Self, UsageError> {
        let text = ambient::inherited_runs();
        let (lineage, rubbish) = Self::parse(&text)?;
        for word in rubbish {
            tracing::warn!(
                "`{}` in the variable {} is not a run and is ignored",
                word.escape_debug(),
                ambient::RUNS
            );
        }
        Ok(lineage)
    }

    /// The value of the variable for child processes.
    ///
    /// # Errors
    /// [`UsageError::TooNested`] when a child process would refuse to read it.
    pub(crate) fn variable(&self) -> Result<String, UsageError> {
        let text = self.to_string();
        match text.len() > TEXT_BYTES_MAX {
            true => Err(too_nested()),
            false => Ok(text),
        }
    }

    pub(crate) fn parse(text: &str) -> Result<(Self, Vec<&str>), UsageError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(too_nested());
        }
        let (mut ancestors, mut rubbish) = (Vec::new(), Vec::new());
        for word in text.split_whitespace() {
            match parse_ancestor(word) {
                Some(ancestor) => ancestors.push(ancestor),
                None => rubbish.push(word),
            }
        }
        Ok((Self(ancestors), rubbish))
    }
}

fn too_nested() -> UsageError {
    UsageError::TooNested {
        variable: ambient::RUNS,
        bytes_max: TEXT_BYTES_MAX,
    }
}

impl Ancestor {
    /// The mode in which this run holds something.
    pub(crate) fn mode_of(&self, thing: &Thing) -> Option<Mode> {
        let held = self.holds.iter().filter(|held| held.thing.is(thing));
        held.map(|held| held.mode)
            .max_by_key(|mode| *mode == Mode::Exclusive)
    }
}

/// How the running ancestors affect a request for something.
pub(crate) fn loan<'a>(
    living: impl Iterator<Item = &'a Ancestor>,
    thing: &Thing,
    mode: Mode,
) -> Loan {
    let mut loan = Loan::None;
    for ancestor in living {
        match (ancestor.mode_of(thing), mode) {
            (None, _) => {}
            (Some(Mode::Exclusive), _) => return Loan::Borrowed,
            (Some(Mode::Shared), Mode::Shared) => loan = Loan::Borrowed,
            (Some(Mode::Shared), Mode::Exclusive) => loan = Loan::Never(ancestor.run),
        }
    }
    loan
}

fn parse_ancestor(word: &str) -> Option<Ancestor> {
    let mut parts = word.split(',');
    let run = parts.next()?.parse().ok()?;
    // An entry of a newer version must not hide the entries that this version knows.
    let unknown = |text: &str| Holding {
        thing: Thing::Unknown(text.to_owned()),
        mode: Mode::Exclusive,
    };
    let holds = parts.map(|text| text.parse().unwrap_or_else(|()| unknown(text)));
    let holds = holds.collect();
    Some(Ancestor { run, holds })
}

impl FromStr for Holding {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        parse_holding(text).ok_or(())
    }
}

fn parse_holding(text: &str) -> Option<Holding> {
    if let Some(tree) = text.strip_prefix("pin=") {
        return Some(Holding::of_tree(parse_identity(tree)?));
    }
    if let Some(key) = text.strip_prefix("key=") {
        return Some(Holding::of_key(key.parse().ok()?));
    }
    let (what, mode) = match text.strip_suffix(":shared") {
        Some(what) => (what, Mode::Shared),
        None => (text, Mode::Exclusive),
    };
    let thing = match what.strip_prefix("file=") {
        None if what == MOMENT => Thing::Moment,
        Some(file) => Thing::File(parse_identity(file)?),
        None if lock::is_name(what) => Thing::Named(what.to_owned()),
        None => return None,
    };
    Some(Holding { thing, mode })
}

fn parse_identity(text: &str) -> Option<Identity> {
    let (ino, born) = text.split_once('.')?;
    let born: Timestamp = born.parse().ok()?;
    Some(Identity {
        ino: ino.parse().ok()?,
        born,
    })
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, ancestor) in self.0.iter().enumerate() {
            let space = if n > 0 { " " } else { "" };
            write!(f, "{space}{}", ancestor.run)?;
            for held in &ancestor.holds {
                write!(f, ",{held}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Thing {
    /// For display.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "the lock `{name}`"),
            Self::File(file) => write!(f, "the lock file with inode {}", file.ino),
            Self::Tree(_) => f.write_str("a pinned tree"),
            Self::Key(_) => f.write_str("a tree that is being populated"),
            Self::Moment => f.write_str("the commit lock"),
            Self::Unknown(_) => f.write_str("something"),
        }
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.thing {
            Thing::Tree(Identity { ino, born }) => return write!(f, "pin={ino}.{born}"),
            Thing::Key(key) => return write!(f, "key={key}"),
            Thing::Unknown(text) => return f.write_str(text),
            Thing::Named(name) => write!(f, "{name}")?,
            Thing::Moment => f.write_str(MOMENT)?,
            Thing::File(Identity { ino, born }) => write!(f, "file={ino}.{born}")?,
        }
        match self.mode {
            Mode::Shared => write!(f, ":shared"),
            Mode::Exclusive => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "01920000-0000-7000-8000-000000000001";
    const TWO: &str = "01920000-0000-7000-8000-000000000002";

    fn ancestor(run: &str, holds: &[(Thing, Mode)]) -> Ancestor {
        let holds = holds.iter().cloned();
        Ancestor {
            run: run.parse().unwrap(),
            holds: holds.map(|(thing, mode)| Holding { thing, mode }).collect(),
        }
    }

    fn named(name: &str) -> Thing {
        Thing::Named(name.to_owned())
    }

    fn all_kinds() -> Lineage {
        let identity = Identity {
            ino: 7,
            born: Timestamp::new(-1, 5),
        };
        Lineage(vec![
            ancestor(
                ONE,
                &[
                    (named("vendor"), Mode::Exclusive),
                    (named("a.b-c_d"), Mode::Shared),
                    (Thing::File(identity), Mode::Exclusive),
                    (Thing::File(identity), Mode::Shared),
                    (Thing::Tree(identity), Mode::Shared),
                    (Thing::Key(Digest::of(b"k")), Mode::Exclusive),
                    (Thing::Moment, Mode::Shared),
                    (Thing::Unknown("lease=7".to_owned()), Mode::Exclusive),
                ],
            ),
            ancestor(TWO, &[]),
        ])
    }

    #[test]
    fn a_lineage_reads_what_it_writes() {
        let lineage = all_kinds();
        let text = lineage.to_string();
        assert_eq!(lineage.variable().unwrap(), text);
        assert_eq!(Lineage::parse(&text).unwrap(), (lineage, vec![]));
        assert_eq!(Lineage::parse("").unwrap(), (Lineage::default(), vec![]));
    }

    #[test]
    fn g8_invalid_entries_are_skipped_and_the_rest_is_read() {
        for rubbish in ["x".to_owned(), "a,b".to_owned(), format!("{ONE}x,a")] {
            let text = format!("{rubbish} {TWO}");
            let (read, left_out) = Lineage::parse(&text).unwrap();
            assert_eq!(read, Lineage(vec![ancestor(TWO, &[])]), "{rubbish}");
            assert_eq!(left_out, [rubbish]);
        }
    }

    /// A text that was too long was ignored as a whole, and a process that had borrowed a lock through it waited for
    /// it forever.
    #[test]
    fn g15_a_lineage_that_is_too_long_is_neither_written_nor_read() {
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        assert!(matches!(
            Lineage::parse(&long),
            Err(UsageError::TooNested { .. })
        ));
        let many = vec![ancestor(ONE, &[]); TEXT_BYTES_MAX / 37 + 1];
        let refused = Lineage(many).variable();
        assert!(matches!(refused, Err(UsageError::TooNested { .. })));
    }

    /// One word that could not be parsed hid its run with everything it held, and a process that requested any of it
    /// waited forever.
    #[test]
    fn g8_a_holding_that_cannot_be_parsed_does_not_hide_the_others() {
        for unknown in [
            "",
            "../x",
            "a:alone",
            "pin=7",
            "pin=x.1.1",
            "file=-1.1.1",
            "key=7",
            "a.turnstile",
            "lease=7:shared",
        ] {
            let text = format!("{ONE},{unknown},vendor {TWO}");
            let (read, left_out) = Lineage::parse(&text).unwrap();
            assert_eq!(left_out, [""; 0]);
            assert_eq!(read.to_string(), text);
            let holds = [
                (Thing::Unknown(unknown.to_owned()), Mode::Exclusive),
                (named("vendor"), Mode::Exclusive),
            ];
            let expected = vec![ancestor(ONE, &holds), ancestor(TWO, &[])];
            assert_eq!(read, Lineage(expected), "{unknown}");
        }
    }

    #[test]
    fn an_exclusive_hold_is_lent_in_both_modes_and_a_shared_one_only_shared() {
        let (run, other) = (ONE.parse().unwrap(), TWO.parse().unwrap());
        use Mode::{Exclusive, Shared};
        // What the outer run holds, what the inner run holds, the requested mode, and the expected loan.
        let table = [
            (None, None, Shared, Loan::None),
            (None, None, Exclusive, Loan::None),
            (Some(Exclusive), None, Exclusive, Loan::Borrowed),
            (Some(Exclusive), None, Shared, Loan::Borrowed),
            (Some(Shared), None, Shared, Loan::Borrowed),
            (Some(Shared), None, Exclusive, Loan::Never(run)),
            (None, Some(Shared), Exclusive, Loan::Never(other)),
            (Some(Exclusive), Some(Shared), Exclusive, Loan::Borrowed),
            (Some(Shared), Some(Exclusive), Exclusive, Loan::Borrowed),
        ];
        for (outer, inner, wanted, expected) in table {
            let holds = |mode: Option<Mode>| -> Vec<_> {
                mode.iter().map(|mode| (named("a"), *mode)).collect()
            };
            let living = [ancestor(ONE, &holds(outer)), ancestor(TWO, &holds(inner))];
            let found = loan(living.iter(), &named("a"), wanted);
            assert_eq!(found, expected, "{outer:?} {inner:?} {wanted:?}");
            assert_eq!(loan(living.iter(), &named("b"), wanted), Loan::None);
        }
    }
}
