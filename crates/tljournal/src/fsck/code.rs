use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Notice,
    /// Not as it should be, and nobody gets anything wrong by it.
    Warning,
    /// What somebody reads is not what was put there, or what the journal needs is not right.
    Error,
}

impl Severity {
    /// The word for people and programs.
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
    /// `--repair` mends it.
    Repair,
    /// `--repair` mends it where the content is still to be had: kept, in place elsewhere, or from `--source`.
    WithContent,
    /// `--repair` mends it once the system lets it.
    WhenPossible,
    /// `--rebuild` makes a new database.
    Rebuild,
    /// Only a person can.
    Person,
    /// Nothing is to be done.
    Nothing,
}

impl Mend {
    /// What `--repair` does about it, for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repair => "yes",
            Self::WithContent => "if the content is to be had",
            Self::WhenPossible => "once the system lets it",
            Self::Rebuild => "`--rebuild`",
            Self::Person => "no",
            Self::Nothing => "not needed",
        }
    }
}

/// Makes the codes, with everything that is said of each.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $severity:ident, $mend:ident, $meaning:literal, $advice:literal;)*) => {
        /// What was found, in a word that stays the same.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// How bad it is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What can be done about it.
            #[must_use]
            pub fn mend(self) -> Mend {
                match self { $(Self::$name => Mend::$mend,)* }
            }

            /// What it means, as a sentence without its end.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What to do.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

codes! {
    DatabaseMissing = "database-missing", Error, Rebuild,
        "there is no database, and the journal was at work here",
        "`tljournal fsck --rebuild` makes a new one from what is on disk";
    DatabaseDamaged = "database-damaged", Error, Rebuild,
        "the database cannot be read, or contradicts itself",
        "`tljournal fsck --rebuild` saves what can be read, and keeps the old one aside";
    DatabaseForeign = "database-foreign", Error, Rebuild,
        "the database belongs to another program",
        "move it away if it is needed; `tljournal fsck --rebuild` makes a new one and keeps it aside";
    DatabaseNewer = "database-newer", Error, Person,
        "a newer version wrote the database in a format that this one must not touch",
        "use that version";
    DatabaseOlder = "database-older", Notice, Repair,
        "the database has the format of an older version",
        "nothing: the next command that works with the journal brings it up to date";
    DatabaseSchema = "database-schema", Warning, Repair,
        "the database lacks an index, or another program has added to it what could get in the way",
        "nothing: the next command that works with the journal mends it";
    DatabaseJournal = "database-journal", Warning, Repair,
        "a rollback journal lies beside the database, which is never the journal's own",
        "nothing: the next command that works with the journal moves it aside";
    RowUnreadable = "row-unreadable", Error, Rebuild,
        "a row of the database holds what was never written there",
        "`tljournal fsck --rebuild` keeps the rows that can be read";
    RowDangling = "row-dangling", Error, Rebuild,
        "a row of the database refers to another one that is not there",
        "`tljournal fsck --rebuild` leaves out what cannot be explained";
    ManifestDamaged = "manifest-damaged", Error, WithContent,
        "a manifest is not the one that it is called by",
        "`tljournal fsck --repair` writes it again if a tree still has it; else install the tree again";
    ManifestMissing = "manifest-missing", Error, WithContent,
        "the manifest of an installed tree is not there, so that the tree cannot be checked",
        "`tljournal fsck --repair` writes it again if the tree still has it; else install the tree again";
    TxnUnfinished = "txn-unfinished", Error, Repair,
        "a transaction is past its commit point and not in place, and nobody is at it",
        "`tljournal recover` finishes it, or takes it back";
    TxnStuck = "txn-stuck", Error, Person,
        "a transaction can be neither finished nor taken back",
        "`tljournal show` explains it; move away what is in its way, then run `tljournal recover`";
    TxnAbandoned = "txn-abandoned", Warning, Repair,
        "a transaction was being staged by a run that is dead; nothing of it is visible",
        "nothing: the next command that works with the journal rolls it back";
    StagingOrphan = "staging-orphan", Warning, Repair,
        "a staging directory belongs to no transaction",
        "nothing: the next command that works with the journal removes it";
    StagingStray = "staging-stray", Warning, Repair,
        "something in the staging room is not the journal's",
        "`tljournal fsck --repair` moves it aside";
    StagingLeftover = "staging-leftover", Warning, Repair,
        "an ended transaction has left something that is not needed",
        "nothing: the next command that works with the journal removes it";
    LeftBehind = "left-behind", Warning, WhenPossible,
        "something that is over cannot be cleared away; it keeps nobody from working",
        "the finding names the command that deletes it";
    BesideLeftover = "beside-leftover", Warning, Repair,
        "something was staged beside a target that no transaction accounts for",
        "`tljournal fsck --repair` moves it aside";
    KeptPinned = "kept-pinned", Notice, Nothing,
        "what a transaction replaced stays, because somebody has pinned it",
        "nothing: it goes when they end";
    KeptMissing = "kept-missing", Warning, Repair,
        "content that is recorded as kept is not there",
        "`tljournal fsck --repair` records that it is gone; what it was kept for cannot be undone";
    KeptDamaged = "kept-damaged", Warning, Repair,
        "content that is kept is not what was recorded",
        "`tljournal fsck --repair` moves it aside, so that nothing is restored from it";
    RunDead = "run-dead", Warning, Repair,
        "a run ended without saying so: it was killed",
        "nothing: the next command that works with the journal records it; `tljournal runs` shows it";
    Planted = "planted", Error, Person,
        "something else is where a file of the journal belongs",
        "look at it, and move it away";
    LayoutMissing = "layout-missing", Warning, Repair,
        "a file or directory of the journal is missing",
        "nothing: the next command that works with the journal makes it";
    ReserveMissing = "reserve-missing", Notice, Repair,
        "the reserve for a full disk was given up",
        "make room: the next command that works with the journal fills it again";
    StateStray = "state-stray", Warning, Repair,
        "something among the journal's own files is not the journal's",
        "`tljournal fsck --repair` moves it aside";
    LogStray = "log-stray", Notice, Nothing,
        "a log belongs to no run that is known",
        "nothing: it goes with the oldest logs";
    Owner = "owner", Warning, Person,
        "a file of the journal belongs to another user than the build directory, as after one `sudo`",
        "give it back with chown, as root";
    Aside = "aside", Notice, Nothing,
        "evidence is kept: something was set aside",
        "look at it, and remove it when it is not needed any more";
    TreePinned = "tree-pinned", Notice, Nothing,
        "a tree is in use",
        "nothing";
    TreeUnsettled = "tree-unsettled", Notice, Repair,
        "a tree may not be on the medium yet: a power cut may take it back",
        "`tljournal recover` puts it there";
    TagMissing = "tag-missing", Error, Person,
        "a run that lives vouches for a tag that is not there",
        "verify again: the run that vouches has to write it anew";
    TagUnvouched = "tag-unvouched", Notice, Nothing,
        "a tag is there that no run vouches for",
        "nothing: whoever asks `tljournal tag check` is told so, and the next run replaces it";
    VoucherRevoked = "voucher-revoked", Notice, Nothing,
        "what a run vouched for was revoked",
        "`tljournal tag list` tells why; verify again";
    Missing = "missing", Error, WithContent,
        "what was put there is not there",
        "put or install it again, or give `--repair` a `--source`";
    Extra = "extra", Error, WithContent,
        "something in a tree does not belong to it",
        "`tljournal fsck --repair` or the next installation restores the tree, and keeps this aside";
    WrongKind = "wrong-kind", Error, WithContent,
        "something of another kind is there",
        "`tljournal fsck --repair` or the next installation restores the tree, and keeps this aside";
    WrongSize = "wrong-size", Error, WithContent,
        "a file of a tree has another size",
        "`tljournal fsck --repair` or the next installation restores the tree, and keeps this aside";
    WrongMode = "wrong-mode", Error, WithContent,
        "an entry of a tree has other permission bits",
        "`tljournal fsck --repair` or the next installation restores the tree";
    WrongOwner = "wrong-owner", Warning, Person,
        "a file, or an entry of a tree, belongs to another user or group than when it was put there",
        "give it back with `chown`, or leave it; the next installation of the tree makes it anew";
    WrongAttributes = "wrong-attributes", Warning, Person,
        "a file, or an entry of a tree, has other extended attributes, ACL or capabilities than when it was put there",
        "look with `getfattr -m -`, `getfacl` and `getcap`; the next installation of the tree makes it anew";
    WrongMtime = "wrong-mtime", Error, WithContent,
        "an entry of a tree has another mtime",
        "`tljournal fsck --repair` or the next installation restores the tree";
    WrongTarget = "wrong-target", Error, WithContent,
        "a link of a tree points elsewhere",
        "`tljournal fsck --repair` or the next installation restores the tree";
    WrongLinks = "wrong-links", Error, WithContent,
        "a file of a tree shares its inode with other names than it should",
        "`tljournal fsck --repair` or the next installation restores the tree";
    WrongContent = "wrong-content", Error, WithContent,
        "a file of a tree has other content: somebody has written to it",
        "`tljournal fsck --repair` or the next installation restores the tree, and keeps this aside";
    Damaged = "damaged", Error, WithContent,
        "content is not what was put there, and nobody has written to it: the medium, or memory, is failing",
        "restore it from a source or put it again, and look at the disk's own reports";
    Changed = "changed", Warning, WithContent,
        "somebody changed a file or link after it was put there; it is theirs",
        "nothing, if that was meant; `tljournal fsck --repair PATH` restores it and keeps this aside";
    Overlaid = "overlaid", Notice, Nothing,
        "a later transaction changed something inside an installed tree",
        "nothing: the tree is as its transactions left it";
    Unreadable = "unreadable", Error, Person,
        "something cannot be looked at",
        "mend what the system says, and check again";
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
    fn every_code_has_a_word_of_its_own_and_says_what_to_do() {
        let mut words = BTreeSet::new();
        for code in Code::ALL {
            assert!(words.insert(code.as_str()), "{code}");
            let plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(code.as_str().chars().all(plain), "{code}");
            assert!(!code.meaning().ends_with('.') && !code.advice().is_empty());
        }
    }
}
