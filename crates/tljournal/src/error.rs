//! All errors, sorted by what the caller can do about them.

mod from;

use crate::catalog::CatalogError;
use crate::disk::DiskError;
use crate::lock::LockError;
use crate::model::{Expect, PathError, RunId, TxnId, TxnState};
use crate::tree::TreeError;

/// Why an operation of the journal failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call itself is invalid: fix the call.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The disk is not in the state that the change expected: read it again and decide. Nothing was changed.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A lock was not released in time: wait longer, or ask its holder. Nothing was changed.
    #[error(transparent)]
    Lock(LockError),
    /// This version cannot use this location or database: use another one. Nothing was changed.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The source of a tree cannot be installed: fix the source. Nothing was changed.
    #[error(transparent)]
    Source(#[from] TreeError),
    /// The database or the journal is damaged: inspect it, or open the journal again.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The transaction is past its commit point but not in place yet. The next process that opens the journal for
    /// work, or the next commit, finishes it.
    #[error("transaction {txn} is committed but not yet in place; `tljournal recover` finishes it")]
    Unfinished {
        /// The transaction.
        txn: TxnId,
        /// The error that interrupted it.
        #[source]
        source: Box<Error>,
    },
    /// The directory that the journal was opened for no longer exists or was replaced: open the journal again.
    /// Nothing was changed.
    #[error("`{path}` was moved, removed or replaced since the journal was opened; open it again")]
    Replaced {
        /// The path that was moved, removed or replaced.
        path: String,
    },
    /// The system refused a call: free space or grant permission, and try again.
    #[error(transparent)]
    Disk(DiskError),
    /// The database could not be used: free space or grant permission, and try again.
    #[error(transparent)]
    Catalog(CatalogError),
}

impl Error {
    /// Whether the cause is a value in the database that cannot be parsed.
    pub(crate) fn is_unreadable_row(&self) -> bool {
        matches!(
            self,
            Self::Damaged(Damage::Catalog {
                source: CatalogError::Row(_),
                ..
            })
        )
    }
}

/// A call that can never succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// A path is malformed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A path is outside the territory that the caller declared.
    #[error("`{path}` is outside the territory {territory}")]
    Territory {
        /// The path.
        path: String,
        /// The territory.
        territory: String,
    },
    /// An absolute path is outside the project.
    #[error("`{path}` is not below the root `{root}`")]
    Outside {
        /// The path, escaped.
        path: String,
        /// The root, escaped.
        root: String,
    },
    /// A path belongs to the journal itself.
    #[error("`{path}` is at, above or inside the journal's own files")]
    Reserved {
        /// The path.
        path: String,
    },
    /// Two changes of one transaction are at equal or nested paths.
    #[error("`{path}` and `{other}` are equal or nested; one transaction cannot change both")]
    Overlap {
        /// The later path.
        path: String,
        /// The earlier one.
        other: String,
    },
    /// The name of a lock is not a name.
    #[error(
        "`{name}` is not the name of a lock: use up to 100 characters of [A-Za-z0-9._-], and a letter or digit first"
    )]
    LockName {
        /// The name, escaped.
        name: String,
    },
    /// The directory has no journal.
    #[error("there is no journal in `{path}`; `tljournal init` makes one")]
    NoJournal {
        /// The home.
        path: String,
    },
    /// The journal was opened for inspection only.
    #[error("the journal was opened for inspection and changes nothing")]
    InspectOnly,
    /// No tree was installed at a path.
    #[error("no tree was installed at `{path}`")]
    NotATree {
        /// The path.
        path: String,
    },
    /// A file is not one of the tags of this change.
    #[error("`{path}` is not one of the tags that are claimed together")]
    NotATag {
        /// The path.
        path: String,
    },
    /// A path is to be adopted as it is, but holds no tree, file or link.
    #[error("there is no tree, file or link at `{path}`")]
    NothingThere {
        /// The path.
        path: String,
    },
    /// The database to rebuild is sound.
    #[error("the database is sound and needs no rebuild")]
    Sound,
    /// The prefix matches several transactions.
    #[error("several transactions have ids that begin with `{name}`")]
    Ambiguous {
        /// The prefix.
        name: String,
    },
    /// The database failed under this handle.
    #[error("the catalog was found damaged through this handle; open the journal again")]
    Failed,
    /// The handle belongs to the process that this one was forked from.
    #[error("the journal was opened by the process that this one was forked from; open it again")]
    Forked,
    /// A transaction cannot be undone because it changed nothing or is not applied.
    #[error("transaction {txn} is {}: only an applied transaction can be undone or restored from", state.as_str())]
    NotApplied {
        /// Its number.
        txn: i64,
        /// Its state.
        state: TxnState,
    },
    /// A transaction belongs to another root.
    #[error(
        "transaction {txn} changed paths below another root than this one; name that one with --root"
    )]
    OtherRoot {
        /// Its number.
        txn: i64,
    },
    /// A path is inside a tree, which is replaced only as a whole.
    #[error("`{path}` is inside the tree `{tree}`, which is restored only as a whole")]
    InTree {
        /// The path.
        path: String,
        /// The tree.
        tree: String,
    },
    /// No recorded transaction wrote a path.
    #[error(
        "no transaction wrote `{path}` itself; `tljournal log --path` lists what changed below it"
    )]
    NeverWritten {
        /// The path.
        path: String,
    },
    /// The state of a path at a time is no longer known because that part of history was deleted.
    #[error(
        "the state of `{path}` after transaction {txn} is unknown: that part of history was deleted"
    )]
    Forgotten {
        /// The path.
        path: String,
        /// The number of the transaction.
        txn: i64,
    },
    /// A directory that is not a tree was changed file by file.
    #[error(
        "`{path}` is not a tree, and its entries were changed one by one after transaction {txn}: restore them path by path"
    )]
    InParts {
        /// The path.
        path: String,
        /// The number of the transaction.
        txn: i64,
    },
    /// The list of the runs around this process, with what they hold, is too long for the environment variable.
    #[error(
        "the runs around this process do not fit into the variable {variable}, which may be {bytes_max} bytes long: nest fewer of them"
    )]
    TooNested {
        /// The environment variable.
        variable: &'static str,
        /// The limit.
        bytes_max: usize,
    },
    /// A transaction is too large.
    #[error("one transaction can make at most {max} changes")]
    TooManyChanges {
        /// The limit.
        max: u32,
    },
}

/// The disk is not in the state that a change expected.
#[derive(Debug, thiserror::Error)]
#[error("conflict at `{path}`: {kind}")]
pub struct Conflict {
    /// The path, escaped.
    pub path: String,
    /// The reason.
    pub kind: ConflictKind,
}

impl Conflict {
    pub(crate) fn at(path: impl std::fmt::Display, kind: ConflictKind) -> Self {
        Self {
            path: path.to_string().escape_debug().to_string(),
            kind,
        }
    }
}

/// Why a change cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConflictKind {
    /// The precondition does not hold.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What was expected.
        expected: Expect,
        /// What was found, for display.
        found: String,
    },
    /// The path holds something of another kind.
    #[error("a {found} is there, and a {wanted} would replace it; remove it first")]
    Kind {
        /// The kind that was found.
        found: &'static str,
        /// The kind that was to be written.
        wanted: &'static str,
    },
    /// The target, or a directory on the way to it, is a symbolic link.
    #[error("`{link}` is a symbolic link, which is not followed")]
    Link {
        /// The link.
        link: String,
    },
    /// Something on the way to the target is not a directory.
    #[error("`{path}` is not a directory")]
    NotADirectory {
        /// The path that is not a directory.
        path: String,
    },
    /// Another program changed the path between the check and the commit; that change is kept.
    #[error("another program changed it at the same time; that change was kept")]
    Edited,
    /// The entry cannot be moved.
    #[error("`{path}` cannot be replaced or removed: {why}")]
    Immovable {
        /// The entry, escaped.
        path: String,
        /// Why.
        why: &'static str,
    },
    /// The source file was written to while it was read.
    #[error("`{file}` changed while it was read, so no consistent version of it was read")]
    SourceChanged {
        /// The file, escaped.
        file: String,
    },
    /// The tree is pinned, and the caller asked not to replace a pinned tree.
    #[error("the tree is in use: it is pinned by {holder}")]
    Pinned {
        /// The holder of the pin, for display.
        holder: String,
    },
    /// Retained content differs from its record.
    #[error("its retained content differs from the record; nothing was changed")]
    KeptDamaged,
    /// A stuck transaction touches this path.
    #[error("transaction {txn} is stuck there; `tljournal show {txn}` explains it")]
    Stuck {
        /// The stuck transaction.
        txn: TxnId,
    },
    /// A lock is requested exclusively that a run around this process holds shared.
    #[error(
        "run {run}, which this process belongs to, holds it shared until this process ends; take it exclusively in that run"
    )]
    SharedAbove {
        /// The run that holds it shared.
        run: RunId,
    },
    /// A tree is to be replaced only while it is unpinned, but a run around this process pins it.
    #[error(
        "the tree is pinned by run {run}, which this process belongs to and which holds the pin until this process ends"
    )]
    PinnedAbove {
        /// The run that pinned it.
        run: RunId,
    },
    /// A deadlock: the holder waits, directly or through others, for what this process or a run around it holds.
    #[error(
        "waiting for it would never end: {holder} holds it and waits, directly or through others, for {held}, which this process, or a run around it, holds"
    )]
    Deadlock {
        /// The holder, for display.
        holder: String,
        /// What is held here, for display.
        held: String,
    },
    /// A tree is to be populated that a run around this process is already populating.
    #[error(
        "run {run}, which this process belongs to, is populating it with the same key, and waits for this process to end"
    )]
    PopulatedAbove {
        /// The run that populates it.
        run: RunId,
    },
    /// The calling thread holds the lock itself; waiting for it would deadlock.
    #[error("this thread holds it already{}", if *shared { ", shared: release it before taking it exclusively" } else { "" })]
    HeldByThread {
        /// Whether the thread holds it shared and now asks for it exclusively.
        shared: bool,
    },
    /// A pin, lock or key is held by another process, which may be waiting for what is held here.
    #[error(
        "another process holds it, and waiting for it while holding a lock could wait for ever"
    )]
    WouldDeadlock,
}

/// A location or database that this version cannot use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// The filesystem does not support a journal's home.
    #[error(
        "`{path}` lies on {filesystem}, where {reason}; put the build directory on a local filesystem, or name another home with --home"
    )]
    Filesystem {
        /// The home or target.
        path: String,
        /// The filesystem's name.
        filesystem: String,
        /// Why.
        reason: &'static str,
    },
    /// `/proc`, which the engine needs for the paths of open directories, is not mounted.
    #[error(
        "/proc is not mounted, and the paths of open directories are read from it; mount it (mount -t proc proc /proc)"
    )]
    NoProc,
    /// SQLite does not open paths that are this long.
    #[error(
        "the path of the database is {bytes} bytes long, and SQLite opens none that is longer than {max}: `{path}`; move the project, or keep the journal at a shorter path with --home"
    )]
    LongPath {
        /// The database.
        path: String,
        /// The length of its path.
        bytes: usize,
        /// The longest path that works.
        max: usize,
    },
    /// The database was written by a newer version, or the SQLite library is too old.
    #[error(transparent)]
    Format(CatalogError),
}

/// Damage found in the journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The database cannot be read. The next process that opens the journal for work sets it aside and creates a new
    /// one.
    #[error(
        "`{path}` is damaged; opening the journal for work sets it aside and creates a new one"
    )]
    Catalog {
        /// The database.
        path: String,
        /// What was found.
        #[source]
        source: CatalogError,
    },
    /// The database is missing, but other files of the journal exist.
    #[error("the database `{path}` is missing, but other files of the journal exist")]
    Lost {
        /// The database.
        path: String,
    },
    /// Something else is in the place of a file of the journal.
    #[error("`{path}` is {found} instead of a file of the journal")]
    Planted {
        /// The file.
        path: String,
        /// What it is.
        found: &'static str,
    },
    /// A transaction can be neither finished nor rolled back.
    #[error("transaction {txn} can be neither finished nor rolled back: {reason}")]
    Stuck {
        /// The transaction.
        txn: TxnId,
        /// Why, and where its files were kept.
        reason: String,
    },
}
/// An error with everything that caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
