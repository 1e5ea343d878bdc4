use std::time::Duration;

use camino::Utf8Path;

use super::copy::read_draft;
use super::draft::root_mode;
use super::names;
use super::source::Fill;
use super::{Built, Tick, TreeError};
use crate::ambient;
use crate::disk::Dir;
use crate::model::{Kind, Stat};

/// The initial mode of the directory, which the caller may change.
const ROOT_MODE: u32 = 0o755;
/// A little more than one tick of a filesystem's clock.
const TICK: Duration = Duration::from_millis(24);

/// Lets the caller fill the empty directory `root`, and describes the directory that has its name afterwards, because
/// that is the one that is published.
pub(super) fn filled(fill: Fill, root: &Dir, tick: Tick<'_>) -> Result<Built, TreeError> {
    root.set_own_meta(ROOT_MODE, root.own_stat()?.mtime)?;
    let (above, path) = (root.parent()?, root.real_path()?);
    root.filled(|path| fill(path).map_err(|source| TreeError::Fill { source }))?;
    // A process that still writes now causes a later ctime than the ones read below.
    ambient::let_clock_advance(TICK);
    let (left, remade) = left(root, &above, &path)?;
    let root = remade.as_ref().unwrap_or(root);
    if root_mode(left.mode) != left.mode {
        root.set_own_meta(root_mode(left.mode), left.mtime)?;
    }
    let mut draft = read_draft(root, true, tick)?;
    if let Some(top) = draft.entries.first_mut() {
        top.mode = left.mode;
    }
    let mut built = draft.describe()?;
    built.read_attributes(root)?;
    Ok(Built { remade, ..built })
}

/// The `stat` of the directory afterwards, and a handle if it is not the given one: one that was removed and created
/// again, or moved there.
fn left(given: &Dir, above: &Dir, path: &Utf8Path) -> Result<(Stat, Option<Dir>), TreeError> {
    let name = path.file_name().unwrap_or_default();
    let refuse = |found| {
        let path = names::shown(path.as_str());
        Err(TreeError::Stage { path, found })
    };
    let held = given.own_stat()?;
    let Some(stat) = above.stat(name)? else {
        return refuse("missing");
    };
    match stat.kind {
        Kind::Dir => {}
        Kind::Link => return refuse("a link"),
        Kind::File => return refuse("a file"),
        Kind::Other => return refuse("a special file"),
    }
    if (stat.dev, stat.mount) != (held.dev, held.mount) {
        return refuse("another filesystem, which is mounted there");
    }
    if stat.identity == held.identity {
        return Ok((stat, None));
    }
    if root_mode(stat.mode) != stat.mode {
        above.set_dir_mode(name, root_mode(stat.mode))?;
    }
    let remade = above.open_dir(name)?;
    match remade.own_stat()?.identity == stat.identity {
        true => Ok((stat, Some(remade))),
        false => Err(TreeError::changed(name)),
    }
}
