//! The meanings of the exit status: one table, for the program and for its `--help`.

use std::process::ExitCode;

use tljournal::{Conflict, ConflictKind, Error, TreeError, UsageError};

use crate::failure::Failure;

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Success.
    Done,
    /// Nothing had to be done, or nothing was found, if that was asked for.
    Nothing,
    /// The call or its input is invalid.
    Usage,
    /// The disk is not in the expected state.
    Conflict,
    /// A lock was not released in time.
    Locked,
    /// Something is damaged.
    Damaged,
    /// The system refused a call.
    System,
    /// Committed, but not yet applied.
    Unfinished,
    /// The exit code of a command that was run, or that could not be run.
    Passed(u8),
}

/// The possible exit statuses of a command with their meanings, for its `--help`.
pub(crate) type Statuses = &'static [Status];

/// A status and its meaning.
type Status = (u8, &'static str);

const DONE: Status = (0, "done");
const DONE_OR_SO: Status = (0, "done, or nothing had to be changed");
const NO_JOURNAL: Status = (2, "bad usage, or there is no journal");
const NO_HOME: Status = (2, "bad usage, or there is no build directory");
const LOCKED: Status = (
    4,
    "a lock was not free within --lock-wait; nothing was changed",
);
const WAITED: Status = (4, "a lock was not free within --lock-wait");
const STUCK: Status = (
    5,
    "damage was found: a stuck transaction, or something planted among the journal's files",
);
const UNREADABLE: Status = (5, "damage was found: the catalog cannot be read");
const SYSTEM: Status = (
    6,
    "the system failed: disk, permissions, unsupported filesystem or format",
);
const UNFINISHED: Status = (
    7,
    "committed, but not yet in place; `tljournal recover` finishes it",
);

/// The exit status of commands that change something.
pub(crate) const OF_CHANGES: Statuses = &[
    DONE_OR_SO,
    (1, "nothing had to be changed (only with --exit-code)"),
    (
        2,
        "bad usage, a bad description, or a source that cannot be installed",
    ),
    (3, "conflict: a precondition failed; nothing was changed"),
    LOCKED,
    STUCK,
    SYSTEM,
    UNFINISHED,
];

/// The exit status of `tag write`, `tag clear` and commands for artifacts.
pub(crate) const OF_TAGS: Statuses = &[
    DONE_OR_SO,
    NO_HOME,
    (
        3,
        "conflict: something is in the way, or a wait would deadlock; nothing was changed",
    ),
    (4, "a wait exceeded --lock-wait"),
    STUCK,
    SYSTEM,
    UNFINISHED,
];

/// The exit status of `tag check`.
pub(crate) const OF_TAG_CHECK: Statuses = &[
    (0, "all tags are valid"),
    (1, "some are not, with the reason"),
    NO_HOME,
    WAITED,
    UNREADABLE,
    SYSTEM,
];

/// The exit status of `kit unpack`.
pub(crate) const OF_KITS: Statuses = &[
    DONE_OR_SO,
    (
        2,
        "bad usage, a layout that cannot be used, or an image that cannot be unpacked",
    ),
    (3, "conflict: a precondition failed; nothing was changed"),
    LOCKED,
    (
        5,
        "damage was found: a blob is missing or damaged, or a transaction is stuck",
    ),
    SYSTEM,
    UNFINISHED,
];

/// The exit status of commands that only read.
pub(crate) const OF_LOOKS: Statuses = &[DONE, NO_JOURNAL, UNREADABLE, SYSTEM];

/// The exit status of `status`.
pub(crate) const OF_STATUS: Statuses = &[
    DONE,
    (
        1,
        "there is no journal here (only with --short, which prints nothing then)",
    ),
    NO_JOURNAL,
    (
        5,
        "damage was found: a transaction is stuck, or the catalog cannot be read",
    ),
    SYSTEM,
];

/// The exit status of `show` and `tree show`.
pub(crate) const OF_SHOW: Statuses = &[
    DONE,
    (1, "there is no such transaction or tree"),
    NO_JOURNAL,
    UNREADABLE,
    SYSTEM,
];

/// The exit status of `blame`.
pub(crate) const OF_BLAME: Statuses = &[
    (0, "done, whether or not the disk matches the record"),
    (1, "no transaction wrote the path"),
    NO_JOURNAL,
    UNREADABLE,
    SYSTEM,
];

/// The exit status of `report` and `export`.
pub(crate) const OF_SHOW_RUN: Statuses = &[
    DONE,
    (1, "there is no such run"),
    NO_JOURNAL,
    UNREADABLE,
    SYSTEM,
];

/// The exit status of `postmortem`.
pub(crate) const OF_POSTMORTEM: Statuses = &[
    DONE,
    (1, "there is no such run, or none that went wrong"),
    NO_JOURNAL,
    UNREADABLE,
    SYSTEM,
];

/// The exit status of `tree verify`.
pub(crate) const OF_VERIFY: Statuses = &[
    (0, "the tree matches its manifest"),
    (1, "no tree was installed there"),
    NO_JOURNAL,
    (
        5,
        "damage was found: the tree differs from its manifest, or the catalog cannot be read",
    ),
    SYSTEM,
];

/// The exit status of `undo` and `restore`.
pub(crate) const OF_UNDO: Statuses = &[
    (0, "done, or nothing had to be changed, or --dry-run"),
    (
        1,
        "there is no such transaction, no transaction wrote the path, or its history was deleted",
    ),
    (
        2,
        "bad usage: the transaction is not applied, or the path is inside a tree; or there is no journal",
    ),
    (
        3,
        "refused: later changes would be lost, or the content is not available; nothing was changed",
    ),
    LOCKED,
    STUCK,
    SYSTEM,
    UNFINISHED,
];

/// The exit status of `gc`.
pub(crate) const OF_GC: Statuses = &[
    (0, "done, or there was nothing to delete"),
    NO_JOURNAL,
    WAITED,
    (
        5,
        "damage was found: a transaction is stuck, or the catalog cannot be read",
    ),
    SYSTEM,
];

/// The exit status of `recover`.
pub(crate) const OF_RECOVER: Statuses = &[
    (0, "done"),
    (1, "there was nothing to recover (only with --exit-code)"),
    NO_HOME,
    WAITED,
    (
        5,
        "a transaction is stuck: it can be neither finished nor rolled back",
    ),
    SYSTEM,
    (7, "a committed transaction is still not in place"),
];

/// The exit status of `fsck`: that of fsck(8).
pub(crate) const OF_FSCK: Statuses = &[
    (0, "no errors"),
    (
        1,
        "errors were corrected (only with --repair and --rebuild)",
    ),
    (4, "errors are left"),
    (
        8,
        "it could not be checked: the system failed, or a newer version is needed",
    ),
    (
        16,
        "bad usage: there is no journal, or nothing is recorded at a path",
    ),
    (32, "cancelled; what was found until then was printed"),
];

/// The exit status of `demo`.
pub(crate) const OF_DEMO: Statuses = &[
    (0, "no violation was found"),
    (2, "bad usage"),
    (5, "a guarantee was violated"),
    SYSTEM,
];

/// The exit status of commands that print static text.
pub(crate) const OF_TEXTS: Statuses = &[
    DONE,
    (2, "bad usage"),
    (6, "the system failed: the output could not be written"),
];

/// The text after the options of a command: examples, and the meanings of its exit status.
pub(crate) fn after(text: &str, statuses: Statuses) -> String {
    let width = statuses
        .iter()
        .map(|(code, _)| code.to_string().len())
        .max();
    let width = width.unwrap_or(1);
    let lines = statuses
        .iter()
        .map(|(code, what)| format!("\n  {code:<width$}  {what}"));
    format!("{text}\nExit status:{}", lines.collect::<String>())
}

impl Exit {
    /// The code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Nothing => 1,
            Self::Usage => 2,
            Self::Conflict => 3,
            Self::Locked => 4,
            Self::Damaged => 5,
            Self::System => 6,
            Self::Unfinished => 7,
            Self::Passed(code) => code,
        }
    }

    /// The word for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Nothing => "nothing",
            Self::Usage => "usage",
            Self::Conflict => "conflict",
            Self::Locked => "locked",
            Self::Damaged => "damaged",
            Self::System => "system",
            Self::Unfinished => "unfinished",
            Self::Passed(_) => "command",
        }
    }

    /// The exit of a failure.
    pub(crate) fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Journal(error) => Self::of_journal(error),
            Failure::State(error) => Self::of_state(error),
            Failure::Usage(_) => Self::Usage,
            Failure::Nothing(_) => Self::Nothing,
            Failure::Refused { .. } => Self::Conflict,
            Failure::Io { .. } | Failure::Command { .. } => Self::System,
        }
    }

    fn of_state(error: &twoliter_state::Error) -> Self {
        use twoliter_state::LayoutError;
        match error {
            twoliter_state::Error::Layout { source, .. } => match source {
                LayoutError::Missing { .. }
                | LayoutError::Size { .. }
                | LayoutError::Content { .. } => Self::Damaged,
                LayoutError::Disk(_) => Self::System,
                _ => Self::Usage,
            },
            _ => Self::System,
        }
    }

    fn of_journal(error: &Error) -> Self {
        match error {
            Error::Usage(
                UsageError::NotATree { .. }
                | UsageError::NeverWritten { .. }
                | UsageError::Forgotten { .. }
                | UsageError::InParts { .. },
            ) => Self::Nothing,
            Error::Usage(UsageError::Failed) => Self::Damaged,
            Error::Usage(_) => Self::Usage,
            // The conflict is not with a running process: a stuck transaction must be investigated.
            Error::Conflict(Conflict {
                kind: ConflictKind::Stuck { .. },
                ..
            }) => Self::Damaged,
            Error::Conflict(_) => Self::Conflict,
            Error::Lock(_) => Self::Locked,
            // An invalid source is the caller's to fix; a disk error while reading it is not.
            Error::Source(TreeError::Disk(_) | TreeError::Read { .. }) => Self::System,
            Error::Source(_) => Self::Usage,
            Error::Damaged(_) => Self::Damaged,
            Error::Unfinished { .. } => Self::Unfinished,
            _ => Self::System,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(error: Error) -> u8 {
        Exit::of(&error.into()).code()
    }

    #[test]
    fn a_committed_but_unapplied_transaction_has_its_own_status() {
        let lost = || Error::Replaced {
            path: "build".to_owned(),
        };
        let txn = "0198f2a0-0000-7000-8000-000000000000".parse().unwrap();
        let source = Box::new(lost());
        assert_eq!(code(Error::Unfinished { txn, source }), 7);
        assert_eq!(code(lost()), 6);
    }

    #[test]
    fn a_stuck_transaction_is_damage_and_an_edit_is_a_conflict() {
        let txn = "0198f2a0-0000-7000-8000-000000000000".parse().unwrap();
        let conflict = |kind| {
            let path = "build/a".to_owned();
            code(Conflict { path, kind }.into())
        };
        assert_eq!(conflict(ConflictKind::Stuck { txn }), 5);
        assert_eq!(conflict(ConflictKind::Edited), 3);
    }

    #[test]
    fn a_missing_tree_is_not_found_and_a_failed_handle_is_damage() {
        let path = "build/tools".to_owned();
        assert_eq!(code(UsageError::NotATree { path }.into()), 1);
        assert_eq!(code(UsageError::Failed.into()), 5);
        assert_eq!(code(UsageError::InspectOnly.into()), 2);
    }

    #[test]
    fn an_invalid_source_is_bad_usage_and_an_unreadable_source_is_not() {
        let origin = "`x`".to_owned();
        assert_eq!(code(TreeError::AlreadyRead { origin }.into()), 2);
        let source = std::io::ErrorKind::PermissionDenied.into();
        let path = "x".to_owned();
        assert_eq!(code(TreeError::Read { path, source }.into()), 6);
    }
}
