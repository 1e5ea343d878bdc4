//! What the exit status means: one table, for the program and for its `--help`.

use std::process::ExitCode;

use tljournal::{Conflict, ConflictKind, Error, TreeError, UsageError};

use crate::failure::Failure;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is so.
    Done,
    /// Nothing had to be done, or nothing was found, where that was asked.
    Nothing,
    /// The call or its input is wrong.
    Usage,
    /// What is on disk is not what was expected.
    Conflict,
    /// A lock was not free in time.
    Locked,
    /// Something is damaged.
    Damaged,
    /// The system refused.
    System,
    /// Committed, and not yet in place.
    Unfinished,
    /// A command that was run ended so, or could not be run.
    Passed(u8),
}

/// What a command may end with, for its `--help`: each status, and what it means there.
pub(crate) type Statuses = &'static [Status];

/// A status, and what it means.
type Status = (u8, &'static str);

const DONE: Status = (0, "done");
const DONE_OR_SO: Status = (0, "done, or everything was as wanted already");
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
    (
        1,
        "everything was as wanted already (only with --exit-code)",
    ),
    (
        2,
        "bad usage, a bad description, or a source that cannot be installed",
    ),
    (
        3,
        "conflict: what is there is not what was expected; nothing was changed",
    ),
    LOCKED,
    STUCK,
    SYSTEM,
    UNFINISHED,
];

/// The exit status of `tag write`, `tag clear` and what changes artifacts.
pub(crate) const OF_TAGS: Statuses = &[
    DONE_OR_SO,
    NO_HOME,
    (
        3,
        "conflict: something is in the way, or it would be waited for without an end; nothing was changed",
    ),
    (4, "what was waited for was not free within --lock-wait"),
    STUCK,
    SYSTEM,
    UNFINISHED,
];

/// The exit status of `tag check`.
pub(crate) const OF_TAG_CHECK: Statuses = &[
    (0, "all tags may be relied on"),
    (1, "some may not; it is said why"),
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
    (
        3,
        "conflict: what is there is not what was expected; nothing was changed",
    ),
    LOCKED,
    (
        5,
        "damage was found: a blob is missing or not what its name says, or a transaction is stuck",
    ),
    SYSTEM,
    UNFINISHED,
];

/// The exit status of commands that only look.
pub(crate) const OF_LOOKS: Statuses = &[DONE, NO_JOURNAL, UNREADABLE, SYSTEM];

/// The exit status of `status`.
pub(crate) const OF_STATUS: Statuses = &[
    DONE,
    (
        1,
        "there is no journal here (only with --short, which says nothing then)",
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
    (
        0,
        "done, whether what is on disk is what was recorded or not",
    ),
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
    (0, "the tree is as it was installed"),
    (1, "no tree was installed there"),
    NO_JOURNAL,
    (
        5,
        "damage was found: the tree is not as it was installed, or the catalog cannot be read",
    ),
    SYSTEM,
];

/// The exit status of `undo` and `restore`.
pub(crate) const OF_UNDO: Statuses = &[
    (
        0,
        "done, or everything was as wanted already, or only said what would be done",
    ),
    (
        1,
        "there is no such transaction, no transaction wrote the path, or that was forgotten",
    ),
    (
        2,
        "bad usage: the transaction is not in place, or the path lies in a tree; or there is no journal",
    ),
    (
        3,
        "refused: later changes would be lost, or the content is not kept; nothing was changed",
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
    (0, "everything is right now"),
    (1, "there was nothing to recover (only with --exit-code)"),
    NO_HOME,
    WAITED,
    (
        5,
        "a transaction is stuck: it can be neither finished nor taken back",
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
    (32, "cancelled; what was found until then was told"),
];

/// The exit status of `demo`.
pub(crate) const OF_DEMO: Statuses = &[
    (0, "no violation was seen"),
    (2, "bad usage"),
    (5, "a guarantee was violated"),
    SYSTEM,
];

/// The exit status of commands that print what is known anyway.
pub(crate) const OF_TEXTS: Statuses = &[
    DONE,
    (2, "bad usage"),
    (6, "the system failed: what was to be written could not be"),
];

/// What is said after the options of a command: examples and more, and what its exit status means.
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

    /// What a failure means.
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
            // Nobody else is in the way: something there has to be looked at.
            Error::Conflict(Conflict {
                kind: ConflictKind::Stuck { .. },
                ..
            }) => Self::Damaged,
            Error::Conflict(_) => Self::Conflict,
            Error::Lock(_) => Self::Locked,
            // A bad source is for the caller to mend; a disk that fails under it is not.
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
    fn what_is_committed_but_not_in_place_has_a_status_of_its_own() {
        let lost = || Error::Replaced {
            path: "build".to_owned(),
        };
        let txn = "0198f2a0-0000-7000-8000-000000000000".parse().unwrap();
        let source = Box::new(lost());
        assert_eq!(code(Error::Unfinished { txn, source }), 7);
        assert_eq!(code(lost()), 6);
    }

    #[test]
    fn a_stuck_transaction_in_the_way_is_damage_and_an_edit_is_a_conflict() {
        let txn = "0198f2a0-0000-7000-8000-000000000000".parse().unwrap();
        let conflict = |kind| {
            let path = "build/a".to_owned();
            code(Conflict { path, kind }.into())
        };
        assert_eq!(conflict(ConflictKind::Stuck { txn }), 5);
        assert_eq!(conflict(ConflictKind::Edited), 3);
    }

    #[test]
    fn a_missing_tree_is_nothing_found_and_a_failed_handle_is_damage() {
        let path = "build/tools".to_owned();
        assert_eq!(code(UsageError::NotATree { path }.into()), 1);
        assert_eq!(code(UsageError::Failed.into()), 5);
        assert_eq!(code(UsageError::InspectOnly.into()), 2);
    }

    #[test]
    fn a_bad_source_is_bad_usage_and_a_source_that_cannot_be_read_is_not() {
        let origin = "`x`".to_owned();
        assert_eq!(code(TreeError::AlreadyRead { origin }.into()), 2);
        let source = std::io::ErrorKind::PermissionDenied.into();
        let path = "x".to_owned();
        assert_eq!(code(TreeError::Read { path, source }.into()), 6);
    }
}
