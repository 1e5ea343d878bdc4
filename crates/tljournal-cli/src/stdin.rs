//! Standard input as content: it is read completely, or the command is refused, so that nothing is replaced by an
//! empty file.

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use camino::Utf8Path;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::failure::Failure;

/// The device numbers of `/dev/null`.
const NULL: (u32, u32) = (1, 3);

/// Standard input, unbuffered and with every error reported: the standard library treats a descriptor that is not
/// open for reading as empty.
#[derive(Debug)]
pub(crate) struct Stdin {
    file: File,
    /// Its metadata before reading, if it is a regular file, which may change meanwhile.
    before: Option<Metadata>,
}

impl Stdin {
    /// Opens standard input for reading to its end.
    pub(crate) fn open() -> Result<Self, Failure> {
        check()?;
        let failed = |source| Failure::io("read standard input", source);
        let file = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
        let meta = file.metadata().map_err(failed)?;
        if io::stdin().is_terminal() {
            tracing::warn!("reading from the terminal; end the input with Ctrl-D");
        }
        let before = meta.is_file().then_some(meta);
        Ok(Self { file, before })
    }
}

impl Read for Stdin {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buf)?;
        if let (Some(before), true) = (&self.before, count == 0 && !buf.is_empty()) {
            let look = |it: &Metadata| {
                (
                    it.size(),
                    it.mtime(),
                    it.mtime_nsec(),
                    it.ctime(),
                    it.ctime_nsec(),
                )
            };
            if look(&self.file.metadata()?) != look(before) {
                return Err(io::Error::other("the file changed while it was read"));
            }
        }
        Ok(count)
    }
}

/// Refuses a standard input without content: a closed one, a directory, or one not open for reading.
pub(crate) fn check() -> Result<(), Failure> {
    let refuse = |what: &str| {
        let text = format!(
            "standard input {what}, so there is no content to read; name a file, or redirect the input from one (`< /dev/null` is empty)"
        );
        Err(Failure::Usage(text))
    };
    let flags = match rustix::fs::fcntl_getfl(io::stdin()) {
        Err(Errno::BADF) => return refuse("is closed"),
        told => told.map_err(|errno| Failure::io("inspect standard input", errno.into()))?,
    };
    let failed = |source| Failure::io("inspect standard input", source);
    let file = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
    let meta = file.metadata().map_err(failed)?;
    let device = (
        rustix::fs::major(meta.rdev()),
        rustix::fs::minor(meta.rdev()),
    );
    let is_null = meta.file_type().is_char_device() && device == NULL;
    match flags & OFlags::RWMODE {
        _ if meta.is_dir() => refuse("is a directory"),
        _ if flags.contains(OFlags::PATH) => refuse("is not open for reading"),
        OFlags::WRONLY => refuse("is not open for reading"),
        // A descriptor that was closed at the start is opened this way by the runtime: a shell opens it for reading
        // only.
        OFlags::RDWR if is_null => refuse("is closed"),
        _ => Ok(()),
    }
}

/// Whether a path is a name of standard input.
pub(crate) fn is_named(path: &Utf8Path) -> bool {
    ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].contains(&path.as_str())
}
