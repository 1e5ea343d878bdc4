//! Files that the user asks for: whole or not at all.

use std::io::{self, BufWriter, Write};

use camino::Utf8Path;

use crate::failure::Failure;

/// Names standard output.
pub(crate) const STDOUT: &str = "-";

/// Writes a file that appears when it is whole; says how many bytes it has. What is no regular file (a
/// pipe, a terminal) is written as it is.
pub(crate) fn write(
    path: &Utf8Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u64, Failure> {
    let shown = path.as_str().escape_debug();
    let failed = |source| Failure::io(format!("write `{shown}`"), source);
    if path == STDOUT {
        let out = Counted::new(io::stdout().lock());
        return match filled(out, fill) {
            // A reader that went away has what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            done => Ok(done
                .map_err(|source| Failure::io("write to standard output", source))?
                .bytes),
        };
    }
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
        Ok(meta) if !meta.is_file() => {
            let file = std::fs::OpenOptions::new().write(true).open(path);
            let out = Counted::new(file.map_err(failed)?);
            return Ok(filled(out, fill).map_err(failed)?.bytes);
        }
        _ => {}
    }
    let dir = path.parent().filter(|dir| !dir.as_str().is_empty());
    let file = tempfile::Builder::new()
        .prefix(".unfinished-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(dir.unwrap_or(Utf8Path::new(".")))
        .map_err(failed)?;
    let out = filled(Counted::new(file), fill).map_err(failed)?;
    out.inner.as_file().sync_all().map_err(failed)?;
    out.inner
        .persist(path)
        .map_err(|error| failed(error.error))?;
    Ok(out.bytes)
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
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Counted<W>> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    fill(&mut out)?;
    out.flush()?;
    let (out, _) = out.into_parts();
    Ok(out)
}
