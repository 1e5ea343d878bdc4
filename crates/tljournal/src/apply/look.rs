use rustix::io::Errno;

use super::decide::Shape;
use super::finish::parent_at;
use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::out_name;
use crate::model::{Change, Stat, TxnId};

/// How something on disk relates to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Seen {
    /// Nothing is there.
    Absent,
    /// The content that the expectation was checked against, unchanged.
    Pre,
    /// The new content, recognized by its inode, edited since or not.
    New,
    /// Anything else: the work of another program.
    Other,
}

impl Seen {
    pub(super) fn classify(change: &Change, stat: Option<&Stat>) -> Self {
        match stat {
            None => Self::Absent,
            Some(stat) if change.new.is_some_and(|new| new.is_same_inode(stat)) => Self::New,
            Some(stat) if change.pre.is_some_and(|pre| pre.is_untouched(stat)) => Self::Pre,
            Some(_) => Self::Other,
        }
    }
}

/// The observed state of one change, with the handles for the next step.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) target: Seen,
    pub(super) spot: Seen,
    /// The content at the third name, between the renames that replace an exchange.
    pub(super) out: Seen,
    /// The directory of the target; `None` if it is missing.
    pub(super) parent: Option<Dir>,
    /// The directory of the staging slot, and the name there; `None` if it is missing.
    pub(super) spot_at: Option<(Dir, String)>,
}

impl Evidence {
    pub(super) fn look(engine: &Engine, id: TxnId, change: &Change) -> Result<Self, Error> {
        let parent = parent_at(engine, &change.place)?;
        let spot_at = engine.home.spot(id, change)?;
        let mut evidence = Self {
            target: Seen::Absent,
            spot: Seen::Absent,
            out: Seen::Absent,
            parent,
            spot_at,
        };
        evidence.look_again(change)?;
        Ok(evidence)
    }

    pub(super) fn look_again(&mut self, change: &Change) -> Result<(), Error> {
        let look = |dir: &Dir, name: &str| match dir.stat(name) {
            Ok(stat) => Ok(Seen::classify(change, stat.as_ref())),
            Err(error) if error.is(Errno::NOTDIR) => Ok(Seen::Absent),
            Err(error) => Err(error),
        };
        if let Some(parent) = &self.parent {
            self.target = look(parent, change.place.path.name())?;
        }
        if let Some((dir, name)) = &self.spot_at {
            self.spot = look(dir, name)?;
            if shape(change) == Some(Shape::Replace) {
                self.out = look(dir, &out_name(name))?;
            }
        }
        Ok(())
    }
}

/// The kind of a change as far as renames are concerned; `None` if it makes none.
pub(super) fn shape(change: &Change) -> Option<Shape> {
    use crate::model::Op;
    if matches!(change.op, Op::Parent | Op::Adopt | Op::Fill | Op::Dir) {
        return None;
    }
    match (&change.pre, &change.new) {
        (None, Some(_)) => Some(Shape::Create),
        (Some(_), Some(_)) => Some(Shape::Replace),
        (Some(_), None) => Some(Shape::Remove),
        (None, None) => None,
    }
}
