//! Pins: shared locks that keep a tree on disk.
//!
//! A pin is a shared `flock` on the tree's root directory, so a program in any language can pin. It follows the inode
//! through exchange and rename, and ends with its holder. A pinned tree is replaced by exchange and stays complete at
//! its new place; only what can be locked exclusively is deleted.
//!
//! Any user who may read the tree can lock it. Where only users hold it who may not use the home, work goes on after
//! a moment: a pin is then in force when they release it, and a tree that cannot be locked alone is replaced, or
//! changed inside, but not deleted.

use std::cell::{Cell, RefCell};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::ambient::Maker;
use crate::catalog::Sync;
use crate::disk::{Dir, DiskError};
use crate::engine::Engine;
use crate::error::{Conflict, ConflictKind, Error};
use crate::home::Parent;
use crate::lineage::{Loan, Thing};
use crate::lock::{self, Awaited, LockError, Mode, Wait};
use crate::model::{EventKind, Identity, Kind, Place};

/// A pin on a tree: the tree stays on disk, complete, until this is dropped.
#[derive(Debug)]
#[must_use = "the tree is unpinned when this is dropped"]
pub struct Pin {
    dir: Dir,
    maker: Maker,
    identity: Identity,
}

impl Pin {
    /// The pinned directory. Paths resolved from this handle lead into the pinned tree, even after another one has
    /// taken its path.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// A path to the pinned directory that is valid for this process, and for its children while it runs, even after
    /// another tree has taken its place.
    #[must_use]
    pub fn path(&self) -> String {
        use std::os::fd::AsRawFd;
        format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.dir.as_fd().as_raw_fd()
        )
    }

    /// The inode that is pinned.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    fn new(dir: Dir, identity: Identity, home: HomeKey) -> Self {
        own().push(Own {
            home,
            identity,
            thread: thread::current().id(),
        });
        let maker = Maker::here();
        Self {
            dir,
            maker,
            identity,
        }
    }

    /// Pins a directory that no other process can reach yet.
    pub(crate) fn on(dir: Dir, home: HomeKey) -> Result<Self, Error> {
        lock::lock_dir(&dir, Mode::Shared, Wait::default())?;
        let identity = dir.own_stat()?.identity;
        Ok(Self::new(dir, identity, home))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if !self.maker.is_here() {
            return;
        }
        // Unlocks explicitly: a process that inherited the description would otherwise keep the pin.
        if let Err(errno) = lock::unlock(&self.dir) {
            tracing::debug!(%errno, "failed to unlock a pin; closing the directory releases it");
        }
        let mut own = own();
        if let Some(at) = own.iter().position(|own| own.identity == self.identity) {
            own.swap_remove(at);
        }
    }
}

/// The device and the inode of a home's `.state`.
pub(crate) type HomeKey = (u64, Identity);

/// A tree that this process itself has pinned, and must not wait for.
struct Own {
    /// The home that it was pinned through.
    home: HomeKey,
    identity: Identity,
    thread: ThreadId,
}

fn own() -> MutexGuard<'static, Vec<Own>> {
    static OWN: Mutex<Vec<Own>> = Mutex::new(Vec::new());
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this process has pinned a tree of this home: only its users may wait for that.
pub(crate) fn holds_any(home: HomeKey) -> bool {
    own().iter().any(|own| own.home == home)
}

fn is_own(identity: Identity) -> bool {
    own().iter().any(|own| own.identity == identity)
}

/// The trees that this thread has pinned.
pub(crate) fn of_this_thread() -> Vec<Identity> {
    let (own, thread) = (own(), thread::current().id());
    let of_thread = own.iter().filter(|own| own.thread == thread);
    of_thread.map(|own| own.identity).collect()
}

/// Pins the tree at a place within the limit of the handle; `None` if there is no directory.
///
/// A process that holds the tree exclusively is about to replace or delete it: this call waits for it, unless this
/// handle holds a lock that the other process may be waiting for.
pub(crate) fn pin(engine: &Engine, place: &Place) -> Result<Option<Pin>, Error> {
    pin_within(engine, place, engine.lock_wait)
}

/// The same within another limit. A tree that a run around this process holds exclusively counts as pinned.
pub(crate) fn pin_within(
    engine: &Engine,
    place: &Place,
    limit: Option<Duration>,
) -> Result<Option<Pin>, Error> {
    loop {
        let Some(dir) = open_tree(engine, place)? else {
            return Ok(None);
        };
        let error = |errno| cannot_lock(&dir, errno);
        let (identity, mode) = (dir.own_stat()?.identity, Mode::Shared);
        let tree = Thing::Tree(identity);
        if !lock::try_shared(&dir).map_err(error)? && engine.loan(&tree, mode)? != Loan::Borrowed {
            let path = engine.home.shown(place);
            if engine.held.load(Ordering::Acquire) > 0 {
                return Err(Conflict::at(path, ConflictKind::WouldDeadlock).into());
            }
            wait_for(engine, (&path, &dir), mode, ("pin", None, limit))?;
        }
        // The lock pins the inode; it pins the tree only if the path still names it.
        if still_names(engine, place, identity)? {
            return Ok(Some(Pin::new(dir, identity, engine.home_key())));
        }
    }
}

/// A tree that is locked exclusively, so that it cannot be pinned while it is replaced.
#[derive(Debug)]
pub(crate) struct Alone {
    dir: Dir,
}

/// The operation that waits for a tree.
pub(crate) struct Waiter<'a> {
    pub(crate) why: &'a str,
    /// The row of its transaction, if it has one.
    pub(crate) txn: Option<i64>,
}

/// Locks the tree at a place exclusively; waits while it is pinned.
pub(crate) fn hold_alone(
    engine: &Engine,
    place: &Place,
    waiter: Option<Waiter<'_>>,
) -> Result<Option<Alone>, Error> {
    loop {
        let Some(dir) = open_tree(engine, place)? else {
            return Ok(None);
        };
        let error = |errno| cannot_lock(&dir, errno);
        if !lock::try_exclusive(&dir).map_err(error)? {
            let path = engine.home.shown(place);
            let Some(Waiter { why, txn }) = waiter else {
                refuse_pinned(engine, &path, &dir)?;
                return Ok(Some(Alone { dir }));
            };
            let identity = dir.own_stat()?.identity;
            if let Some(run) = engine.held_above(&Thing::Tree(identity))? {
                return Err(Conflict::at(path, ConflictKind::PinnedAbove { run }).into());
            }
            let holds_key = lock::KeyByte::is_held_here();
            if is_own(identity) || holds_key || engine.keeps_others_waiting()? {
                return Err(Conflict::at(path, ConflictKind::WouldDeadlock).into());
            }
            let waiter = (why, txn, engine.lock_wait);
            wait_for(engine, (&path, &dir), Mode::Exclusive, waiter)?;
        }
        if still_names(engine, place, dir.own_stat()?.identity)? {
            return Ok(Some(Alone { dir }));
        }
    }
}

/// Refuses a change inside a pinned tree that the journal installed, because a pinned tree stays complete.
pub(crate) fn refuse_within_pinned(engine: &Engine, place: &Place) -> Result<(), Error> {
    for path in place.path.ancestors().skip(1) {
        let tree = Place {
            anchor: place.anchor,
            path,
        };
        let entry = engine.look(|catalog| catalog.entry(&tree))?;
        if entry.is_none_or(|entry| entry.image.kind != Kind::Dir) {
            continue;
        }
        let Some(dir) = open_tree(engine, &tree)? else {
            continue;
        };
        if !lock::try_exclusive(&dir).map_err(|errno| cannot_lock(&dir, errno))? {
            refuse_pinned(engine, &engine.home.shown(place), &dir)?;
        }
    }
    Ok(())
}

/// Refuses a change of a locked tree, unless only users who may not use the home have locked it.
fn refuse_pinned(engine: &Engine, path: &str, dir: &Dir) -> Result<(), Error> {
    let ino = dir.own_stat()?.identity.ino;
    match lock::held_by_others(ino, engine.home.dir.access()) {
        Some(holder) => note_ignored(engine, path, &holder),
        None => {
            let holder = lock::of_inode(ino);
            Err(Conflict::at(path, ConflictKind::Pinned { holder }).into())
        }
    }
}

impl Alone {
    /// Whether this is the tree with that inode.
    pub(crate) fn is(&self, identity: Identity) -> bool {
        self.dir
            .own_stat()
            .is_ok_and(|stat| stat.identity == identity)
    }
}

fn open_tree(engine: &Engine, place: &Place) -> Result<Option<Dir>, Error> {
    let Parent::There(parent) = engine.home.parent(place)? else {
        return Ok(None);
    };
    match parent.stat(place.path.name())? {
        Some(stat) if stat.kind == Kind::Dir => {}
        _ => return Ok(None),
    }
    match parent.open_dir(place.path.name()) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.io().kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn still_names(engine: &Engine, place: &Place, identity: Identity) -> Result<bool, Error> {
    let Parent::There(parent) = engine.home.parent(place)? else {
        return Ok(false);
    };
    let now = parent.stat(place.path.name())?;
    Ok(now.is_some_and(|now| now.identity == identity))
}

/// How long a lock is waited for that only users hold who may not use the home.
const MOMENT: Duration = Duration::from_millis(500);

/// Waits for the holder of a tree: until no process holds it exclusively, or until no process holds it. If after a
/// moment all holders are users who may not use the home, this returns without the lock and records that: the thread
/// that waits for it takes it as soon as they release it, for the same open directory.
fn wait_for(
    engine: &Engine,
    (path, dir): (&str, &Dir),
    mode: Mode,
    (why, txn, limit): (&str, Option<i64>, Option<Duration>),
) -> Result<(), Error> {
    let identity = dir.own_stat()?.identity;
    let (tree, ino, access) = (
        Thing::Tree(identity),
        identity.ino,
        engine.home.dir.access(),
    );
    let next = Cell::new(Instant::now() + MOMENT.min(limit.unwrap_or(MOMENT)));
    let others = RefCell::new(None);
    let only_others = || {
        if Instant::now() >= next.get() {
            next.set(Instant::now() + MOMENT);
            others.replace(lock::held_by_others(ino, access));
        }
        others.borrow().is_some()
    };
    let got = engine.waiting(&tree, (path, why), (txn, limit), |wait| {
        let asked = wait.gives_up;
        let gives_up = || asked.is_some_and(|asked| asked()) || only_others();
        let gives_up = Some(&gives_up as &dyn Fn() -> bool);
        wait_in_line((path, dir, ino), mode, Wait { gives_up, ..wait })
    });
    let Err(error @ Error::Lock(_)) = got else {
        return got;
    };
    let holder = match others.take() {
        None if limit == Some(Duration::ZERO) => lock::held_by_others(ino, access),
        holder => holder,
    };
    holder.map_or(Err(error), |holder| note_ignored(engine, path, &holder))
}

/// Records that a lock was not waited for.
fn note_ignored(engine: &Engine, path: &str, holder: &str) -> Result<(), Error> {
    tracing::warn!(
        path,
        holder,
        "another user's lock on the tree is not waited for"
    );
    let detail = format!("a lock of users who may not use the home is not waited for: {holder}");
    let run = engine.run_row();
    engine.record(Sync::Normal, |catalog| {
        catalog.put_event((run, None), &EventKind::LockIgnored, Some(path), &detail)
    })
}

fn wait_in_line(
    (path, dir, ino): (&str, &Dir, u64),
    mode: Mode,
    wait: Wait<'_>,
) -> Result<(), LockError> {
    let awaited = Awaited {
        name: path,
        path: dir.path().to_owned(),
        mode,
        holder: &|| lock::of_inode(ino),
    };
    // The lock belongs to the open file description, which this duplicate shares.
    let same = dir.as_fd().try_clone_to_owned();
    let same = same.map_err(|source| DiskError::new("lock", dir.path().as_str(), source))?;
    lock::in_line(&awaited, Vec::new(), same, wait)?;
    Ok(())
}

fn cannot_lock(dir: &Dir, errno: rustix::io::Errno) -> DiskError {
    DiskError::new("lock", dir.path().as_str(), errno)
}
