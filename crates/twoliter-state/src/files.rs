//! Small files that others trust: replaced whole, and untouched when nothing changes.

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::{Expect, Payload};

use crate::{Error, State};

/// The project's lock file. A file system of its own may be mounted at `build/`: this one lies outside.
pub const LOCK_FILE: &str = "Twoliter.lock";

/// What the kits contain. Cargo builds about 120 packages anew whenever its mtime changes.
pub const EXTERNAL_KIT_METADATA: &str = "build/external-kits/external-kit-metadata.json";

/// What `cargo metadata` says of the project.
pub const CARGO_METADATA: &str = "build/metadata/cargo_metadata.json";

impl State {
    /// Opens the state of the project whose `Twoliter.toml` has this path.
    ///
    /// The directory is the one that the path names: if the file is a link, as in the link farms of Bazel,
    /// `build/` lies beside the link.
    ///
    /// # Errors
    /// [`Error::Directory`] for a path that cannot be made absolute, and as for [`State::open`].
    pub fn open_beside(project_file: impl AsRef<Utf8Path>) -> Result<Self, Error> {
        Self::open(project_dir(project_file)?)
    }

    /// Puts a small file at a path below the project, whole or not at all; says whether anything was changed.
    ///
    /// Equal content is not touched, so that inode and mtime stay and nothing is built anew. A new file has
    /// mode 0644, one that is replaced gives its mode to the new one, whose mtime is now.
    ///
    /// # Errors
    /// As for [`Transaction::put`](tljournal::Transaction::put) and a commit: a conflict that names it if the
    /// file is a link.
    pub fn write_file(&self, path: &str, content: impl Into<Vec<u8>>) -> Result<bool, Error> {
        let mut txn = self.journal.begin(&format!("write {path}"));
        txn.put(path, Payload::from(content.into()), Expect::Any)?;
        Ok(txn.prepare()?.commit()?.changed_anything())
    }
}

/// The directory of a project by the path of its `Twoliter.toml`, which is not resolved.
///
/// # Errors
/// [`Error::Directory`] when the current directory is not known.
pub fn project_dir(project_file: impl AsRef<Utf8Path>) -> Result<Utf8PathBuf, Error> {
    let path = project_file.as_ref();
    let absolute = camino::absolute_utf8(path).map_err(|source| Error::Directory {
        path: path.to_owned(),
        source,
    })?;
    Ok(absolute.parent().unwrap_or(&absolute).to_owned())
}
