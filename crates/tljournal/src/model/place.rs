use super::RelPath;

/// What the paths of a [`Place`] are resolved from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anchor {
    /// The journal's home, usually `build/`.
    Home,
    /// The root of the opener.
    Root,
}

/// A path as the engine knows it: what lies in the home has one name, whichever root it is reached by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Where the path begins.
    pub anchor: Anchor,
    /// The path below the anchor.
    pub path: RelPath,
}

impl Place {
    /// Whether one of the two contains the other or both are the same.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.anchor == other.anchor && self.path.overlaps(&other.path)
    }
}
