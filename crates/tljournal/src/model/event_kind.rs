/// What kind of thing happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A run waits for something since then, which is recorded a second later; the path names that: a named
    /// lock, a lock file, a tree, `lock/commit`.
    Waiting,
    /// The wait is over.
    Waited,
    /// The wait was given up.
    GaveUp,
    /// A run holds a lock, or a tree.
    Holds,
    /// It holds that no more.
    Released,
    /// A commit was refused.
    Conflict,
    /// A tree was replaced that somebody has pinned.
    ReplacedPinned,
    /// A tree was made for all that want it.
    Populated,
    /// What dead runs had left was made right.
    Recovered,
    /// A check found something, and it was mended.
    Repaired,
    /// The database was made anew.
    Rebuilt,
    /// What was replaced was not as the journal had left it.
    Drift,
    /// What was replaced, or staged by a dead run, could not be kept, or not all of it.
    NotKept,
    /// New content goes without something that what it replaced had: its owner, its group, its ACL, its capabilities
    /// or an attribute.
    NotTakenOver,
    /// A tree that a power cut tore was replaced by what was there before.
    TreePutBack,
    /// A tree that a power cut tore was removed, because nothing was there before.
    TreeLost,
    /// Tags lost whoever vouched for them.
    VouchersRevoked,
    /// A transaction was given up because its home was copied or moved.
    Stranded,
    /// Something that is over could not be cleared away, and was left where it is.
    LeftBehind,
    /// Something may not have reached the medium, and never will.
    FailedSync,
    /// Less is promised than elsewhere.
    WeakerPromise,
    /// A kind that this version does not know.
    Other(String),
}

impl EventKind {
    const KNOWN: [Self; 21] = [
        Self::Waiting,
        Self::Waited,
        Self::GaveUp,
        Self::Holds,
        Self::Released,
        Self::Conflict,
        Self::ReplacedPinned,
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

    /// The word for people and for the catalog.
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
