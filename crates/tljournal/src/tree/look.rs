use std::collections::HashMap;

use rustix::io::Errno;

use super::names::join;
use super::near::Near;
use super::verify::{DIFFERENCES_MAX, Depth};
use super::{Difference, DifferenceKind, TreeError};
use crate::disk::{Dir, DiskError};
use crate::model::{Entry, EntryKind, EntrySignature, Facts, Kind, Stat};

/// The findings of one worker.
#[derive(Default)]
pub(super) struct Found {
    near: Near,
    pub(super) differences: Vec<(usize, Difference)>,
    pub(super) refreshed: Vec<(usize, EntrySignature)>,
    /// Entries whose owner or group changed: recorded and current facts.
    pub(super) owners: Vec<(usize, Facts, Facts)>,
    /// Files with several hard links.
    pub(super) linked: Vec<(usize, u64)>,
    /// Files whose content must be read.
    pub(super) unread: Vec<usize>,
}

pub(super) struct Look<'a> {
    pub(super) root: &'a Dir,
    pub(super) entries: &'a [Entry],
    pub(super) known: Option<&'a [EntrySignature]>,
    pub(super) depth: Depth,
}

impl Look<'_> {
    /// Compares one entry.
    pub(super) fn at(&self, index: usize, found: &mut Found) -> Result<(), TreeError> {
        let entry = &self.entries[index];
        let told = if index == 0 {
            self.root.own_stat().map(Some)
        } else {
            match found.near.of(self.root, &entry.path)? {
                Some((dir, name)) => dir.stat(name),
                None => Ok(None),
            }
        };
        let Some(stat) = unless_gone(told)?.flatten() else {
            found.add(index, &entry.path, DifferenceKind::Missing);
            return Ok(());
        };
        let expected = kind(entry);
        if stat.kind != expected {
            let what = DifferenceKind::Kind {
                expected,
                found: stat.kind,
            };
            found.add(index, &entry.path, what);
            return Ok(());
        }
        self.compare_meta(index, &stat, found);
        let known = self.known.map(|known| known[index]);
        let is_known = known.is_some_and(|known| known.is_untouched(&stat));
        if !is_known {
            // The root's ctime changes with every rename of the tree.
            let is_wanted = index > 0 || self.known.is_none();
            let signature = self.compare_facts(index, &stat, known, found)?;
            found
                .refreshed
                .extend(is_wanted.then_some((index, signature)));
        }
        if is_known && index > 0 && self.depth == Depth::Signature {
            return self.note_links(index, &stat, found);
        }
        match &entry.kind {
            EntryKind::Dir => self.compare_names(index, found)?,
            EntryKind::Link { target } => self.compare_target(index, target, found)?,
            EntryKind::File {
                size,
                same_as: None,
                ..
            } if stat.size == *size => found.unread.push(index),
            EntryKind::File { .. } => {}
        }
        self.note_links(index, &stat, found)
    }

    /// Compares the owner and attributes of an entry, if they are known; returns its current signature.
    fn compare_facts(
        &self,
        index: usize,
        stat: &Stat,
        known: Option<EntrySignature>,
        found: &mut Found,
    ) -> Result<EntrySignature, TreeError> {
        let path = &self.entries[index].path;
        let attributes = if index == 0 {
            self.root.own_attributes().map(Some)
        } else {
            match found.near.of(self.root, path)? {
                Some((dir, name)) => dir.attributes(name).map(Some),
                None => Ok(None),
            }
        };
        let attributes = unless_gone(attributes)?.flatten().unwrap_or_default();
        let signature = EntrySignature::of(stat).with_attributes(attributes.mark());
        let Some((was, is)) = known.and_then(|known| known.facts).zip(signature.facts) else {
            return Ok(signature);
        };
        if (was.uid, was.gid) != (is.uid, is.gid) {
            found.owners.push((index, was, is));
        }
        if was.attributes != is.attributes {
            let found_names = attributes.names();
            let what = DifferenceKind::Attributes { found: found_names };
            found.add(index, path, what);
        }
        Ok(signature)
    }

    /// Reports changed owners. If a whole tree changed its owner, only the root is reported.
    pub(super) fn compare_owners(&self, found: &mut Found) {
        let owners = std::mem::take(&mut found.owners);
        let whole = owners.iter().find(|(index, ..)| *index == 0).copied();
        let of = |facts: Facts| (facts.uid, facts.gid);
        for (index, was, is) in owners {
            let follows = whole.is_some_and(|(_, root_was, root_is)| {
                index > 0 && (of(root_was), of(root_is)) == (of(was), of(is))
            });
            if !follows {
                let (expected, now) = (of(was), of(is));
                let what = DifferenceKind::Owner {
                    expected,
                    found: now,
                };
                found.add(index, &self.entries[index].path, what);
            }
        }
    }

    fn note_links(&self, index: usize, stat: &Stat, found: &mut Found) -> Result<(), TreeError> {
        if stat.kind == Kind::File && (stat.links > 1 || self.first_of(index) != index) {
            found.linked.push((index, stat.identity.ino));
        }
        Ok(())
    }

    fn compare_meta(&self, index: usize, stat: &Stat, found: &mut Found) {
        let entry = &self.entries[index];
        if stat.kind != Kind::Link && stat.mode != entry.mode {
            let what = DifferenceKind::Mode {
                expected: entry.mode,
                found: stat.mode,
            };
            found.add(index, &entry.path, what);
        }
        if !stat.holds_mtime(entry.mtime) {
            let what = DifferenceKind::Mtime {
                expected: entry.mtime,
                found: stat.mtime,
            };
            found.add(index, &entry.path, what);
        }
        if let EntryKind::File { size, .. } = entry.kind
            && stat.size != size
        {
            let what = DifferenceKind::Size {
                expected: size,
                found: stat.size,
            };
            found.add(index, &entry.path, what);
        }
    }

    /// Searches for entries that are not in the manifest.
    fn compare_names(&self, index: usize, found: &mut Found) -> Result<(), TreeError> {
        let path = &self.entries[index].path;
        let names = if index == 0 {
            self.root.names().map(Some)?
        } else {
            unless_gone(self.root.open_dir(path).and_then(|dir| dir.names()))?
        };
        for name in names.unwrap_or_default() {
            let is_known = name.to_str().is_some_and(|name| {
                let path = join(path, name);
                let order = |entry: &Entry| entry.path.as_str().cmp(&path);
                self.entries.binary_search_by(order).is_ok()
            });
            if !is_known {
                let name = name.as_encoded_bytes();
                let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
                let extra = [path.as_bytes(), separator, name].concat();
                found.add(index, extra, DifferenceKind::Extra);
            }
        }
        Ok(())
    }

    fn compare_target(
        &self,
        index: usize,
        expected: &str,
        found: &mut Found,
    ) -> Result<(), TreeError> {
        let path = &self.entries[index].path;
        let target = match self.root.read_link(path) {
            Ok(target) => target,
            Err(error) if error.is(Errno::ILSEQ) => "something that is not UTF-8".to_owned(),
            Err(error) if is_gone(&error) => "something else".to_owned(),
            Err(error) => return Err(error.into()),
        };
        if target != expected {
            let what = DifferenceKind::Target {
                expected: expected.to_owned(),
                found: super::names::shown(target),
            };
            found.add(index, path, what);
        }
        Ok(())
    }

    /// The first entry of the hard-link group of an entry.
    fn first_of(&self, index: usize) -> usize {
        match self.entries[index].kind {
            EntryKind::File {
                same_as: Some(first),
                ..
            } => first as usize,
            _ => index,
        }
    }

    /// Checks that entries share an inode exactly when the manifest says so. Of a valid group only the first entry
    /// needs reading.
    pub(super) fn compare_hard_links(&self, found: &mut Found) {
        let mut linked = std::mem::take(&mut found.linked);
        linked.sort_unstable();
        // The first entry of a group may have no other link now, and is then not in the list.
        let mut first_of: HashMap<u64, usize> = HashMap::new();
        for (index, ino) in linked {
            let first = *first_of.entry(ino).or_insert(index);
            if first != self.first_of(index) {
                let path = &self.entries[index].path;
                found.add(index, path, DifferenceKind::HardLinks);
            }
        }
    }
}

impl Found {
    fn add(&mut self, index: usize, path: impl AsRef<[u8]>, what: DifferenceKind) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push((index, Difference::new(path, what)));
        }
    }
}

fn kind(entry: &Entry) -> Kind {
    match entry.kind {
        EntryKind::Dir => Kind::Dir,
        EntryKind::File { .. } => Kind::File,
        EntryKind::Link { .. } => Kind::Link,
    }
}

/// `None` if the entry is missing or no longer of the kind that it was.
pub(super) fn unless_gone<T>(told: Result<T, DiskError>) -> Result<Option<T>, TreeError> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_gone(error: &DiskError) -> bool {
    // A directory on the way may have become a file or a link; a link may have become a file.
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::INVAL]
        .iter()
        .any(|errno| error.is(*errno))
}
