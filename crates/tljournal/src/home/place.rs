use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::Errno;

use super::Home;
use super::layout::{BESIDE_PREFIX, OWN_PREFIX, relative};
use crate::disk::{Dir, DiskError};
use crate::error::{Conflict, ConflictKind, Error, UsageError};
use crate::model::{Anchor, Identity, Kind, Place, RelPath, Stat};

/// The parent directory of a place.
#[derive(Debug)]
pub(crate) enum Parent {
    /// It exists.
    There(Dir),
    /// It must be created: the deepest existing directory, its path (`None` for the anchor), and the paths to create,
    /// outermost first.
    Missing {
        nearest: Dir,
        nearest_path: Option<RelPath>,
        missing: Vec<RelPath>,
    },
}

/// The position of the home relative to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Position {
    /// It is the root.
    Same,
    /// It is at this path below the root.
    Below(RelPath),
    /// It is not below the root.
    Elsewhere,
}

/// Maps paths of the caller to places of the engine.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    position: Position,
    territory: Vec<RelPath>,
    /// The home's path, for places that are not below the root.
    home: Utf8PathBuf,
}

impl Map {
    /// The map of a root and a home at these absolute paths.
    pub(crate) fn new(
        root: (&Utf8Path, Identity),
        home: (&Utf8Path, Identity),
        territory: Vec<RelPath>,
    ) -> Self {
        let position = match relative(root.0, home.0) {
            _ if root.1 == home.1 => Position::Same,
            Some(path) => Position::Below(path),
            None => Position::Elsewhere,
        };
        Self {
            position,
            territory,
            home: home.0.to_owned(),
        }
    }

    /// The place of a path of the caller.
    ///
    /// # Errors
    /// A usage error when it is outside the territory or is one of the journal's own files.
    pub(crate) fn place(&self, path: &RelPath) -> Result<Place, Error> {
        if !self.territory.is_empty() && !self.territory.iter().any(|own| path.is_within(own)) {
            let territory: Vec<_> = self
                .territory
                .iter()
                .map(|own| format!("`{own}`"))
                .collect();
            return Err(UsageError::Territory {
                path: path.as_str().escape_debug().to_string(),
                territory: territory.join(", "),
            }
            .into());
        }
        let reserved = || Err(reserved(path));
        let place = match &self.position {
            Position::Same => Place {
                anchor: Anchor::Home,
                path: path.clone(),
            },
            Position::Below(home) if home.is_within(path) => return reserved(),
            Position::Below(home) => match path.below(home) {
                Some(inside) => Place {
                    anchor: Anchor::Home,
                    path: inside,
                },
                None => Place {
                    anchor: Anchor::Root,
                    path: path.clone(),
                },
            },
            Position::Elsewhere => Place {
                anchor: Anchor::Root,
                path: path.clone(),
            },
        };
        if place.anchor == Anchor::Home && is_own(&place.path) {
            return reserved();
        }
        if path
            .as_str()
            .split('/')
            .any(|part| part.starts_with(BESIDE_PREFIX))
        {
            return reserved();
        }
        Ok(place)
    }

    /// Whether this opener may change a recorded place.
    pub(crate) fn may_touch(&self, place: &Place) -> bool {
        match self.path_from_root(place) {
            Some(path) => self.place(&path).is_ok_and(|allowed| allowed == *place),
            None => self.territory.is_empty() && !place.path.as_str().starts_with(OWN_PREFIX),
        }
    }

    /// Whether a place is a directory above something that this opener may change.
    pub(crate) fn is_above_territory(&self, place: &Place) -> bool {
        let path = self.path_from_root(place);
        path.is_some_and(|path| self.territory.iter().any(|own| own.is_within(&path)))
    }

    /// The path of a place, as the caller knows it.
    pub(crate) fn shown(&self, place: &Place) -> String {
        match self.path_from_root(place) {
            Some(path) => path.to_string(),
            None => self.home.join(place.path.as_str()).to_string(),
        }
    }

    fn path_from_root(&self, place: &Place) -> Option<RelPath> {
        match (place.anchor, &self.position) {
            (Anchor::Root, _) | (Anchor::Home, Position::Same) => Some(place.path.clone()),
            (Anchor::Home, Position::Below(home)) => home.join(place.path.as_str()).ok(),
            (Anchor::Home, Position::Elsewhere) => None,
        }
    }
}

impl Home {
    /// The place of a path of the caller; see [`Map::place`]. A path in the home has one place, whichever path leads
    /// to it.
    pub(crate) fn place(&self, path: &RelPath) -> Result<Place, Error> {
        let place = self.map.place(path)?;
        if place.anchor == Anchor::Home {
            return Ok(place);
        }
        for above in path.ancestors() {
            match self.root.stat(above.as_str()) {
                Ok(Some(stat)) if is_same(&stat, &self.home_stat) => {
                    let inside = path.below(&above).filter(|inside| !is_own(inside));
                    let path = inside.ok_or_else(|| reserved(path))?;
                    return Ok(Place {
                        anchor: Anchor::Home,
                        path,
                    });
                }
                Ok(Some(stat)) if is_same(&stat, &self.state_stat) => return Err(reserved(path)),
                // A link or a file is on the way; opening it gives a better error.
                Ok(_) | Err(_) => {}
            }
        }
        self.refuse_above(path)?;
        Ok(place)
    }

    /// Refuses a directory above the home, whichever path leads to it.
    fn refuse_above(&self, path: &RelPath) -> Result<(), Error> {
        let Ok(Some(target)) = self.root.stat(path.as_str()) else {
            return Ok(());
        };
        if target.kind != Kind::Dir {
            return Ok(());
        }
        let mut at = self.dir.clone();
        let mut below = self.home_stat;
        loop {
            at = at.parent()?;
            let stat = at.own_stat()?;
            if is_same(&stat, &target) {
                return Err(reserved(path));
            }
            // The top directory is its own parent.
            if is_same(&stat, &below) || is_same(&stat, &self.root_stat) {
                return Ok(());
            }
            below = stat;
        }
    }

    /// Whether this opener may change a recorded place. A path in the home has one place; a row that names it
    /// otherwise is not valid.
    pub(crate) fn may_touch(&self, place: &Place) -> bool {
        self.map.may_touch(place)
            && (place.anchor == Anchor::Home
                || self.place(&place.path).is_ok_and(|own| own == *place))
    }

    /// See [`Map::is_above_territory`].
    pub(crate) fn is_above_territory(&self, place: &Place) -> bool {
        self.map.is_above_territory(place)
    }

    /// The path of a place, as the caller knows it.
    pub(crate) fn shown(&self, place: &Place) -> String {
        self.map.shown(place)
    }

    /// The directory that paths with this anchor are relative to.
    pub(crate) fn anchor(&self, anchor: Anchor) -> &Dir {
        match anchor {
            Anchor::Home => &self.dir,
            Anchor::Root => &self.root,
        }
    }

    /// Opens the parent directory of a place, without following links and never inside the journal's own files.
    pub(crate) fn parent(&self, place: &Place) -> Result<Parent, Error> {
        let anchor = self.anchor(place.anchor);
        let Some(parent) = place.path.parent() else {
            self.refuse_own(anchor, place)?;
            return Ok(Parent::There(anchor.clone()));
        };
        let mut missing = Vec::new();
        for path in parent.ancestors() {
            match anchor.open_dir(path.as_str()) {
                Ok(dir) => {
                    self.refuse_own(&dir, place)?;
                    if missing.is_empty() {
                        return Ok(Parent::There(dir));
                    }
                    missing.reverse();
                    return Ok(Parent::Missing {
                        nearest: dir,
                        nearest_path: Some(path),
                        missing,
                    });
                }
                Err(error) if error.is(Errno::NOENT) => missing.push(path),
                Err(error) => return Err(self.explain(place, error)),
            }
        }
        missing.reverse();
        Ok(Parent::Missing {
            nearest: anchor.clone(),
            nearest_path: None,
            missing,
        })
    }

    /// Refuses a directory of the journal itself, whichever path led to it.
    fn refuse_own(&self, parent: &Dir, place: &Place) -> Result<(), Error> {
        let stat = parent.own_stat()?;
        let own_name = place.path.name().starts_with(OWN_PREFIX);
        match is_same(&stat, &self.state_stat) || (is_same(&stat, &self.home_stat) && own_name) {
            true => Err(reserved(&place.path)),
            false => Ok(()),
        }
    }

    /// Names the component that is a link or not a directory, if that is why a path could not be opened.
    fn explain(&self, place: &Place, error: DiskError) -> Error {
        if !(error.is(Errno::LOOP) || error.is(Errno::NOTDIR)) {
            return error.into();
        }
        let anchor = self.anchor(place.anchor);
        let mut outermost_first: Vec<_> = place.path.ancestors().collect();
        outermost_first.reverse();
        for path in outermost_first {
            let shown = || {
                self.map.shown(&Place {
                    anchor: place.anchor,
                    path: path.clone(),
                })
            };
            let kind = match anchor.stat(path.as_str()) {
                Ok(Some(stat)) if stat.kind == Kind::Dir => continue,
                Ok(Some(stat)) if stat.kind == Kind::Link => ConflictKind::Link { link: shown() },
                Ok(Some(_)) => ConflictKind::NotADirectory { path: shown() },
                Ok(None) | Err(_) => break,
            };
            return Conflict::at(self.map.shown(place), kind).into();
        }
        error.into()
    }
}

fn is_same(one: &Stat, two: &Stat) -> bool {
    one.identity == two.identity && one.dev == two.dev
}

/// Whether a path in the home is one of the journal's own files.
fn is_own(inside: &RelPath) -> bool {
    inside.as_str().starts_with(OWN_PREFIX)
}

fn reserved(path: &RelPath) -> Error {
    UsageError::Reserved {
        path: path.as_str().escape_debug().to_string(),
    }
    .into()
}
