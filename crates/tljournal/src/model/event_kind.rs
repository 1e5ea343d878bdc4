/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A run waits for something, recorded one second after the wait begins. The path names the object: a named lock,
    /// a lock file, a tree, `lock/commit`.
    Waiting,
    /// The wait is over.
    Waited,
    /// The wait was given up.
    GaveUp,
    /// A run acquired a lock or a tree.
    Holds,
    /// The run released it.
    Released,
    /// A commit was refused.
    Conflict,
    /// A tree was replaced while it was pinned.
    ReplacedPinned,
    /// A lock of a user who may not use the home was not waited for.
    LockIgnored,
    /// A tree was populated.
    Populated,
    /// Recovery finished or rolled back what ended runs had left.
    Recovered,
    /// A repair fixed a finding.
    Repaired,
    /// The database was rebuilt.
    Rebuilt,
    /// The replaced content was not what the journal had installed.
    Drift,
    /// Replaced content, or content that an ended run had staged, could not be retained completely.
    NotKept,
    /// New content lacks a property of what it replaced: its owner, group, ACL, capabilities or an attribute.
    NotTakenOver,
    /// A tree torn by a power cut was replaced by its previous version.
    TreePutBack,
    /// A tree torn by a power cut was removed because there was no previous version.
    TreeLost,
    /// All claims on some tags were revoked.
    VouchersRevoked,
    /// A transaction was given up because its home was copied or moved.
    Stranded,
    /// Something left by a finished transaction could not be deleted and stays.
    LeftBehind,
    /// A sync failed, so content may not have reached the medium.
    FailedSync,
    /// The filesystem supports weaker promises than others.
    WeakerPromise,
    /// A kind that this version does not know.
    Other(String),
}

impl EventKind {
    const KNOWN: [Self; 22] = [
        Self::Waiting,
        Self::Waited,
        Self::GaveUp,
        Self::Holds,
        Self::Released,
        Self::Conflict,
        Self::ReplacedPinned,
        Self::LockIgnored,
        Self::Populated,
        Self::Recovered,
        Self::Repaired,
        Self::Rebuilt,
        Self::Drift,
        Self::NotKept,
        Self::NotTakenOver,
        Self::TreePutBack,
        Self::TreeLost,
        Self::VouchersRevoked,
        Self::Stranded,
        Self::LeftBehind,
        Self::FailedSync,
        Self::WeakerPromise,
    ];

    /// The word for display and for the catalog.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Waiting => "waiting",
            Self::Waited => "waited",
            Self::GaveUp => "gave up",
            Self::Holds => "holds",
            Self::Released => "released",
            Self::Conflict => "conflict",
            Self::ReplacedPinned => "replaced while pinned",
            Self::LockIgnored => "lock ignored",
            Self::Populated => "populated",
            Self::Recovered => "recovered",
            Self::Repaired => "repair",
            Self::Rebuilt => "rebuilt",
            Self::Drift => "drift",
            Self::NotKept => "not kept",
            Self::NotTakenOver => "not taken over",
            Self::TreePutBack => "tree put back",
            Self::TreeLost => "tree lost",
            Self::VouchersRevoked => "vouchers revoked",
            Self::Stranded => "stranded",
            Self::LeftBehind => "left behind",
            Self::FailedSync => "failed sync",
            Self::WeakerPromise => "weaker promise",
            Self::Other(word) => word,
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|kind| kind.as_str() == word);
        known.unwrap_or_else(|| Self::Other(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_kind_has_a_word_of_its_own() {
        for kind in EventKind::KNOWN {
            assert_eq!(EventKind::from_word(kind.as_str()), kind);
        }
        let other = EventKind::from_word("of a later version");
        assert_eq!(other, EventKind::Other("of a later version".to_owned()));
        assert_eq!(other.as_str(), "of a later version");
    }
}
