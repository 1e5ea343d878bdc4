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

/// The mode of the directory that is to be filled, unless who fills it gives it another.
const ROOT_MODE: u32 = 0o755;
/// One tick of a filesystem's clock, and a little more.
const TICK: Duration = Duration::from_millis(24);

/// Has the empty directory `root` filled by the caller, and describes what came of it: what has the name of
/// the directory afterwards, be it another one, because that is what is going to be published.
pub(super) fn filled(fill: Fill, root: &Dir, tick: Tick<'_>) -> Result<Built, TreeError> {
    root.set_own_meta(ROOT_MODE, root.own_stat()?.mtime)?;
    let (above, path) = (root.parent()?, root.real_path()?);
    root.filled_by_root(|| fill(&path).map_err(|source| TreeError::Fill { source }))?;
    // Whoever was left behind and still writes shows by a later ctime than what is read now.
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

/// What the directory was left as, and a handle to it if it is another one than was given: one that was removed
/// and made again, or moved there.
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
