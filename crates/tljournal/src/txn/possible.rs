//! Checks whether the renames of a change can work, before anything is committed.

use super::begin::Transaction;
use super::intent::{Intent, Wanted};
use crate::ambient;
use crate::disk::Dir;
use crate::error::{Conflict, ConflictKind, Error};
use crate::home::Parent;
use crate::model::{Change, Kind, Stat};

/// The smallest size of a swap file.
const SWAP_BYTES_MIN: u64 = 40 << 10;

const MOUNTED: &str = "a filesystem is mounted there";

impl Transaction {
    /// Refuses a change if one of its renames is impossible, given the entry that is now in this directory.
    pub(super) fn check_possible(
        &self,
        intent: &Intent,
        change: &Change,
        (parent, there): (&Dir, Option<&Stat>),
    ) -> Result<(), Error> {
        let wanted = match &intent.wanted {
            Wanted::File(_) => Kind::File,
            Wanted::Link(_) => Kind::Link,
            Wanted::Tree(_) => Kind::Dir,
            Wanted::Nothing(_) => change.pre.map_or(Kind::Other, |pre| pre.kind),
        };
        if let Some(pre) = change.pre.filter(|pre| pre.kind != wanted) {
            let kind = match pre.kind {
                Kind::Link => ConflictKind::Link {
                    link: intent.path.to_string(),
                },
                other => ConflictKind::Kind {
                    found: other.as_str(),
                    wanted: wanted.as_str(),
                },
            };
            return Err(Conflict::at(&intent.path, kind).into());
        }
        Self::check_movable(intent, (parent, there))?;
        Ok(parent.check_writable()?)
    }

    /// The same before anything is staged, which saves work.
    pub(super) fn check_movable_now(&self, intent: &Intent) -> Result<(), Error> {
        let (parent, name) = match self.engine.home.parent(&intent.place)? {
            Parent::There(parent) => (parent, Some(intent.place.path.name())),
            Parent::Missing { nearest, .. } => (nearest, None),
        };
        let there = match name {
            Some(name) => parent.stat(name)?,
            None => None,
        };
        Self::check_movable(intent, (&parent, there.as_ref()))
    }

    fn check_movable(intent: &Intent, (parent, there): (&Dir, Option<&Stat>)) -> Result<(), Error> {
        let above = parent.own_stat()?;
        let found = why_immovable(&above, there).map(|why| (intent.path.to_string(), why));
        let found = match (found, there) {
            (None, Some(stat)) => within(intent, parent, stat)?,
            (found, _) => found,
        };
        if let Some((path, why)) = found {
            let path = path.escape_debug().to_string();
            return Err(Conflict::at(&intent.path, ConflictKind::Immovable { path, why }).into());
        }
        Ok(())
    }
}

/// Why an entry cannot be created, moved into its directory, or moved out of it.
fn why_immovable(above: &Stat, there: Option<&Stat>) -> Option<&'static str> {
    if above.immutable {
        return Some("its directory is immutable (chattr +i)");
    }
    let there = there?;
    let reasons = [
        (is_mounted(above, there), MOUNTED),
        (there.immutable, "it is immutable (chattr +i)"),
        (there.append_only, "it can only be appended to (chattr +a)"),
        (
            above.append_only,
            "its directory can only be added to (chattr +a)",
        ),
    ];
    reasons
        .iter()
        .find(|(is_so, _)| *is_so)
        .map(|(_, why)| *why)
}

/// Whether something is on another mount than its directory. On kernels without mount ids the device is compared,
/// which also differs for a btrfs subvolume: then the rename decides.
fn is_mounted(above: &Stat, there: &Stat) -> bool {
    above.mount != there.mount && above.mount != 0 && there.mount != 0
}

/// What prevents a directory with its content, or a file in use by the kernel, from being moved.
fn within(
    intent: &Intent,
    parent: &Dir,
    there: &Stat,
) -> Result<Option<(String, &'static str)>, Error> {
    match there.kind {
        Kind::Dir => {
            // The kernel would move the mounted filesystem along with the directory.
            let top = parent.real_path()?.join(intent.place.path.name());
            let inside = |mount: ambient::Mount| {
                let below = mount.at.strip_prefix(top.as_str())?.strip_prefix('/')?;
                Some(format!("{}/{below}", intent.path))
            };
            let mounted = ambient::mounts().into_iter().find_map(inside);
            Ok(mounted.map(|path| (path, MOUNTED)))
        }
        Kind::File if there.size >= SWAP_BYTES_MIN => {
            let disk = parent.disk();
            for path in ambient::swaps() {
                let swap = disk.stat_at(path.as_str().into()).ok().flatten();
                if swap.is_some_and(|it| (it.dev, it.identity) == (there.dev, there.identity)) {
                    return Ok(Some((intent.path.to_string(), "it is used as swap space")));
                }
            }
            Ok(None)
        }
        Kind::File | Kind::Link | Kind::Other => Ok(None),
    }
}
