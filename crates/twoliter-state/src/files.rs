//! Small files that other programs read: they are replaced atomically, and not touched when nothing changes.

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::{Expect, Payload};

use crate::{Error, State};

/// The project's lock file. `build/` may be on another filesystem; this file is outside of it.
pub const LOCK_FILE: &str = "Twoliter.lock";

/// The metadata of the kits. Cargo rebuilds about 120 packages when its mtime changes.
pub const EXTERNAL_KIT_METADATA: &str = "build/external-kits/external-kit-metadata.json";

/// The output of `cargo metadata` for the project.
pub const CARGO_METADATA: &str = "build/metadata/cargo_metadata.json";

impl State {
    /// Opens the state of the project whose `Twoliter.toml` has this path.
    ///
    /// The directory is taken from the path itself: if the file is a link, as in Bazel's link farms, `build/` is next
    /// to the link.
    ///
    /// # Errors
    /// [`Error::Directory`] for a path that cannot be made absolute, and the errors of [`State::open`].
    pub fn open_beside(project_file: impl AsRef<Utf8Path>) -> Result<Self, Error> {
        Self::open(project_dir(project_file)?)
    }

    /// Writes a small file at a path below the project atomically; returns whether anything was changed.
    ///
    /// Equal content is not touched, so that inode and mtime stay and nothing is rebuilt. A new file has mode 0644; a
    /// replaced file keeps its mode and gets the current time as mtime.
    ///
    /// # Errors
    /// The errors of [`Transaction::put`](tljournal::Transaction::put) and of a commit: a conflict that names the
    /// path if it is a link.
    pub fn write_file(&self, path: &str, content: impl Into<Vec<u8>>) -> Result<bool, Error> {
        let mut txn = self.journal.begin(&format!("write {path}"));
        txn.put(path, Payload::from(content.into()), Expect::Any)?;
        Ok(txn.prepare()?.commit()?.changed_anything())
    }
}

/// The directory of a project from the path of its `Twoliter.toml`, without resolving links.
///
/// # Errors
/// [`Error::Directory`] when the current directory is unknown.
pub fn project_dir(project_file: impl AsRef<Utf8Path>) -> Result<Utf8PathBuf, Error> {
    let path = project_file.as_ref();
    let absolute = camino::absolute_utf8(path).map_err(|source| Error::Directory {
        path: path.to_owned(),
        source,
    })?;
    Ok(absolute.parent().unwrap_or(&absolute).to_owned())
}
