//! Files outside of the project, which must not change.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The content of root's private file.
const SECRET: &str = "private-to-root-4711";

/// A directory of root with a private file, a public one, and a directory.
pub(crate) struct Outside {
    pub(crate) dir: PathBuf,
    before: BTreeMap<PathBuf, String>,
}

impl Outside {
    pub(crate) fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir.join("dir/sub")).unwrap();
        let files = [
            ("secret", 0o600),
            ("public", 0o644),
            ("dir/f", 0o600),
            ("dir/sub/g", 0o600),
        ];
        for (path, mode) in files {
            let content = if path == "public" { "public" } else { SECRET };
            fs::write(dir.join(path), content).unwrap();
            fs::set_permissions(dir.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        let before = state_of(dir);
        Self {
            dir: dir.to_owned(),
            before,
        }
    }

    /// A change, if there is one.
    pub(crate) fn has_changed(&self) -> Option<String> {
        let now = state_of(&self.dir);
        let differs = now
            .iter()
            .find(|(path, state)| self.before.get(*path) != Some(state));
        let gone = self.before.keys().find(|path| !now.contains_key(*path));
        let text = |(path, now): (&PathBuf, &String)| format!("{} is {now} now", path.display());
        differs
            .map(text)
            .or(gone.map(|path| format!("{} is gone", path.display())))
    }
}

/// Content, mode, owner and mtime of everything below a directory.
fn state_of(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut states = BTreeMap::new();
    walk(dir, &mut |path, meta| {
        let content = if meta.is_file() {
            fs::read(path).unwrap()
        } else {
            Vec::new()
        };
        let (mode, uid, gid, mtime) = (meta.mode(), meta.uid(), meta.gid(), meta.mtime_nsec());
        let content = String::from_utf8_lossy(&content).into_owned();
        states.insert(
            path.to_owned(),
            format!("{mode:o} {uid}:{gid} {mtime} {content:?}"),
        );
    });
    states
}

/// Calls `visit` with everything below a directory, without leaving it through links or mounts.
pub(crate) fn walk(dir: &Path, visit: &mut dyn FnMut(&Path, &fs::Metadata)) {
    let Ok(meta) = fs::symlink_metadata(dir) else {
        return;
    };
    visit(dir, &meta);
    if meta.is_dir()
        && let Ok(entries) = fs::read_dir(dir)
    {
        for entry in entries.flatten() {
            walk(&entry.path(), visit);
        }
    }
}

/// A file in the project that gives a privilege away, if there is one: a set-id file other than the vandal's, or one
/// with content that only root may read.
pub(crate) fn given_away(project: &Path, set_id: Option<(u64, u32)>) -> Option<String> {
    let mut found = None;
    walk(project, &mut |path, meta| {
        if !meta.is_file() || found.is_some() {
            return;
        }
        let own = Some((meta.ino(), meta.uid()));
        if meta.mode() & 0o6000 != 0 && own != set_id {
            found = Some(format!("{} has the mode {:o}", path.display(), meta.mode()));
        }
        // A hard link to root's own file is the vandal's work, and stays inaccessible.
        let is_private = meta.uid() == 0 && meta.mode() & 0o077 == 0;
        if !is_private
            && meta.len() < 1 << 24
            && fs::read(path).is_ok_and(|content| contains(&content, SECRET.as_bytes()))
        {
            found = Some(format!("{} holds what only root may read", path.display()));
        }
    });
    found
}

fn contains(content: &[u8], part: &[u8]) -> bool {
    content.windows(part.len()).any(|window| window == part)
}
