use std::collections::BTreeMap;

use tljournal::{Digest, Expect, Timestamp};

use super::run::Outcome;
use super::step::{Step, Steps};
use crate::snapshot::{Seen, Snapshot, What};
use crate::tree::{Leaf, TreeSpec};

/// The expected content of a directory, by the simplest possible rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model {
    entries: BTreeMap<String, Node>,
}

/// One entry of a [`Model`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its type and content.
    pub leaf: Leaf,
    /// Permission bits; `None` if unspecified.
    pub mode: Option<u32>,
    /// The mtime; `None` if unspecified.
    pub mtime: Option<Timestamp>,
}

/// The expected result of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicted {
    /// Committed: each path, and whether it was changed.
    Committed(BTreeMap<String, bool>),
    /// Rolled back.
    RolledBack,
    /// Refused because a precondition fails, or because something is in the way.
    Conflict,
    /// Refused as a call that can never succeed.
    Usage,
}

impl Predicted {
    /// Whether the result is the expected one.
    #[must_use]
    pub fn matches(&self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Committed(wanted), Outcome::Committed(paths)) => wanted == paths,
            (Self::RolledBack, Outcome::RolledBack)
            | (Self::Conflict, Outcome::Conflict(_))
            | (Self::Usage, Outcome::Usage(_)) => true,
            _ => false,
        }
    }
}

impl Model {
    /// One entry; `None` if there is none.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.entries.get(path)
    }

    /// The expected state of the directory.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let seen = |node: &Node| Seen {
            what: match &node.leaf {
                Leaf::Dir => What::Dir,
                Leaf::File(content) => What::File(Digest::of(content)),
                Leaf::Link(target) | Leaf::Same(target) => What::Link(target.clone()),
            },
            mode: node.mode,
            mtime: node.mtime,
        };
        let entries = self.entries.iter();
        Snapshot(
            entries
                .map(|(path, node)| (path.clone(), seen(node)))
                .collect(),
        )
    }

    /// Commits a transaction, if possible, and returns the expected result.
    pub fn commit(&mut self, steps: &Steps) -> Predicted {
        // The home exists after the journal was first opened.
        self.make_dirs("build/x");
        if let Err(refused) = self.check_adding(steps) {
            return refused;
        }
        if !steps.steps.iter().all(|step| self.fits(step)) {
            return Predicted::Conflict;
        }
        let changed = steps.steps.iter();
        let changed = changed.map(|step| (step.path().to_owned(), self.apply(step)));
        Predicted::Committed(changed.collect())
    }

    /// Rolls a transaction back, if it can be started, and returns the expected result.
    pub fn roll_back(&mut self, steps: &Steps) -> Predicted {
        self.make_dirs("build/x");
        match self.check_adding(steps) {
            Err(refused) => refused,
            Ok(()) => Predicted::RolledBack,
        }
    }

    /// The errors that are detected when changes are added.
    fn check_adding(&self, steps: &Steps) -> Result<(), Predicted> {
        for (at, step) in steps.steps.iter().enumerate() {
            let overlaps = |other: &Step| {
                let (a, b) = (step.path(), other.path());
                a == b || is_below(a, b) || is_below(b, a)
            };
            if steps.steps[..at].iter().any(overlaps) {
                return Err(Predicted::Usage);
            }
            // Behind a link or below a file nothing can be removed or put.
            if !matches!(step, Step::Remove { .. }) {
                self.check_parents(step.path())?;
            }
            let is_there = self.entries.contains_key(step.path());
            match step.expect() {
                Expect::Absent if is_there => return Err(Predicted::Conflict),
                Expect::Present if !is_there => return Err(Predicted::Conflict),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a precondition holds, and the existing content is of a kind that the change can replace.
    fn fits(&self, step: &Step) -> bool {
        let there = self.entries.get(step.path()).map(|node| &node.leaf);
        let as_expected = match (step.expect(), there) {
            (Expect::Digest(wanted), Some(Leaf::File(content))) => Digest::of(content) == wanted,
            (Expect::Digest(_), _) => false,
            _ => true,
        };
        let is_kind = match (step, there) {
            (_, None) | (Step::Remove { .. }, _) => true,
            (Step::Put { .. }, Some(leaf)) => matches!(leaf, Leaf::File(_)),
            (Step::Link { .. }, Some(leaf)) => matches!(leaf, Leaf::Link(_)),
            (Step::Tree { .. }, Some(leaf)) => matches!(leaf, Leaf::Dir),
        };
        as_expected && is_kind && self.check_parents(step.path()).is_ok()
    }

    fn check_parents(&self, path: &str) -> Result<(), Predicted> {
        for parent in parents(path) {
            match self.entries.get(parent).map(|node| &node.leaf) {
                None | Some(Leaf::Dir) => {}
                Some(Leaf::File(_) | Leaf::Link(_) | Leaf::Same(_)) => {
                    return Err(Predicted::Conflict);
                }
            }
        }
        Ok(())
    }

    /// Makes one change; returns whether anything changed.
    fn apply(&mut self, step: &Step) -> bool {
        let path = step.path();
        let before: BTreeMap<_, _> = self.at_and_below(path);
        let after = wanted(step);
        if before == after {
            return false;
        }
        self.entries
            .retain(|other, _| other != path && !is_below(other, path));
        if !after.is_empty() {
            self.make_dirs(path);
        }
        self.entries.extend(after);
        for parent in parents(path) {
            if let Some(node) = self.entries.get_mut(parent) {
                node.mtime = None;
            }
        }
        true
    }

    fn at_and_below(&self, path: &str) -> BTreeMap<String, Node> {
        let entries = self.entries.iter();
        entries
            .filter(|(other, _)| *other == path || is_below(other, path))
            .map(|(other, node)| (other.clone(), node.clone()))
            .collect()
    }

    fn make_dirs(&mut self, path: &str) {
        for parent in parents(path) {
            self.entries.entry(parent.to_owned()).or_insert(Node {
                leaf: Leaf::Dir,
                mode: None,
                mtime: None,
            });
        }
    }
}

/// The entries at and below a change's path afterwards.
fn wanted(step: &Step) -> BTreeMap<String, Node> {
    let one = |path: &String, leaf, mode, mtime| {
        BTreeMap::from([(path.clone(), Node { leaf, mode, mtime })])
    };
    match step {
        Step::Remove { .. } => BTreeMap::new(),
        Step::Put {
            path,
            content,
            mode,
            mtime,
            ..
        } => one(path, Leaf::File(content.clone()), Some(*mode), Some(*mtime)),
        Step::Link { path, target, .. } => one(path, Leaf::Link(target.clone()), None, None),
        Step::Tree { path, tree, .. } => tree_at(path, tree),
    }
}

fn tree_at(root: &str, tree: &TreeSpec) -> BTreeMap<String, Node> {
    let entries = tree.entries.iter();
    entries
        .map(|(path, mode, mtime, leaf)| {
            let path = match path.as_str() {
                "." => root.to_owned(),
                inside => format!("{root}/{inside}"),
            };
            let mode = (!matches!(leaf, Leaf::Link(_))).then_some(*mode);
            let (leaf, mtime) = (tree.content(leaf).clone(), Some(*mtime));
            (path, Node { leaf, mode, mtime })
        })
        .collect()
}

fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// The parent directories of a path, innermost first.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(path), |path| parent(path))
}

fn parent(path: &str) -> Option<&str> {
    Some(path.rsplit_once('/')?.0)
}
