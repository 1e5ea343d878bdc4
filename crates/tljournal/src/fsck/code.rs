use std::fmt;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Information; nothing is wrong.
    Notice,
    /// Not as it should be, but without consequences for readers.
    Warning,
    /// A reader sees something other than what was installed, or something that the journal needs is damaged.
    Error,
}

impl Severity {
    /// The word for display and for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What can be done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// `--repair` fixes it.
    Repair,
    /// `--repair` fixes it if the content is available: retained, elsewhere on disk, or in `--source`.
    WithContent,
    /// `--repair` fixes it once the system permits.
    WhenPossible,
    /// `--rebuild` creates a new database.
    Rebuild,
    /// Only a person can fix it.
    Person,
    /// Nothing needs to be done.
    Nothing,
}

impl Mend {
    /// What `--repair` does about it, for display.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repair => "yes",
            Self::WithContent => "if the content is available",
            Self::WhenPossible => "once the system permits",
            Self::Rebuild => "`--rebuild`",
            Self::Person => "no",
            Self::Nothing => "not needed",
        }
    }
}

/// Defines the codes, with their texts.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $severity:ident, $mend:ident, $meaning:literal, $advice:literal;)*) => {
        /// A kind of finding, with a stable word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Its severity.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What can be done about it.
            #[must_use]
            pub fn mend(self) -> Mend {
                match self { $(Self::$name => Mend::$mend,)* }
            }

            /// Its meaning, as a sentence without a full stop.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What to do about it.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

codes! {
    DatabaseMissing = "database-missing", Error, Rebuild,
        "the database is missing, although the journal was used here",
        "`tljournal fsck --rebuild` creates a new one from the files on disk";
    DatabaseDamaged = "database-damaged", Error, Rebuild,
        "the database is unreadable or inconsistent",
        "`tljournal fsck --rebuild` salvages the readable rows and sets the old database aside";
    DatabaseForeign = "database-foreign", Error, Rebuild,
        "the database belongs to another program",
        "move it away if it is needed; `tljournal fsck --rebuild` creates a new one and sets it aside";
    DatabaseNewer = "database-newer", Error, Person,
        "a newer version wrote the database in a format that this version cannot use",
        "use that version";
    DatabaseOlder = "database-older", Notice, Repair,
        "the database has the format of an older version",
        "nothing: the next command that writes to the journal migrates it";
    DatabaseSchema = "database-schema", Warning, Repair,
        "the database lacks an index, or another program has added a trigger, view or unique index",
        "nothing: the next command that writes to the journal repairs it";
    DatabaseJournal = "database-journal", Warning, Repair,
        "a rollback journal of another program is next to the database",
        "nothing: the next command that writes to the journal sets it aside";
    RowUnreadable = "row-unreadable", Error, Repair,
        "a row of the database has an invalid value",
        "`tljournal fsck --repair` removes it, with the rows that refer to it; no file of the project is touched";
    RowDangling = "row-dangling", Error, Repair,
        "a row of the database refers to a missing row",
        "`tljournal fsck --repair` removes it; no file of the project is touched";
    ManifestDamaged = "manifest-damaged", Error, WithContent,
        "a manifest does not have the digest that it is stored under",
        "`tljournal fsck --repair` writes it again if its tree is unchanged; otherwise install the tree again";
    ManifestMissing = "manifest-missing", Error, WithContent,
        "the manifest of an installed tree is missing, so the tree cannot be checked",
        "`tljournal fsck --repair` writes it again if the tree is unchanged; otherwise install the tree again";
    TxnUnfinished = "txn-unfinished", Error, Repair,
        "a transaction is committed but not applied, and no process is applying it",
        "`tljournal recover` finishes it or rolls it back";
    TxnStuck = "txn-stuck", Error, Person,
        "a transaction can be neither finished nor rolled back",
        "`tljournal show` explains it; move away what blocks it, then run `tljournal recover`";
    TxnAbandoned = "txn-abandoned", Warning, Repair,
        "a killed run had a transaction in progress; nothing of it is visible",
        "nothing: the next command that writes to the journal rolls it back";
    StagingOrphan = "staging-orphan", Warning, Repair,
        "a staging directory belongs to no transaction",
        "nothing: the next command that writes to the journal removes it";
    StagingStray = "staging-stray", Warning, Repair,
        "the staging directory contains something that is not the journal's",
        "`tljournal fsck --repair` sets it aside";
    StagingLeftover = "staging-leftover", Warning, Repair,
        "an ended transaction left files that are not needed",
        "nothing: the next command that writes to the journal removes it";
    LeftBehind = "left-behind", Warning, WhenPossible,
        "a leftover of an ended transaction cannot be deleted; it blocks no other work",
        "the finding shows the command that deletes it";
    BesideLeftover = "beside-leftover", Warning, Repair,
        "a staged entry next to a target belongs to no transaction",
        "`tljournal fsck --repair` sets it aside";
    KeptPinned = "kept-pinned", Notice, Nothing,
        "replaced content stays on disk because it is pinned",
        "nothing: it is deleted after it is unpinned";
    KeptMissing = "kept-missing", Warning, Repair,
        "content that is recorded as kept is missing",
        "`tljournal fsck --repair` records that it is missing; the transaction cannot be undone";
    KeptDamaged = "kept-damaged", Warning, Repair,
        "kept content differs from its record",
        "`tljournal fsck --repair` sets it aside, so that nothing is restored from it";
    RunDead = "run-dead", Warning, Repair,
        "a run was killed: it ended without reporting its end",
        "nothing: the next command that writes to the journal records it; `tljournal runs` shows it";
    Planted = "planted", Error, Person,
        "something else is in the place of a file of the journal",
        "inspect it and move it away";
    LayoutMissing = "layout-missing", Warning, Repair,
        "a file or directory of the journal is missing",
        "nothing: the next command that writes to the journal creates it";
    ReserveMissing = "reserve-missing", Notice, Repair,
        "the reserve file for a full disk is missing",
        "free space: the next command that writes to the journal creates it again";
    StateStray = "state-stray", Warning, Repair,
        "a file among the journal's own files is not the journal's",
        "`tljournal fsck --repair` sets it aside";
    LogStray = "log-stray", Notice, Nothing,
        "a log belongs to no known run",
        "nothing: it is deleted with the oldest logs";
    Owner = "owner", Warning, Person,
        "a file of the journal belongs to another user than the build directory, as after one `sudo`",
        "change its owner with chown, as root";
    Aside = "aside", Notice, Nothing,
        "something was set aside and is kept",
        "inspect it, and delete it when it is no longer needed";
    TreePinned = "tree-pinned", Notice, Nothing,
        "a tree is in use",
        "nothing";
    TreeUnsettled = "tree-unsettled", Notice, Repair,
        "a tree is not synced yet: a power cut may lose it",
        "`tljournal recover` syncs it";
    TagMissing = "tag-missing", Error, Person,
        "a tag that a live run claims is missing",
        "verify again: the run with the claim must write it again";
    TagUnvouched = "tag-unvouched", Notice, Nothing,
        "a tag exists without a claim by a live run",
        "nothing: `tljournal tag check` reports it, and the next run replaces it";
    VoucherRevoked = "voucher-revoked", Notice, Nothing,
        "the claim of a run was revoked",
        "`tljournal tag list` shows why; verify again";
    Missing = "missing", Error, WithContent,
        "what was installed there is missing",
        "put or install it again, or pass `--source` to `--repair`";
    Extra = "extra", Error, WithContent,
        "a tree contains an entry that does not belong to it",
        "`tljournal fsck --repair` or the next installation restores the tree and sets this aside";
    WrongKind = "wrong-kind", Error, WithContent,
        "something of another kind is there",
        "`tljournal fsck --repair` or the next installation restores the tree and sets this aside";
    WrongSize = "wrong-size", Error, WithContent,
        "a file of a tree has the wrong size",
        "`tljournal fsck --repair` or the next installation restores the tree and sets this aside";
    WrongMode = "wrong-mode", Error, WithContent,
        "an entry of a tree has the wrong permission bits",
        "`tljournal fsck --repair` or the next installation restores the tree";
    WrongOwner = "wrong-owner", Warning, Person,
        "a file, or an entry of a tree, belongs to another user or group than when it was installed",
        "change it with `chown`, or leave it; the next installation of the tree replaces it";
    WrongAttributes = "wrong-attributes", Warning, Person,
        "a file, or an entry of a tree, has other extended attributes, ACL or capabilities than when it was installed",
        "inspect it with `getfattr -m -`, `getfacl` and `getcap`; the next installation of the tree replaces it";
    WrongMtime = "wrong-mtime", Error, WithContent,
        "an entry of a tree has the wrong mtime",
        "`tljournal fsck --repair` or the next installation restores the tree";
    WrongTarget = "wrong-target", Error, WithContent,
        "a link of a tree has the wrong target",
        "`tljournal fsck --repair` or the next installation restores the tree";
    WrongLinks = "wrong-links", Error, WithContent,
        "a file of a tree has the wrong hard links",
        "`tljournal fsck --repair` or the next installation restores the tree";
    WrongContent = "wrong-content", Error, WithContent,
        "a file of a tree was written to and has other content",
        "`tljournal fsck --repair` or the next installation restores the tree and sets this aside";
    Damaged = "damaged", Error, WithContent,
        "content changed although the file was not written to: the disk or memory may be failing",
        "restore it from a source or put it again, and check the disk's error log";
    Changed = "changed", Warning, WithContent,
        "a file or link was changed after it was put there; the change is kept",
        "nothing, if that was intended; `tljournal fsck --repair PATH` restores it and sets the change aside";
    Overlaid = "overlaid", Notice, Nothing,
        "a later transaction changed something inside an installed tree",
        "nothing: the tree is as its transactions left it";
    Unreadable = "unreadable", Error, Person,
        "something cannot be read",
        "fix the reported error and check again";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_word_and_an_advice() {
        let mut words = BTreeSet::new();
        for code in Code::ALL {
            assert!(words.insert(code.as_str()), "{code}");
            let plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(code.as_str().chars().all(plain), "{code}");
            assert!(!code.meaning().ends_with('.') && !code.advice().is_empty());
        }
    }
}
