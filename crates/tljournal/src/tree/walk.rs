use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::names::{self, join};
use super::spread::cores;
use super::{Forbidden, TreeError};
use crate::disk::Dir;
use crate::model::{Kind, Stat};
use crate::workers;

/// How many entries one thread lists before others help.
const ALONE_MAX: usize = 256;

/// What a walk saw of one entry.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) stat: Stat,
    /// The target of a link.
    pub(super) target: Option<String>,
}

/// Lists everything below `top`, sorted by path, without reading content.
pub(crate) fn list(top: &Dir) -> Result<Vec<(String, Stat)>, TreeError> {
    let seen = walk(top, None)?.into_iter();
    Ok(seen.skip(1).map(|seen| (seen.path, seen.stat)).collect())
}

/// Lists everything below `top`, sorted by path, the root first. All cores list directories.
pub(super) fn walk(top: &Dir, forbidden: Option<Forbidden>) -> Result<Vec<Seen>, TreeError> {
    let stat = top.own_stat()?;
    let walk = Walk {
        top,
        forbidden,
        state: Mutex::default(),
        more: Condvar::new(),
    };
    walk.refuse_journal("", &stat)?;
    let root = Seen {
        path: String::new(),
        stat,
        target: None,
    };
    let mut state = walk.lock();
    state.seen.push(root);
    state.waiting.push(String::new());
    drop(state);
    // Few entries are listed before a thread has started.
    if !walk.work_alone() {
        workers::together(cores(), || walk.work());
    }
    let state = walk
        .state
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some((_, error)) = state.failure {
        return Err(error);
    }
    let mut seen = state.seen;
    seen.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(seen)
}

struct Walk<'a> {
    top: &'a Dir,
    forbidden: Option<Forbidden>,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    /// Directories to be listed.
    waiting: Vec<String>,
    /// The number of directories being listed.
    busy: usize,
    seen: Vec<Seen>,
    failure: Option<(String, TreeError)>,
}

impl State {
    /// Takes the listing of a directory.
    fn take(&mut self, dir: String, listed: Result<Vec<Seen>, TreeError>) {
        match listed {
            Ok(listed) => {
                let dirs = listed.iter().filter(|seen| seen.stat.kind == Kind::Dir);
                self.waiting.extend(dirs.map(|seen| seen.path.clone()));
                self.seen.extend(listed);
            }
            Err(error) => {
                if self.failure.as_ref().is_none_or(|(first, _)| dir < *first) {
                    self.failure = Some((dir, error));
                }
            }
        }
    }
}

impl Walk<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists on this thread while the tree is small. Returns whether it was.
    fn work_alone(&self) -> bool {
        loop {
            let mut state = self.lock();
            if state.failure.is_some() {
                return true;
            }
            if state.seen.len() > ALONE_MAX {
                return false;
            }
            let Some(dir) = state.waiting.pop() else {
                return true;
            };
            drop(state);
            let listed = self.list(&dir);
            self.lock().take(dir, listed);
        }
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            let dir = match state.waiting.pop() {
                _ if state.failure.is_some() => return,
                Some(dir) => dir,
                None if state.busy == 0 => return,
                None => {
                    state = self
                        .more
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            state.busy += 1;
            drop(state);
            let listed = self.list(&dir);
            state = self.lock();
            state.busy -= 1;
            state.take(dir, listed);
            self.more.notify_all();
        }
    }

    fn list(&self, path: &str) -> Result<Vec<Seen>, TreeError> {
        let dir = if path.is_empty() {
            self.top.clone()
        } else {
            self.top.open_dir(path)?
        };
        let names = dir.names()?;
        let mut listed = Vec::with_capacity(names.len());
        for name in names {
            let raw = name.as_encoded_bytes();
            let Some(name) = name.to_str() else {
                return Err(names::not_utf8(&[path.as_bytes(), b"/", raw].concat()));
            };
            let path = join(path, name);
            names::check(&path)?;
            let Some(stat) = dir.stat(name)? else {
                return Err(TreeError::changed(&path));
            };
            let target = match stat.kind {
                Kind::Link => Some(read_link(&dir, name, &path)?),
                Kind::Dir => {
                    self.refuse_journal(&path, &stat)?;
                    None
                }
                Kind::File => None,
                Kind::Other => {
                    return Err(TreeError::Special {
                        entry: names::shown(path),
                        what: "a device, fifo or socket, which a tree cannot hold",
                    });
                }
            };
            listed.push(Seen { path, stat, target });
        }
        Ok(listed)
    }

    fn refuse_journal(&self, path: &str, stat: &Stat) -> Result<(), TreeError> {
        if self.forbidden == Some((stat.dev, stat.identity)) {
            return Err(TreeError::ContainsJournal {
                origin: format!("`{}`", self.top.path().as_str().escape_debug()),
                entry: names::shown(path),
            });
        }
        Ok(())
    }
}

fn read_link(dir: &Dir, name: &str, path: &str) -> Result<String, TreeError> {
    dir.read_link(name).map_err(|error| {
        if error.is(Errno::ILSEQ) {
            return TreeError::Name {
                entry: names::shown(path),
                why: "it is a link to something that is not UTF-8",
            };
        }
        error.into()
    })
}
