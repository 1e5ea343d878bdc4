use std::io::Write;

use camino::Utf8Path;
use rustix::io::Errno;

use super::begin::Transaction;
use super::intent::{Intent, Staged, Wanted};
use super::payload::{Content, Payload};
use super::prepare::FILES_ONE_BY_ONE_MAX;
use super::source::{READS_MAX, Source};
use super::stage_tree::OnPinned;
use crate::apply;
use crate::disk::{self, CLOSED_MODE_MASK, Dense, Dir, Disk, DiskError, NewFile, Owner, Sparse};
use crate::error::Error;
use crate::home::{Parent, spot_name};
use crate::model::{
    Change, Digest, Durability, Expect, Image, Kind, NamedPath, PathError, Place, RelPath, Spot,
    Stat,
};

impl Transaction {
    /// Puts a file at a path.
    ///
    /// If the same content, mode and mtime are in place already, nothing is changed. A mode or mtime that the payload
    /// does not set is not compared.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that is outside the territory, is the journal's own, or overlaps another change;
    /// [`Error::Conflict`] early if the expectation already fails; [`Error::Disk`] when the payload cannot be read or
    /// staged. The transaction can continue without the change.
    pub fn put(
        &mut self,
        path: impl TryInto<NamedPath, Error = PathError>,
        payload: impl Into<Payload>,
        expect: Expect,
    ) -> Result<(), Error> {
        let wanted = Wanted::File(payload.into());
        self.add(self.engine.home.below_root(path)?, wanted, expect)
    }

    /// Removes what is at a path: a file, a link, or a directory with everything below it. An absent path is not an
    /// error, unless the expectation says so.
    ///
    /// # Errors
    /// The errors of [`Transaction::put`].
    pub fn remove(
        &mut self,
        path: impl TryInto<NamedPath, Error = PathError>,
        expect: Expect,
    ) -> Result<(), Error> {
        self.remove_with(path, expect, OnPinned::Exchange)
    }

    /// The same, with a choice for pinned trees at or below the path; with [`OnPinned::Exchange`] a holder of a pin
    /// keeps the tree.
    ///
    /// # Errors
    /// The errors of [`Transaction::put`]; pins are checked by the commit.
    pub fn remove_with(
        &mut self,
        path: impl TryInto<NamedPath, Error = PathError>,
        expect: Expect,
        on_pinned: OnPinned,
    ) -> Result<(), Error> {
        self.add(
            self.engine.home.below_root(path)?,
            Wanted::Nothing(on_pinned),
            expect,
        )
    }

    /// Creates a symbolic link at a path, or replaces the one that is there. The target is text and not followed.
    ///
    /// # Errors
    /// The errors of [`Transaction::put`].
    pub fn link(
        &mut self,
        path: impl TryInto<NamedPath, Error = PathError>,
        target: &str,
        expect: Expect,
    ) -> Result<(), Error> {
        self.add(
            self.engine.home.below_root(path)?,
            Wanted::Link(target.to_owned()),
            expect,
        )
    }

    fn add(&mut self, path: RelPath, wanted: Wanted, expect: Expect) -> Result<(), Error> {
        let added = self.try_add(path, wanted, expect);
        added.map_err(|error| self.engine.explain(error))
    }

    fn try_add(&mut self, path: RelPath, wanted: Wanted, expect: Expect) -> Result<(), Error> {
        let mut intent = self.admit(path, expect, wanted)?;
        intent.found = match self.find(&intent)? {
            Some(found) if self.may_adopt(&intent, &found)? => Some(found),
            _ => None,
        };
        if intent.found.is_none() {
            self.stage(&mut intent)?;
        }
        self.keep(intent);
        Ok(())
    }

    /// Stages the content of an intent.
    pub(super) fn stage(&mut self, intent: &mut Intent) -> Result<(), Error> {
        match &intent.wanted {
            Wanted::Nothing(_) => self.announce(intent, &intent.n.to_string()),
            Wanted::Tree(_) => self.stage_tree(intent),
            Wanted::Link(target) => {
                let target = target.clone();
                let (spot, dir, name) = self.open_spot(intent)?;
                dir.make_link(&target, &name)?;
                let image = Image::of(&dir.stat(&name)?.ok_or_else(|| vanished(&dir, &name))?);
                intent.staged = Some(Staged::new(spot, image));
                Ok(())
            }
            Wanted::File(_) => self.stage_file(intent),
        }
    }

    fn stage_file(&mut self, intent: &mut Intent) -> Result<(), Error> {
        let there = apply::stat_at(&self.engine, &intent.place)?;
        let owner = self.owner_of_new(intent)?;
        let (spot, dir, name) = self.open_spot(intent)?;
        let files = self.engine.home.dir.disk().clone();
        let Wanted::File(payload) = &mut intent.wanted else {
            return Ok(());
        };
        let (mut mode, mut mtime, like) = (payload.mode, payload.mtime, payload.like.clone());
        let (mut moved_from, mut is_closed) = (None, false);
        let (file, digest) = match &mut payload.content {
            Content::Bytes(bytes) => write(bytes, (&dir, &name, owner))?,
            Content::Stream(content) => read_in(&mut **content, (&dir, &name, owner))?,
            Content::File(path) | Content::Move(path) => {
                let path = path.clone();
                if matches!(payload.content, Content::Move(_)) {
                    moved_from = Some(path.clone());
                    if (mode, mtime) == (None, None)
                        && let Some(linked) = link_in((&files, &path), &dir, &name, &intent.path)?
                    {
                        let (digest, linked, file) = linked;
                        let file = self.keep_open(&spot, file)?;
                        intent.staged = Some(Staged {
                            digest: Some(digest),
                            file,
                            moved_from,
                            linked: Some(linked),
                            ..Staged::new(spot, Image::of(&linked))
                        });
                        return Ok(());
                    }
                }
                let copied = copy_file((&files, &path), (&dir, &name, owner), &intent.path)?;
                mode = mode.or(Some(copied.stat.mode & 0o777));
                mtime = mtime.or(Some(copied.stat.mtime));
                is_closed = copied.is_closed;
                (copied.file, copied.digest)
            }
        };
        let replaced = there.filter(|stat| stat.kind == Kind::File);
        match is_closed {
            true => file.set_mode(mode.unwrap_or_default() & CLOSED_MODE_MASK)?,
            false => {
                let as_before = self.inherit(intent, &file, replaced.as_ref(), like)?;
                let mode = mode.unwrap_or(as_before);
                self.tell_limited(intent, &file, as_before, mode)?;
                file.set_mode(mode)?;
            }
        }
        if let Some(mtime) = mtime {
            file.set_mtime(mtime)?;
        }
        let image = Image::of(&file.stat()?);
        let (digest, file) = (Some(digest), self.keep_open(&spot, file)?);
        let staged = Staged::new(spot, image);
        intent.staged = Some(Staged {
            digest,
            file,
            moved_from,
            ..staged
        });
        Ok(())
    }

    /// Keeps a staged file open until it is synced, if there are few. One of many is synced with its filesystem or
    /// immediately, because file descriptors are limited.
    fn keep_open(&mut self, spot: &Spot, file: NewFile) -> Result<Option<NewFile>, Error> {
        let open = self.intents.len() < FILES_ONE_BY_ONE_MAX;
        if !open && (*spot != Spot::Home || !self.engine.home.syncfs_reaches_medium) {
            let _synced = file.sync()?;
        }
        Ok(open.then_some(file))
    }

    /// The directory of the staged content of an intent.
    pub(super) fn staged_dir(&self, place: &Place, spot: &Spot) -> Result<Dir, Error> {
        match (spot, &self.live) {
            (Spot::Home, Some(live)) => Ok(live.staging.dir.clone()),
            (Spot::Home, None) => Ok(self.engine.home.txns.clone()),
            (Spot::Beside(dir), _) => Ok(self.engine.home.beside(place.anchor, dir.as_ref())?),
        }
    }

    /// The owner of new content, if this process is root: the owner of what it replaces, if that is of the same kind,
    /// otherwise the owner of its directory.
    pub(super) fn owner_of_new(&self, intent: &Intent) -> Result<Option<Owner>, Error> {
        if !disk::is_root() {
            return Ok(None);
        }
        let wanted = match intent.wanted {
            Wanted::Tree(_) => Kind::Dir,
            _ => Kind::File,
        };
        let there = apply::stat_at(&self.engine, &intent.place)?;
        if let Some(there) = there.filter(|there| there.kind == wanted) {
            return Ok(Some(Owner::of(&there)));
        }
        let parent = match self.engine.home.parent(&intent.place)? {
            Parent::There(dir) => dir,
            Parent::Missing { nearest, .. } => nearest,
        };
        Ok(Some(Owner::of_new_in(&parent.own_stat()?)))
    }

    /// The directory and name of an intent's staging slot, empty.
    pub(super) fn open_spot(&mut self, intent: &Intent) -> Result<(Spot, Dir, String), Error> {
        self.check_movable_now(intent)?;
        let (spot, dir) = self.engine.home.spot_for(&intent.place)?;
        let live = self.live()?;
        let name = spot_name(&spot, live.id, intent.n);
        if spot == Spot::Home {
            let dir = live.staging.dir.clone();
            self.announce(intent, &name)?;
            return Ok((spot, dir, name));
        }
        let change = Change {
            n: intent.n,
            place: intent.place.clone(),
            op: intent.wanted.op(),
            pre: None,
            new: None,
            digest: None,
            target: None,
            spot: spot.clone(),
            durability: Durability::Durable,
            drift: false,
        };
        live.announce_beside(change)?;
        Ok((spot, dir, name))
    }
}

impl Transaction {
    /// Prepares the directory of the transaction for what an intent stages or replaces.
    fn announce(&mut self, intent: &Intent, name: &str) -> Result<(), Error> {
        let engine = self.engine.clone();
        let live = self.live()?;
        engine.home.shield_for(live.id, &intent.place)?;
        live.announce(name, intent.path.as_str())
    }
}

impl Staged {
    pub(super) fn new(spot: Spot, image: Image) -> Self {
        Self {
            spot,
            image,
            digest: None,
            tree: None,
            file: None,
            moved_from: None,
            linked: None,
            synced: false,
        }
    }
}

/// A staged copy of a file.
struct Copied {
    file: NewFile,
    digest: Digest,
    /// The copied content.
    stat: Stat,
    /// Whether it stays owned by root, because the owner of the target could not read it.
    is_closed: bool,
}

/// Creates a staged file with the content of a file of the caller.
fn copy_file(
    (disk, path): (&Disk, &Utf8Path),
    (dir, name, owner): (&Dir, &str, Option<Owner>),
    target: &RelPath,
) -> Result<Copied, Error> {
    for _ in 0..READS_MAX {
        let source = Source::open(disk, path)?;
        let is_closed = owner.is_some_and(|owner| !disk.may_be_given(&source.file, owner));
        let owner = if is_closed { Some(Owner::ROOT) } else { owner };
        let at = (dir, name, owner);
        let (file, digest) = match source.stat.size {
            // A file without a size (below `/proc`) must be read to its end.
            0 => read_in(&mut Dense(&source.file), at)?,
            _ => copy((&source.file, path), at)?,
        };
        if source.is_steady(digest)? {
            if is_closed {
                tracing::warn!(path = %target, "only root may read `{path}`: its copy stays root's");
            }
            return Ok(Copied {
                file,
                digest,
                stat: source.stat,
                is_closed,
            });
        }
        dir.remove_file(name)?;
    }
    Err(Source::changed(path, target))
}

/// The digest of a file that got a hard link, its `stat` when it was hashed, and a handle to it.
type Linked = (Digest, Stat, NewFile);

/// Creates a hard link to a file in the staging directory; `None` if that is impossible.
fn link_in(
    (disk, path): (&Disk, &Utf8Path),
    dir: &Dir,
    name: &str,
    target: &RelPath,
) -> Result<Option<Linked>, Error> {
    for _ in 0..READS_MAX {
        let source = Source::open(disk, path)?;
        match dir.link_from(path, name) {
            Err(error)
                if [Errno::XDEV, Errno::PERM, Errno::ACCESS, Errno::MLINK]
                    .iter()
                    .any(|no| error.is(*no)) =>
            {
                return Ok(None);
            }
            linked => linked?,
        }
        let digest = disk.hash(&source.file, path)?;
        let linked = dir.stat(name)?.ok_or_else(|| vanished(dir, name))?;
        let is_it = linked.identity == source.stat.identity;
        if is_it && source.is_steady_but_for_names(digest)? {
            let file = dir.adopt_file(name)?;
            return Ok(Some((digest, linked, file)));
        }
        // It is being written to, or its name leads to another file now.
        dir.remove_file(name)?;
    }
    Err(Source::changed(path, target))
}

/// Creates a staged file with these bytes.
fn write(
    bytes: &[u8],
    (dir, name, owner): (&Dir, &str, Option<Owner>),
) -> Result<(NewFile, Digest), Error> {
    let mut file = dir.create_file_of(name, 0o600, owner)?;
    let path = file.path().to_owned();
    file.write_all(bytes)
        .map_err(|error| DiskError::of_write(path.as_str(), error))?;
    Ok((file, Digest::of(bytes)))
}

/// Creates a staged file with the content of a reader.
fn read_in(
    from: &mut dyn Sparse,
    (dir, name, owner): (&Dir, &str, Option<Owner>),
) -> Result<(NewFile, Digest), Error> {
    let mut file = dir.create_file_of(name, 0o600, owner)?;
    let path = file.path().to_owned();
    let failed = |error| DiskError::new("read the content for", path.as_str(), error);
    let (_, digest) = file.fill(from, failed)?;
    Ok((file, digest))
}

/// Creates a staged file with the content of another one, including holes.
fn copy(
    (from, path): (&std::fs::File, &Utf8Path),
    (dir, name, owner): (&Dir, &str, Option<Owner>),
) -> Result<(NewFile, Digest), Error> {
    let mut file = dir.create_file_of(name, 0o600, owner)?;
    let (_, digest) = file.copy_from(from, path)?;
    Ok((file, digest))
}

pub(super) fn vanished(dir: &Dir, name: &str) -> DiskError {
    DiskError::new("look at", dir.path().join(name).as_str(), Errno::NOENT)
}
