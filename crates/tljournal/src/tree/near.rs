use super::TreeError;
use super::look::unless_gone;
use crate::disk::Dir;

/// A cache of the directory that was opened last: entries are sorted by directory, so each directory is opened once
/// for all its entries.
#[derive(Debug, Default)]
pub(super) struct Near(Option<Held>);

#[derive(Debug)]
struct Held {
    root: Dir,
    path: String,
    /// `None` if it does not exist.
    dir: Option<Dir>,
}

impl Near {
    /// The directory of an entry and its name in it; `None` if the directory does not exist.
    pub(super) fn of<'a, 'p>(
        &'a mut self,
        root: &'a Dir,
        path: &'p str,
    ) -> Result<Option<(&'a Dir, &'p str)>, TreeError> {
        let Some((parent, name)) = path.rsplit_once('/') else {
            return Ok(Some((root, path)));
        };
        let is_it = |held: &&Held| held.path == parent && held.root.is_same_handle(root);
        if self.0.as_ref().filter(is_it).is_none() {
            self.0 = Some(Held {
                root: root.clone(),
                path: parent.to_owned(),
                dir: unless_gone(root.open_dir(parent))?,
            });
        }
        let dir = self.0.as_ref().and_then(|held| held.dir.as_ref());
        Ok(dir.map(|dir| (dir, name)))
    }
}
