//! Decides whether what is replaced or removed is the journal's own work. Anything else was edited and is set aside.
//!
//! If the inode, size, mtime and ctime of a file match its record, its content is known. If not, because the mtime
//! was set back after an edit, the links or the mode changed, or the project was copied, the content is hashed.

use rustix::io::Errno;

use super::begin::Transaction;
use crate::apply;
use crate::catalog::EntryRow;
use crate::disk::Dir;
use crate::error::Error;
use crate::home::Parent;
use crate::model::{Digest, Entry, EntryKind, Kind, Manifest, Op, Place, Signature, Stat};
use crate::tree::{self, Depth};

impl Transaction {
    /// Whether the content of a place matches its entry, so that it need not be set aside.
    pub(super) fn is_accounted(
        &self,
        place: &Place,
        stat: &Stat,
        entry: Option<&EntryRow>,
        op: Op,
    ) -> Result<bool, Error> {
        let known = match entry {
            Some(entry) => Some(self.is_as_recorded(place, stat, entry)?),
            None => self.is_as_installed(place, stat)?,
        };
        match known {
            Some(is_own) => Ok(is_own),
            // Removing what the journal never recorded is what the caller asked for; replacing it is not.
            None if op == Op::Remove => Ok(stat.kind != Kind::Dir || self.is_own_below(place)?),
            None => Ok(false),
        }
    }

    /// Whether content matches its entry. The content of a tree is compared after the tree was moved out of its
    /// place.
    fn is_as_recorded(&self, place: &Place, stat: &Stat, entry: &EntryRow) -> Result<bool, Error> {
        if stat.kind != entry.image.kind {
            return Ok(false);
        }
        let untouched = entry.image.is_untouched(stat);
        match (stat.kind, &entry.target, entry.digest) {
            (Kind::Dir, _, Some(digest)) => {
                Ok(untouched || self.engine.known_manifest(&digest)?.is_some())
            }
            (Kind::Link, Some(target), _) => Ok(self.target_at(place)?.as_ref() == Some(target)),
            (Kind::File, _, Some(digest)) => {
                let vouched = entry.vouches_for(stat);
                if vouched && !entry.racy {
                    return Ok(true);
                }
                let same_size = stat.size == entry.image.size;
                Ok(same_size && self.has_content(place, digest, vouched)?)
            }
            _ => Ok(untouched),
        }
    }

    /// Whether something matches the tree that it is in; `None` if it is not in a tree.
    fn is_as_installed(&self, place: &Place, stat: &Stat) -> Result<Option<bool>, Error> {
        for path in place.path.ancestors().skip(1) {
            let above = Place {
                anchor: place.anchor,
                path,
            };
            let Some(tree) = self.engine.look(|catalog| catalog.entry(&above))? else {
                continue;
            };
            let (Some(digest), Some(inside)) = (tree.digest, place.path.below(&above.path)) else {
                return Ok(None);
            };
            let Some(manifest) = self.engine.known_manifest(&digest)? else {
                return Ok(None);
            };
            let vouching = tree.signature.filter(|_| !tree.racy);
            let is_it = |entry: &Entry| entry.path == inside.as_str();
            if !manifest.entries().iter().any(is_it) {
                return Ok(None);
            }
            let is_part =
                |entry: &Entry| is_it(entry) || entry.path.starts_with(&format!("{inside}/"));
            return match self.differs_within(&above, (&manifest, vouching), is_part)? {
                true => Ok(Some(false)),
                // A directory that holds only installed entries; added entries are not searched for.
                false => Ok(Some(stat.kind != Kind::Dir || self.is_own_below(place)?)),
            };
        }
        Ok(None)
    }

    /// Whether some of the remaining entries of a tree differ from the installed ones.
    fn differs_within(
        &self,
        tree: &Place,
        (manifest, known): (&Manifest, Option<Signature>),
        is_part: impl Fn(&Entry) -> bool,
    ) -> Result<bool, Error> {
        let known = known.as_ref().map(Signature::entries);
        for (index, entry) in manifest.entries().iter().enumerate() {
            if !is_part(entry) {
                continue;
            }
            let place = Place {
                anchor: tree.anchor,
                path: tree.path.join(&entry.path)?,
            };
            let Some(stat) = apply::stat_at(&self.engine, &place)? else {
                continue;
            };
            let signature = known.and_then(|known| known.get(index));
            let vouched = signature.is_some_and(|signature| signature.is_untouched(&stat));
            let is_own = vouched
                || match (&entry.kind, stat.kind) {
                    (EntryKind::Dir, Kind::Dir) => true,
                    (EntryKind::Link { target }, Kind::Link) => {
                        self.target_at(&place)?.as_ref() == Some(target)
                    }
                    (EntryKind::File { size, digest, .. }, Kind::File) => {
                        *size == stat.size && self.has_content(&place, *digest, false)?
                    }
                    _ => false,
                };
            if !is_own {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether everything that the journal put below a directory, directly or in trees, still matches its record.
    fn is_own_below(&self, place: &Place) -> Result<bool, Error> {
        for (inside, entry) in self.engine.look(|catalog| catalog.entries_below(place))? {
            let Some(stat) = apply::stat_at(&self.engine, &inside)? else {
                continue;
            };
            let is_own = self.is_as_recorded(&inside, &stat, &entry)?
                && (stat.kind != Kind::Dir || self.is_tree_own(&inside, &entry)?);
            if !is_own {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_tree_own(&self, place: &Place, entry: &EntryRow) -> Result<bool, Error> {
        let Some(root) = apply::open_tree(&self.engine, place)? else {
            return Ok(false);
        };
        let Some(digest) = entry.digest else {
            return Ok(true);
        };
        let Some(manifest) = self.engine.known_manifest(&digest)? else {
            return Ok(true);
        };
        let vouches = !entry.racy && root.own_stat()?.identity == entry.image.identity;
        let signature = entry.signature.as_ref().filter(|_| vouches);
        let verdict = tree::verify(&root, &manifest, signature, Depth::Signature, &|_| {})?;
        Ok(verdict.differences.iter().all(|one| one.is_root()))
    }

    /// Whether a file has this content, by hashing it; `unreadable` is the result for a file that this process may
    /// not read.
    fn has_content(&self, place: &Place, digest: Digest, unreadable: bool) -> Result<bool, Error> {
        let Some(parent) = self.parent_of(place)? else {
            return Ok(false);
        };
        match super::found::hash_file(&parent, place.path.name()) {
            Err(error) if error.is(Errno::ACCESS) => Ok(unreadable),
            hashed => Ok(hashed?.is_some_and(|(_, found)| found == digest)),
        }
    }

    fn target_at(&self, place: &Place) -> Result<Option<String>, Error> {
        let parent = self.parent_of(place)?;
        // A target that is not UTF-8 was not written by the journal.
        Ok(parent.and_then(|parent| parent.read_link(place.path.name()).ok()))
    }

    fn parent_of(&self, place: &Place) -> Result<Option<Dir>, Error> {
        match self.engine.home.parent(place)? {
            Parent::There(parent) => Ok(Some(parent)),
            Parent::Missing { .. } => Ok(None),
        }
    }
}
