//! Output files of the user: written atomically.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::OFlags;
use tljournal::Error;
use tljournal::disk::{Dir, Disk};

use crate::failure::Failure;
use crate::safe::Safe;
use crate::session::Session;

/// The name of standard output.
pub(crate) const STDOUT: &str = "-";

/// The intended owner of a file that root writes.
#[derive(Debug, Clone, Copy)]
enum Audience {
    /// The owner of the project that it describes, if that is not root.
    Only(Option<u32>),
    Everyone,
}

/// Writes a file atomically, readable only by its owner, because it describes the project. Returns its size in bytes.
/// A link is replaced, not followed; an open descriptor (`/dev/stdout`, `/dev/fd/3`), a terminal or `/dev/null` is
/// written to directly. If this process is root, the file belongs to the owner of the project if that user owns the
/// directory or the replaced file.
pub(crate) fn write(
    session: &Session,
    path: &Utf8Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u64, Failure> {
    let failed = |source| Failure::io(told(path), source);
    make(session, path, |out| fill(out).map_err(failed))
}

/// The same, readable by everyone as the umask permits.
pub(crate) fn write_public(
    path: &Utf8Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u64, Failure> {
    let failed = |source| Failure::io(told(path), source);
    make_with((0o666, Audience::Everyone), path, |out| {
        fill(out).map_err(failed)
    })
}

/// Writes a file as [`write()`] does, for a writer that can fail in other ways.
pub(crate) fn make(
    session: &Session,
    path: &Utf8Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let home = session.home_if_found();
    let owner = home.and_then(|home| std::fs::metadata(home).ok());
    let owner = owner.map(|home| home.uid()).filter(|uid| *uid != 0);
    make_with((0o600, Audience::Only(owner)), path, fill)
}

fn make_with(
    (mode, audience): (u32, Audience),
    path: &Utf8Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let what = told(path);
    let failed = |source| Failure::io(&what, source);
    if path == STDOUT {
        let stdout = io::stdout().lock();
        let out: Box<dyn Write> = match stdout.is_terminal() {
            true => Box::new(Safe::text(stdout)),
            false => Box::new(stdout),
        };
        let out = Counted::new(out);
        return match filled(out, &what, fill) {
            // A reader that is gone has read enough.
            Err(failure) if went_away(&failure) => Ok(0),
            done => Ok(done?.bytes),
        };
    }
    if is_journals_own(path) {
        let shown = path.as_str().escape_debug();
        return Err(Failure::Usage(format!(
            "`{shown}` is one of the journal's own files"
        )));
    }
    if is_given(path) {
        let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        return Ok(filled(Counted::new(file), &what, fill)?.bytes);
    }
    // The rest uses this handle, because the directory at the path may be replaced meanwhile.
    let (dir, name) = Dir::above_named(path, &Disk::default()).map_err(Error::from)?;
    let held = Utf8PathBuf::from(format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd()));
    let path = held.join(name);
    if let Some(file) = device(&path).map_err(failed)? {
        return Ok(filled(Counted::new(file), &what, fill)?.bytes);
    }
    let file = tempfile::Builder::new()
        .prefix(".unfinished-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
        .tempfile_in(&held)
        .map_err(failed)?;
    let out = filled(Counted::new(file), &what, fill)?;
    let file = out.inner.as_file();
    give(file, audience, (&held, &path)).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    out.inner
        .persist(&path)
        .map_err(|error| failed(error.error))?;
    Ok(out.bytes)
}

/// A directory in which no other user can replace a temporary file: that of an output file, or `None` for the system's
/// temporary directory.
pub(crate) fn scratch_beside(path: &Utf8Path) -> Result<Option<Utf8PathBuf>, Failure> {
    let disk = Disk::default();
    let (dir, _) = Dir::above_named(path, &disk).map_err(Error::from)?;
    let dir = dir.real_path().map_err(Error::from)?;
    let is_safe = !rustix::process::geteuid().is_root() || disk.only_root_changes(&dir);
    Ok(is_safe.then_some(dir))
}

/// Gives root's new file to the owner of the file that it replaces, or of its directory, if that is the intended one.
fn give(file: &File, audience: Audience, at: (&Utf8Path, &Utf8Path)) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let replaced = std::fs::symlink_metadata(at.1).ok();
    let replaced = replaced.filter(std::fs::Metadata::is_file);
    let candidates = [replaced, Some(std::fs::metadata(at.0)?)];
    let may_have = |uid| match audience {
        Audience::Only(owner) => owner == Some(uid),
        Audience::Everyone => true,
    };
    let mut candidates = candidates.into_iter().flatten();
    match candidates.find(|owner| may_have(owner.uid())) {
        Some(owner) if owner.uid() != 0 => {
            std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))
        }
        _ => Ok(()),
    }
}

/// Whether a path names an open descriptor of this process.
fn is_given(path: &Utf8Path) -> bool {
    let in_proc = ["/dev/fd", "/proc/self/fd"].map(Utf8Path::new);
    ["/dev/stdout", "/dev/stderr"].contains(&path.as_str())
        || path.parent().is_some_and(|dir| in_proc.contains(&dir))
}

/// Opens a character device, if the path leads to one: it is written to directly.
fn device(path: &Utf8Path) -> io::Result<Option<File>> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(_) => return Ok(None),
    };
    match () {
        () if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        () if found.is_file() || found.is_symlink() => Ok(None),
        () if found.is_char_device() => {
            let flags = OFlags::NOFOLLOW | OFlags::NOCTTY;
            let device = OpenOptions::new()
                .write(true)
                .custom_flags(flags.bits().cast_signed())
                .open(path);
            device.map(Some)
        }
        // A fifo could be read by any user.
        () => Err(io::Error::other(
            "it is neither a file nor a terminal; name a file, or `-` for standard output",
        )),
    }
}

/// The operation, for errors.
fn told(path: &Utf8Path) -> String {
    match path.as_str() {
        STDOUT => "write to standard output".to_owned(),
        path => format!("write `{}`", path.escape_debug()),
    }
}

/// Refuses two outputs on standard output.
pub(crate) fn refuse_mixed(path: &Utf8Path, json: bool) -> Result<(), Failure> {
    match json && path == STDOUT {
        true => Err(Failure::Usage(
            "--json and a file on standard output do not go together; name a file".to_owned(),
        )),
        false => Ok(()),
    }
}

/// Whether a path, or its target, is the database or in the journal's own directory.
fn is_journals_own(path: &Utf8Path) -> bool {
    let is_own = |path: &Utf8Path| {
        path.components().any(|part| {
            let part = part.as_str();
            part == ".state" || part.starts_with(".state.db")
        })
    };
    let real = path.canonicalize_utf8();
    let parent = path.parent().map(Utf8Path::canonicalize_utf8);
    is_own(path)
        || real.is_ok_and(|real| is_own(&real))
        || parent.is_some_and(|parent| parent.is_ok_and(|parent| is_own(&parent)))
}

/// A writer that counts bytes.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W> Counted<W> {
    fn new(inner: W) -> Self {
        Self { inner, bytes: 0 }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn filled<W: Write>(
    out: Counted<W>,
    what: &str,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<Counted<W>, Failure> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let done = fill(&mut out);
    let done = done.and_then(|()| out.flush().map_err(|source| Failure::io(what, source)));
    // After a failure the rest of the buffer must not be written again on drop.
    let (out, _) = out.into_parts();
    done.map(|()| out)
}

fn went_away(failure: &Failure) -> bool {
    let system = failure.system();
    system.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
