//! Everything that can go wrong, sorted by what the caller can do about it.

mod from;

use crate::catalog::CatalogError;
use crate::disk::DiskError;
use crate::lock::LockError;
use crate::model::{Expect, PathError, RunId, TxnId, TxnState};
use crate::tree::TreeError;

/// Why the journal did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call itself is wrong: mend the call.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// What is on disk is not what the change expected: look again and decide. Nothing was changed.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A lock was not free in time: wait longer, or ask its holder. Nothing was changed.
    #[error(transparent)]
    Lock(LockError),
    /// This place or this database cannot be used with this version: use another. Nothing was changed.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The source of a tree cannot be installed: mend the source. Nothing was changed.
    #[error(transparent)]
    Source(#[from] TreeError),
    /// The database or the journal is damaged: look into it, or open the journal again.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The transaction is past its commit point but not in place yet; the next opening for work, or the
    /// next commit of anybody, finishes it.
    #[error("transaction {txn} is committed but not yet in place; `tljournal recover` finishes it")]
    Unfinished {
        /// The transaction.
        txn: TxnId,
        /// What stopped it.
        #[source]
        source: Box<Error>,
    },
    /// The directory that the journal was opened for is not there any more, or is another one: open the
    /// journal again. Nothing was changed.
    #[error("`{path}` was moved, removed or replaced since the journal was opened; open it again")]
    Replaced {
        /// What is not what it was.
        path: String,
    },
    /// The system refused: make room, grant permission, and try again.
    #[error(transparent)]
    Disk(DiskError),
    /// The database could not be used: make room, grant permission, and try again.
    #[error(transparent)]
    Catalog(CatalogError),
}

impl Error {
    /// Whether it is about something in the database that cannot be read as what it should be.
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

/// A call that could never succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// A path is malformed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A path is outside what the caller allowed itself to change.
    #[error("`{path}` is outside the territory {territory}")]
    Territory {
        /// The path.
        path: String,
        /// What is allowed.
        territory: String,
    },
    /// An absolute path leads to somewhere else than the project.
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
    /// There is no journal here.
    #[error("there is no journal in `{path}`; `tljournal init` makes one")]
    NoJournal {
        /// The home.
        path: String,
    },
    /// The journal was opened to look at it only.
    #[error("the journal was opened for inspection and changes nothing")]
    InspectOnly,
    /// No tree was installed at a path.
    #[error("no tree was installed at `{path}`")]
    NotATree {
        /// The path.
        path: String,
    },
    /// A file is not one of the tags that are changed together.
    #[error("`{path}` is not among the tags that are vouched for together")]
    NotATag {
        /// The path.
        path: String,
    },
    /// A path is to be taken as it is, and there is no tree, file or link.
    #[error("there is no tree, file or link at `{path}`")]
    NothingThere {
        /// The path.
        path: String,
    },
    /// A database is to be rebuilt that needs no rebuilding.
    #[error("the database is sound; there is no need to rebuild it")]
    Sound,
    /// Several ids begin so.
    #[error("several transactions have ids that begin with `{name}`")]
    Ambiguous {
        /// The beginning.
        name: String,
    },
    /// The database failed under this handle.
    #[error("the catalog was found damaged through this handle; open the journal again")]
    Failed,
    /// The handle belongs to the process that this one was forked from.
    #[error("the journal was opened by the process that this one was forked from; open it again")]
    Forked,
    /// What a transaction did cannot be taken back, because it did nothing, or is not done.
    #[error("transaction {txn} is {}: only one that is applied can be undone, or restored from", state.as_str())]
    NotApplied {
        /// Its number.
        txn: i64,
        /// Where it stands.
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
    /// A path lies in a tree, which is replaced as a whole.
    #[error("`{path}` lies in the tree `{tree}`, which is restored as a whole, or not")]
    InTree {
        /// The path.
        path: String,
        /// The tree.
        tree: String,
    },
    /// No transaction that history tells of wrote a path.
    #[error(
        "no transaction wrote `{path}` itself; `tljournal log --path` lists what changed below it"
    )]
    NeverWritten {
        /// The path.
        path: String,
    },
    /// What a path was at a time is not known any more: history has been thinned since.
    #[error(
        "what `{path}` was after transaction {txn} is not known any more: history of that time was forgotten"
    )]
    Forgotten {
        /// The path.
        path: String,
        /// The number of the transaction.
        txn: i64,
    },
    /// A directory that is no tree was changed file by file.
    #[error(
        "`{path}` is no tree, and what is in it was changed by itself after transaction {txn}: restore that, path by path"
    )]
    InParts {
        /// The path.
        path: String,
        /// The number of the transaction.
        txn: i64,
    },
    /// There are so many runs around this process, or they hold so much, that those below could not be told.
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

/// What is on disk is not what a change expected.
#[derive(Debug, thiserror::Error)]
#[error("conflict at `{path}`: {kind}")]
pub struct Conflict {
    /// The path, escaped.
    pub path: String,
    /// What is in the way.
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

/// What is in the way of a change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConflictKind {
    /// The precondition does not hold.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What was expected.
        expected: Expect,
        /// What was found, for people.
        found: String,
    },
    /// Something of another kind has the name.
    #[error("a {found} is there, and a {wanted} would replace it; remove it first")]
    Kind {
        /// What is there.
        found: &'static str,
        /// What was to be put there.
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
        /// What is on the way.
        path: String,
    },
    /// Somebody changed it between check and commit; what they wrote is still there.
    #[error("somebody changed it at the same time; their change was kept")]
    Edited,
    /// Something about what is there keeps it where it is.
    #[error("`{path}` cannot be replaced or removed: {why}")]
    Immovable {
        /// What cannot be moved, escaped.
        path: String,
        /// Why.
        why: &'static str,
    },
    /// The file that has the content was written to while it was read.
    #[error("`{file}` changed while it was read, so there is no one version of it to put there")]
    SourceChanged {
        /// The file, escaped.
        file: String,
    },
    /// The tree is pinned and the caller did not want to replace a pinned one.
    #[error("the tree is in use: it is pinned by {holder}")]
    Pinned {
        /// Who pinned it, for people.
        holder: String,
    },
    /// Kept content is not what was recorded of it.
    #[error("what is kept of it is not what was recorded; nothing was changed")]
    KeptDamaged,
    /// A stuck transaction touches this path.
    #[error("transaction {txn} is stuck there; `tljournal show {txn}` explains it")]
    Stuck {
        /// The stuck transaction.
        txn: TxnId,
    },
    /// A lock is wanted alone that a run around this process shares.
    #[error(
        "run {run}, which this process belongs to, shares it and cannot give it back before this process has ended; have it taken exclusively there"
    )]
    SharedAbove {
        /// The run that shares it.
        run: RunId,
    },
    /// A tree is to be replaced when nobody holds it, and a run around this process does.
    #[error(
        "the tree is pinned by run {run}, which this process belongs to and which keeps it until this process has ended"
    )]
    PinnedAbove {
        /// The run that pinned it.
        run: RunId,
    },
    /// Whoever holds it waits, itself or by way of others, for what is held here: waiting would never end.
    #[error(
        "waiting for it would never end: {holder} holds it and waits, itself or by way of others, for {held}, which this process, or a run around it, holds"
    )]
    Deadlock {
        /// Who holds it, for people.
        holder: String,
        /// What is held here, for people.
        held: String,
    },
    /// A tree is to be populated by what a run around this process has started to populate it.
    #[error(
        "run {run}, which this process belongs to, is populating it with the same key, and waits for this process to end"
    )]
    PopulatedAbove {
        /// The run that populates it.
        run: RunId,
    },
    /// This thread holds the lock itself, and would wait for itself.
    #[error("this thread holds it already{}", if *shared { ", shared: release it before taking it exclusively" } else { "" })]
    HeldByThread {
        /// Whether it is shared, and wanted alone.
        shared: bool,
    },
    /// A pin, lock or key is needed that another may hold while it waits for what is held here.
    #[error(
        "it is locked by somebody, and waiting for it while holding a lock could wait for ever"
    )]
    WouldDeadlock,
}

/// A place or database that this version cannot use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// The filesystem cannot carry a journal's home.
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
    /// The kernel's view of this process cannot be reached.
    #[error(
        "/proc is not mounted, where the real paths of open directories are; mount it (mount -t proc proc /proc)"
    )]
    NoProc,
    /// SQLite opens no file with so long a path.
    #[error(
        "the path of the database is {bytes} bytes long, and SQLite opens none that is longer than {max}: `{path}`; move the project, or keep the journal at a shorter path with --home"
    )]
    LongPath {
        /// The database.
        path: String,
        /// How long that is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// A newer version wrote the database, or the SQLite library is too old.
    #[error(transparent)]
    Format(CatalogError),
}

/// Damage that the journal found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The database cannot be read; the next opening for work sets it aside and begins a new one.
    #[error("`{path}` is damaged; opening the journal for work sets it aside and begins a new one")]
    Catalog {
        /// The database.
        path: String,
        /// What was found.
        #[source]
        source: CatalogError,
    },
    /// The database is gone, and what else the journal keeps is there.
    #[error("`{path}` is gone, and what else the journal keeps is there")]
    Lost {
        /// The database.
        path: String,
    },
    /// Something is where a file of the journal belongs.
    #[error("`{path}` is {found}, where a file of the journal belongs")]
    Planted {
        /// The file.
        path: String,
        /// What it is.
        found: &'static str,
    },
    /// A transaction can be neither finished nor taken back.
    #[error("transaction {txn} can be neither finished nor taken back: {reason}")]
    Stuck {
        /// The transaction.
        txn: TxnId,
        /// Why, and what was kept where.
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
