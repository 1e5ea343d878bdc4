//! Hints: the next step after a failure.

use std::io;

use camino::Utf8Path;
use tljournal::{CatalogError, Conflict, ConflictKind, Damage, Error, LockError, UsageError};

use crate::failure::Failure;
use crate::files;

/// The hint for a failure.
pub(crate) fn for_failure(failure: &Failure, home: Option<&Utf8Path>) -> Option<String> {
    let own = match failure {
        Failure::Journal(error) => for_journal(error),
        Failure::State(_) | Failure::Usage(_) | Failure::Nothing(_) | Failure::Io { .. } => None,
        Failure::Refused { hint, .. } => return hint.map(str::to_owned),
        // It is about the command, not about the journal.
        Failure::Command { .. } => return None,
    };
    own.or_else(|| for_system(failure.system()?, home))
}

fn for_journal(error: &Error) -> Option<String> {
    let hint = match error {
        Error::Conflict(conflict) => return for_conflict(conflict),
        Error::Lock(LockError::Timeout { .. }) => {
            "wait longer with --lock-wait (exec and pin: --wait), or check that process; the lock is released when it ends"
        }
        Error::Usage(UsageError::NotATree { .. }) => {
            "`tljournal log` lists what was installed; PATH is relative to the root"
        }
        Error::Usage(UsageError::InTree { .. }) => {
            "restore the tree itself; `tljournal blame` shows its history"
        }
        Error::Usage(UsageError::Ambiguous { .. }) => {
            "use a longer prefix; `tljournal log` shows the numbers"
        }
        Error::Usage(UsageError::Sound) => "use --force to rebuild it anyway",
        Error::Usage(UsageError::Overlap { .. }) => "split the two changes into two transactions",
        Error::Damaged(Damage::Catalog { .. }) => {
            "run `tljournal fsck --rebuild` to salvage its readable rows, or `tljournal recover` to start with an empty one; the old one is set aside, and no file of the project is touched"
        }
        Error::Damaged(Damage::Lost { .. }) => {
            "run `tljournal fsck --rebuild --tree PATH`, with each path to record, to create a new one from the files on disk"
        }
        Error::Damaged(Damage::Planted { found, .. }) if found.contains("another user") => {
            "give it to the owner of the home, if it is a file of the journal: sudo chown --reference=HOME FILE"
        }
        Error::Damaged(Damage::Stuck { .. }) => "`tljournal status` lists what is stuck",
        Error::Unfinished { .. } => "fix the cause, then run `tljournal recover`",
        Error::Replaced { .. } => "run the command again",
        Error::Catalog(CatalogError::Full(_)) => FULL,
        Error::Catalog(CatalogError::Sql { source, .. })
            if source
                .sqlite_error()
                .is_some_and(|error| NO_INDEX.contains(&error.extended_code)) =>
        {
            "SQLite cannot use its index next to the database (.state.db-shm): if the disk is full, free space; if the index or the log was removed, wait for the running processes, and run the command again"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn for_conflict(conflict: &Conflict) -> Option<String> {
    let hint = match &conflict.kind {
        ConflictKind::Unexpected { .. } => {
            "nothing was changed; `tljournal log` and `tljournal show` show who changed it last; adjust --expect"
        }
        ConflictKind::Kind { .. } => "remove it with `tljournal rm`",
        ConflictKind::Link { .. } => "nothing was changed; remove the link, or name its target",
        ConflictKind::Deadlock { .. } => {
            "run it again; to keep it from happening, acquire these in one order everywhere"
        }
        ConflictKind::Immovable { .. } => {
            "nothing was changed; unmount it (umount), clear the attribute (chattr -i -a), or name the entries inside it"
        }
        ConflictKind::SourceChanged { .. } => {
            "nothing was changed; run the command again when nothing writes to that file"
        }
        ConflictKind::Edited => "inspect the change, then run the command again",
        ConflictKind::Pinned { .. } => {
            "use `--on-pinned wait` to wait, or `--on-pinned exchange` to keep the old tree for the holder and show the new one to others"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// SQLite's errors when it cannot open, enlarge, map or lock its shared index, or reads less of a log than expected:
/// `SQLITE_IOERR_SHMOPEN`, `_SHMSIZE`, `_SHMMAP`, `_SHMLOCK`, `_SHORT_READ`.
const NO_INDEX: [std::ffi::c_int; 5] = [4618, 4874, 5386, 5130, 522];

const FULL: &str = "the disk is full: free space and run the command again; committed transactions are not lost, and `tljournal gc --keep-count 0` deletes the content retained for undo";

fn for_system(error: &io::Error, home: Option<&Utf8Path>) -> Option<String> {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FULL,
        io::ErrorKind::ReadOnlyFilesystem => {
            "the filesystem is mounted read-only; commands that only read work there: status, log, show, diff, blame, runs, postmortem, fsck"
        }
        // `EPERM`, and not `EACCES`: the mode of a file has nothing to do with it.
        io::ErrorKind::PermissionDenied
            if error.get_ref().is_some() || error.raw_os_error() == Some(1) =>
        {
            "lsattr shows whether that file is immutable (i) or append-only (a); chattr -i -a makes it an ordinary one"
        }
        io::ErrorKind::PermissionDenied => {
            let own = home.map(|home| home.join(".state"));
            let own_owner = own.as_deref().and_then(files::owner_if_another);
            if let (Some(home), true) = (
                home,
                own.is_some_and(|own| files::belongs_to_root_only(&own))
                    && home.is_some_and(|home| files::owner_if_another(home).is_none()),
            ) {
                return Some(format!(
                    "the journal belongs to root, perhaps because a command was run with sudo once: sudo chown -R \"$(id -u)\" {}/.state*",
                    home.as_str().escape_debug()
                ));
            }
            if let Some(owner) = own_owner {
                return Some(format!(
                    "the journal belongs to user {owner}: only that user, root, and a group with write access to the home may read it"
                ));
            }
            "check the owner and mode of that path with ls -ld"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g10_a_full_disk_and_a_read_only_one_come_with_a_next_step() {
        let hint = |errno| {
            let failure = Failure::io("write", io::Error::from_raw_os_error(errno));
            for_failure(&failure, None).unwrap_or_default()
        };
        assert!(hint(28).contains("free space"));
        assert!(hint(122).contains("free space"));
        assert!(hint(30).contains("read-only"));
        assert!(hint(13).contains("ls -ld"));
        assert!(hint(1).contains("chattr -i"));
        assert_eq!(hint(2), "");
    }
}
