use std::collections::BTreeMap;

use super::RelPath;

/// The directory that the path of a [`Place`] is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anchor {
    /// The journal's home, usually `build/`.
    Home,
    /// The root of the opener.
    Root,
}

/// A path as the engine records it: a path in the home has one name regardless of the root it is reached by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The base directory.
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

    /// The value stored for a place that contains this one or lies in it, if there is one.
    #[must_use]
    pub fn overlapping<'a, T>(&self, places: &'a BTreeMap<Self, T>) -> Option<&'a T> {
        let anchor = self.anchor;
        let above = |path| places.get(&Self { anchor, path });
        self.path.ancestors().find_map(above).or_else(|| {
            // No name sorts before this one, so the range of everything below starts here.
            let path = self.path.join("\u{1}").ok()?;
            let (first, kept) = places.range(Self { anchor, path }..).next()?;
            first.overlaps(self).then_some(kept)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlapping_place_is_found_among_many() {
        let place = |anchor, path| Place {
            anchor,
            path: RelPath::new(path).unwrap(),
        };
        let paths = ["a-b", "a/b/c", "a0", "d", "e/\u{1}", "f/\u{1}/x"];
        let places: BTreeMap<_, _> = paths
            .iter()
            .map(|path| (place(Anchor::Home, path), *path))
            .collect();
        let names = [
            "a", "a/b", "a/b/c", "a/b/c/d", "a/c", "a-", "a-b/x", "d", "d/e", "dd", "e", "f", "g",
        ];
        for name in names {
            let one = place(Anchor::Home, name);
            let slowly = places.keys().any(|other| other.overlaps(&one));
            assert_eq!(one.overlapping(&places).is_some(), slowly, "{name}");
            assert_eq!(place(Anchor::Root, name).overlapping(&places), None);
        }
    }
}
