use std::time::Duration;

use super::copy::read_draft;
use super::draft::root_mode;
use super::source::Fill;
use super::{Built, Tick, TreeError};
use crate::ambient;
use crate::disk::Dir;

/// The mode of the directory that is to be filled, unless who fills it gives it another.
const ROOT_MODE: u32 = 0o755;
/// One tick of a filesystem's clock, and a little more.
const TICK: Duration = Duration::from_millis(24);

/// Has the empty directory `root` filled by the caller, and describes what came of it.
pub(super) fn filled(fill: Fill, root: &Dir, tick: Tick<'_>) -> Result<Built, TreeError> {
    root.set_own_meta(ROOT_MODE, root.own_stat()?.mtime)?;
    let path = root.real_path()?;
    root.filled_by_root(|| fill(&path).map_err(|source| TreeError::Fill { source }))?;
    // Whoever was left behind and still writes shows by a later ctime than what is read now.
    ambient::let_clock_advance(TICK);
    let left = root.own_stat()?;
    if root_mode(left.mode) != left.mode {
        root.set_own_meta(root_mode(left.mode), left.mtime)?;
    }
    let mut draft = read_draft(root, tick)?;
    if let Some(top) = draft.entries.first_mut() {
        top.mode = left.mode;
    }
    let mut built = draft.describe()?;
    built.read_attributes(root)?;
    Ok(built)
}
