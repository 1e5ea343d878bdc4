//! Files that the user asks for: whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use camino::Utf8Path;
use rustix::fs::OFlags;

use crate::failure::Failure;
use crate::safe::Safe;

/// Names standard output.
pub(crate) const STDOUT: &str = "-";

/// Writes a file that appears when it is whole, and that only its owner may read: it tells what happened in the
/// project. Says how many bytes it has. A link is replaced and not followed; what this process was given open
/// (`/dev/stdout`, `/dev/fd/3`), and a terminal or `/dev/null`, is written as it is.
pub(crate) fn write(
    path: &Utf8Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u64, Failure> {
    let failed = |source| Failure::io(told(path), source);
    make(path, |out| fill(out).map_err(failed))
}

/// The same for what everybody may read, as far as the umask lets them.
pub(crate) fn write_public(
    path: &Utf8Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u64, Failure> {
    let failed = |source| Failure::io(told(path), source);
    make_with(0o666, path, |out| fill(out).map_err(failed))
}

/// Writes a file as [`write()`] does, where more may go wrong than writing.
pub(crate) fn make(
    path: &Utf8Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    make_with(0o600, path, fill)
}

fn make_with(
    mode: u32,
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
            // A reader that went away has what it wanted.
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
    if let Some(file) = as_it_is(path).map_err(failed)? {
        return Ok(filled(Counted::new(file), &what, fill)?.bytes);
    }
    let dir = path.parent().filter(|dir| !dir.as_str().is_empty());
    let file = tempfile::Builder::new()
        .prefix(".unfinished-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
        .tempfile_in(dir.unwrap_or(Utf8Path::new(".")))
        .map_err(failed)?;
    let out = filled(Counted::new(file), &what, fill)?;
    out.inner.as_file().sync_all().map_err(failed)?;
    out.inner
        .persist(path)
        .map_err(|error| failed(error.error))?;
    Ok(out.bytes)
}

/// Opens what is not replaced by a file, if a path leads to that: what this process has open already, or a device that
/// takes a stream of characters.
fn as_it_is(path: &Utf8Path) -> io::Result<Option<File>> {
    let open = || OpenOptions::new().write(true).open(path).map(Some);
    let given = ["/dev/stdout", "/dev/stderr"].contains(&path.as_str());
    let in_proc = ["/dev/fd", "/proc/self/fd"].map(Utf8Path::new);
    if given || path.parent().is_some_and(|dir| in_proc.contains(&dir)) {
        return open();
    }
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
        // What is a fifo in one moment can be read by anybody in the next.
        () => Err(io::Error::other(
            "it is neither a file nor a terminal; name a file, or `-` for standard output",
        )),
    }
}

/// What is being done.
fn told(path: &Utf8Path) -> String {
    match path.as_str() {
        STDOUT => "write to standard output".to_owned(),
        path => format!("write `{}`", path.escape_debug()),
    }
}

/// Refuses that two things go to standard output.
pub(crate) fn refuse_mixed(path: &Utf8Path, json: bool) -> Result<(), Failure> {
    match json && path == STDOUT {
        true => Err(Failure::Usage(
            "--json and a file on standard output do not go together; name a file".to_owned(),
        )),
        false => Ok(()),
    }
}

/// Whether a path, or what it leads to, is the database or in the journal's own directory.
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

/// What is written to, and how much was.
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
    // What is left of something that failed would be tried again when the buffer goes.
    let (out, _) = out.into_parts();
    done.map(|()| out)
}

fn went_away(failure: &Failure) -> bool {
    let system = failure.system();
    system.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
