//! The places in and around `build/` where an object can be planted.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use super::outside::walk;
use super::world::World;

/// Names that need not exist, but are meaningful to the journal.
const NAMES_WITH_A_MEANING: [&str; 10] = [
    "build/.state.db-journal",
    "build/.state/rebuilt.db",
    "build/.state/rebuilding.db",
    "build/.state/damaged-1-2",
    "build/.state/txn/01a22c6c-0ddc-74c9-b8da-2b21d0566229",
    "build/.state/txn/a-stray",
    "build/.state/aside/01a22c6c-0ddc-74c9-b8da-2b21d0566229-x",
    "build/.state/log/01a22c6c-0ddc-74c9-b8da-2b21d0566229",
    "build/.state/lock/name/other",
    "build/.tljournal-01a22c6c-0ddc-74c9-b8da-2b21d0566229-0",
];

/// A place, by its path in a project; ids in it stand for the first match.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Place {
    /// All places of a project: existing ones, one of each kind of name, and possible ones.
    pub(crate) fn all(world: &World) -> Vec<Self> {
        let project = world.project();
        let mut places = BTreeSet::new();
        walk(&project, &mut |path, _| {
            let path = path.strip_prefix(&project).unwrap().to_str().unwrap();
            if path.starts_with("build") {
                places.insert(Self(without_ids(path)));
            }
        });
        places.extend(NAMES_WITH_A_MEANING.map(|name| Self(name.to_owned())));
        places.into_iter().collect()
    }

    /// The path of the place in a project.
    pub(crate) fn find(&self, world: &World) -> PathBuf {
        let project = world.project();
        let mut found = None;
        walk(&project, &mut |path, _| {
            let inside = path.strip_prefix(&project).unwrap().to_str().unwrap();
            if found.is_none() && without_ids(inside) == self.0 {
                found = Some(path.to_owned());
            }
        });
        found.unwrap_or_else(|| project.join(&self.0))
    }

    /// Its last component, as far as it is the same in every project.
    pub(crate) fn name(&self) -> &str {
        let last = self.0.rsplit('/').next().unwrap();
        last.rsplit("<id>").next().unwrap().trim_start_matches('-')
    }
}

/// A path with anything like a UUID replaced.
fn without_ids(path: &str) -> String {
    const CHARS: usize = 36;
    let looks_like_one =
        |text: &str| text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && !text.contains('/');
    let mut out = String::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        if rest.get(..CHARS).is_some_and(looks_like_one) {
            out.push_str("<id>");
            rest = &rest[CHARS..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}
