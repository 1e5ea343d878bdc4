//! The user's own files: what is read for put, apply and install. Nothing is written here.

#![allow(
    clippy::disallowed_methods,
    reason = "these are the caller's files, which are outside the journal and are only read"
)]

use std::fs;
use std::io::{self, Read};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::disk::{Disk, Source};
use tljournal::{Error, Payload, TreeSource};

use crate::failure::Failure;
use crate::progress::Progress;
use crate::stdin::{self, Stdin};

/// The largest description, in bytes.
pub(crate) const DESCRIPTION_BYTES_MAX: u64 = 64 << 20;

/// The meaning of a name on the command line.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// `-`: standard input.
    Stdin,
    /// A path from the current directory.
    Path(Utf8PathBuf),
}

impl std::str::FromStr for Input {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "-" => Self::Stdin,
            path => Self::Path(path.into()),
        })
    }
}

impl Input {
    /// The text of a description.
    pub(crate) fn read_description(&self, wait: Option<Duration>) -> Result<Vec<u8>, Failure> {
        let (name, from): (_, Box<dyn Read>) = match self {
            Self::Stdin => ("standard input".to_owned(), Box::new(Stdin::open()?)),
            Self::Path(path) => (
                format!("`{}`", path.as_str().escape_debug()),
                open(path, wait)?,
            ),
        };
        let bytes =
            read_some(from).map_err(|source| Failure::io(format!("read {name}"), source))?;
        if bytes.len() as u64 > DESCRIPTION_BYTES_MAX {
            let limit = DESCRIPTION_BYTES_MAX >> 20;
            return Err(Failure::Usage(format!(
                "{name} is longer than {limit} MiB, which a description may not be; name large contents with `from`"
            )));
        }
        Ok(bytes)
    }

    /// The content of a file to put.
    pub(crate) fn payload(&self, progress: &Progress) -> Result<Payload, Failure> {
        match self {
            Self::Stdin => {
                let payload = Payload::reader(progress.counting(Stdin::open()?));
                payload.map_err(|source| Failure::io("read standard input", source))
            }
            Self::Path(path) => file_payload(path, progress),
        }
    }

    /// The source of a tree.
    pub(crate) fn tree(&self) -> Result<TreeSource, Failure> {
        match self {
            Self::Stdin => Ok(TreeSource::stream(Stdin::open()?)),
            Self::Path(path) => tree_source(path),
        }
    }
}

/// A file to put: a regular one is read by the journal, which recognizes it again; anything else that is readable (a
/// pipe, `/dev/stdin`) is a stream.
pub(crate) fn file_payload(path: &Utf8Path, progress: &Progress) -> Result<Payload, Failure> {
    let meta = look(path)?;
    if meta.is_file() {
        return Ok(Payload::file(path));
    }
    if meta.is_dir() {
        return Err(Failure::Usage(format!(
            "`{}` is a directory; `tljournal tree install` installs those",
            path.as_str().escape_debug()
        )));
    }
    let failed = |source| Failure::io(format!("read `{}`", path.as_str().escape_debug()), source);
    let payload = match Disk::default().open_source(path).map_err(Error::from)? {
        Source::File(file) => Payload::reader(progress.counting(file)),
        Source::Pipe(pipe) => Payload::reader(progress.counting(pipe)),
    };
    payload.map_err(failed)
}

/// The whole content of a small file.
pub(crate) fn content(path: &Utf8Path, wait: Option<Duration>) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    match open(path, wait)?.read_to_end(&mut content) {
        Ok(_) => Ok(content),
        Err(source) => {
            let shown = path.as_str().escape_debug();
            Err(Failure::io(format!("read `{shown}`"), source))
        }
    }
}

/// Opens a file or a pipe; reading a pipe waits for its writer.
fn open(path: &Utf8Path, wait: Option<Duration>) -> Result<Box<dyn Read>, Failure> {
    let _meta = look(path)?;
    Ok(
        match Disk::default().open_source(path).map_err(Error::from)? {
            Source::File(file) => Box::new(file),
            Source::Pipe(pipe) => Box::new(pipe.waits_at_most(wait)),
        },
    )
}

/// A directory or archive to install.
pub(crate) fn tree_source(path: &Utf8Path) -> Result<TreeSource, Failure> {
    let _meta = look(path)?;
    Ok(TreeSource::at(path))
}

/// The status of this process in `/proc`; empty if that is not mounted.
pub(crate) fn own_status() -> String {
    fs::read_to_string("/proc/self/status").unwrap_or_default()
}

/// Whether a path is a directory, or a link to one.
pub(crate) fn is_dir(path: &Utf8Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Whether a path exists.
pub(crate) fn exists(path: &Utf8Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Whether a path belongs to root, while this process does not run as root.
pub(crate) fn belongs_to_root_only(path: &Utf8Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let owner = |path| fs::metadata(path).map(|meta| meta.uid()).ok();
    owner(path.as_str()) == Some(0) && owner("/proc/self").is_some_and(|own| own != 0)
}

/// The owner of a path, if that is neither this user nor root.
pub(crate) fn owner_if_another(path: &Utf8Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let owner = |path| fs::symlink_metadata(path).map(|meta| meta.uid()).ok();
    let own = fs::metadata("/proc/self").map(|meta| meta.uid()).ok()?;
    owner(path.as_str()).filter(|owner| *owner != own && own != 0)
}

fn look(path: &Utf8Path) -> Result<fs::Metadata, Failure> {
    if stdin::is_named(path) {
        stdin::check()?;
    }
    let shown = path.as_str().escape_debug();
    match fs::metadata(path) {
        Err(error) if is_absent(&error) => Err(Failure::Usage(format!("there is no `{shown}`"))),
        found => found.map_err(|source| Failure::io(format!("look at `{shown}`"), source)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn read_some(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(DESCRIPTION_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
