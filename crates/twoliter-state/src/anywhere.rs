//! Tags and tools in any directory, without a project around it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::{Installed, Journal, Options, RelPath};

use crate::tags::{KITS_TAG, SDK_TAG, Verified};
use crate::{Error, State, Tools};

/// Keeps the claims made by [`write_tags`] valid until this is dropped or the process ends. The tag files remain, as
/// upstream leaves them, until the next change.
#[derive(Debug)]
#[must_use = "the claims on the tags end when this is dropped"]
pub struct Vouching {
    _state: Option<Arc<State>>,
}

/// Claims what was verified in a directory, which is created if needed; see [`State::write_tags`].
///
/// The journal is in the nearest ancestor directory that has one, else next to a directory named `external-kits`,
/// else in the directory itself.
///
/// # Errors
/// The errors of [`State::open`] and [`State::write_tags`]; [`Error::Directory`] for an unusable path.
pub fn write_tags(dir: impl AsRef<Utf8Path>, verified: &Verified) -> Result<Vouching, Error> {
    if verified.level().is_none() {
        cleanup_existing_tags(dir)?;
        return Ok(Vouching { _state: None });
    }
    let write = |state: &State, dir: &str| state.write_tags(dir, verified);
    let (_, _state) = Spot::of(dir.as_ref())?.with_state(|| true, write)?;
    Ok(Vouching { _state })
}

/// Withdraws the claims of this process in a directory and removes the tags that no running run claims; see
/// [`State::cleanup_existing_tags`]. If there is nothing to remove nothing is created, not even a journal.
///
/// # Errors
/// The errors of [`write_tags`].
pub fn cleanup_existing_tags(dir: impl AsRef<Utf8Path>) -> Result<bool, Error> {
    let is_there = |tag| dir.as_ref().join(tag).symlink_metadata().is_ok();
    let any = || [SDK_TAG, KITS_TAG].into_iter().any(is_there);
    let (done, _) = Spot::of(dir.as_ref())?.with_state(any, State::cleanup_existing_tags)?;
    Ok(done)
}

/// Installs tools in a directory, which is created if needed; see [`State::install_tools`].
///
/// The journal is in the nearest ancestor directory that has one, else in the parent if that is named `build`, else
/// next to the directory, as `.NAME.journal`.
///
/// # Errors
/// The errors of [`State::open`] and [`State::install_tools`]; [`Error::Directory`] for an unusable path.
pub fn install_tools(dir: impl AsRef<Utf8Path>, tools: &Tools) -> Result<Installed, Error> {
    let spot = Spot::of_tree(dir.as_ref())?;
    let below = spot.dir.strip_prefix(&spot.root).unwrap_or(&spot.dir);
    let territory = RelPath::new(below.as_str()).map_err(tljournal::Error::from)?;
    let options = Journal::options(&spot.root).home(&spot.home);
    let state = State::with(options.territory(territory).work()?);
    let installed = state.install_tools(below.as_str(), tools)?;
    state.close()?;
    Ok(installed)
}

/// The name of a directory whose journal is next to it.
const KITS: &str = "external-kits";

/// The name of a directory whose journal is in it.
const BUILD: &str = "build";

/// The file by which a journal is recognized.
const DATABASE: &str = ".state.db";

/// A directory of tags, and the home of its journal.
#[derive(Debug)]
struct Spot {
    /// An existing directory.
    root: Utf8PathBuf,
    /// The root, or a directory below it.
    home: Utf8PathBuf,
    /// A directory in the home.
    dir: Utf8PathBuf,
}

/// An open state, and its home below the root that its paths are relative to.
type Open = (Utf8PathBuf, Weak<State>);

impl Spot {
    fn of(dir: &Utf8Path) -> Result<Self, Error> {
        let dir = absolute(dir)?;
        let home = match (dir.ancestors().find(has_journal), dir.parent()) {
            (Some(home), _) => home,
            (None, Some(parent)) if dir.file_name() == Some(KITS) => parent,
            (None, _) => dir.as_path(),
        };
        Ok(Self {
            root: existing(home).to_owned(),
            home: home.to_owned(),
            dir,
        })
    }

    /// The same for a directory that is replaced as a whole, so the journal cannot be inside it.
    fn of_tree(dir: &Utf8Path) -> Result<Self, Error> {
        let dir = absolute(dir)?;
        let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
            let source = std::io::ErrorKind::InvalidInput.into();
            return Err(Error::Directory { path: dir, source });
        };
        let (root, home) = match parent.ancestors().find(has_journal) {
            Some(home) => (home, home.to_owned()),
            None if parent.file_name() == Some(BUILD) => (existing(parent), parent.to_owned()),
            None => (existing(parent), parent.join(format!(".{name}.journal"))),
        };
        Ok(Self {
            root: root.to_owned(),
            home,
            dir,
        })
    }

    /// Runs `act` with the state that this process has open there, or opens it if `is_worth_it`. Without any work
    /// nothing is created.
    fn with_state(
        &self,
        is_worth_it: impl Fn() -> bool,
        act: impl Fn(&State, &str) -> Result<bool, Error>,
    ) -> Result<(bool, Option<Arc<State>>), Error> {
        loop {
            let Some((home, state)) = self.state(&is_worth_it)? else {
                return Ok((false, None));
            };
            let inside = self.dir.strip_prefix(&self.home);
            let dir = home.join(inside.unwrap_or(Utf8Path::new("")));
            match act(&state, dir.as_str()) {
                // A directory that was removed and created again has another journal.
                Err(Error::Journal(tljournal::Error::Replaced { .. })) if self.forget(&state) => {}
                done => return Ok((done?, Some(state))),
            }
        }
    }

    fn state(
        &self,
        is_worth_it: impl Fn() -> bool,
    ) -> Result<Option<(Utf8PathBuf, Arc<State>)>, Error> {
        // Locked while it is opened, so that all calls of the process belong to one run.
        let mut open = open_states();
        if let Some((home, state)) = open.get(&self.key())
            && let Some(state) = state.upgrade()
        {
            return Ok(Some((home.clone(), state)));
        }
        if !is_worth_it() {
            return Ok(None);
        }
        let state = Arc::new(State::with(self.options().work()?));
        open.retain(|_, (_, state)| state.strong_count() > 0);
        let weak = Arc::downgrade(&state);
        let home = self.home.strip_prefix(&self.root);
        let home = home.unwrap_or(Utf8Path::new("")).to_owned();
        open.insert(self.key(), (home.clone(), weak));
        Ok(Some((home, state)))
    }

    /// Forgets an unusable state. Returns whether it was known.
    fn forget(&self, state: &Arc<State>) -> bool {
        let mut open = open_states();
        let known = |(_, known): &Open| known.as_ptr() == Arc::as_ptr(state);
        let key = self.key();
        let is_known = open.get(&key).is_some_and(known);
        if is_known {
            open.remove(&key);
        }
        is_known
    }

    /// The key of the home in this process, independent of the path used.
    fn key(&self) -> Utf8PathBuf {
        let there = existing(&self.home);
        let rest = self.home.strip_prefix(there).unwrap_or(Utf8Path::new(""));
        let there = there
            .canonicalize_utf8()
            .unwrap_or_else(|_| there.to_owned());
        there.join(rest)
    }

    fn options(&self) -> Options {
        let options = Journal::options(&self.root).home(&self.home);
        let below = self.home.strip_prefix(&self.root).map(Utf8Path::as_str);
        match below.map(RelPath::new) {
            Ok(Ok(path)) => options.territory(path),
            // The home is the root.
            _ => options,
        }
    }
}

fn absolute(dir: &Utf8Path) -> Result<Utf8PathBuf, Error> {
    camino::absolute_utf8(dir).map_err(|source| Error::Directory {
        path: dir.to_owned(),
        source,
    })
}

fn has_journal(home: &&Utf8Path) -> bool {
    home.join(DATABASE).symlink_metadata().is_ok()
}

/// The nearest existing directory upward.
fn existing(dir: &Utf8Path) -> &Utf8Path {
    dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(dir)
}

/// The open states of this process.
static OPEN: Mutex<BTreeMap<Utf8PathBuf, Open>> = Mutex::new(BTreeMap::new());

fn open_states() -> MutexGuard<'static, BTreeMap<Utf8PathBuf, Open>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
