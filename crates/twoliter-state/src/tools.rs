//! `build/tools`: the scripts and programs that are embedded in twoliter.
//!
//! The tree is exactly the payload, including times: programs and all directories have the mtime of
//! `build.Dockerfile` in the archive, because Docker compares size, mode and mtime to detect changed files. Upstream
//! installs on every run to repair any change of the directory; here every run verifies, and installs if anything
//! differs.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, OnceLock};

use camino::{Utf8Component, Utf8Path};
use tar::EntryType;
use tljournal::{
    ConflictKind, Digest, Durability, Installed, PopulateOptions, SourceEntry, Timestamp,
    TreeOptions, TreeSource, decoded,
};

use crate::digest::digest_of;
use crate::{Error, State};

/// The entry of the archive whose mtime is used for everything without an mtime of its own.
const DATES_THE_REST: &str = "build.Dockerfile";

/// The mode of programs and of directories.
const MODE: u32 = 0o755;

/// The limit for the unpacked scripts; upstream's are 250 KB.
const SCRIPTS_BYTES_MAX: u64 = 64 << 20;

/// Opens a program for reading.
type Open = dyn Fn() -> Box<dyn Read + Send> + Send + Sync;

/// The tools that are embedded in a program: an archive of scripts, and separate programs.
#[derive(Clone)]
pub struct Tools {
    archive: &'static [u8],
    programs: Vec<(String, Arc<Open>)>,
    /// Shared by clones, so that it is computed once.
    identity: Arc<OnceLock<Digest>>,
}

impl Tools {
    /// Tools with the scripts of this tar archive, plain or compressed with gzip, zlib, zstd or xz.
    #[must_use]
    pub fn new(archive: &'static [u8]) -> Self {
        Self {
            archive,
            programs: Vec::new(),
            identity: Arc::default(),
        }
    }

    /// Adds this program, whose content is read whenever it is needed: the bytes of `include_bytes!`, or a
    /// decompressor over them.
    #[must_use]
    pub fn program<R: Read + Send + 'static>(
        mut self,
        name: impl Into<String>,
        open: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        self.identity = Arc::default();
        let open = Arc::new(move || Box::new(open()) as Box<dyn Read + Send>);
        self.programs.push((name.into(), open));
        self
    }

    /// Identifies the payload by this digest, which must change whenever the payload does: a digest computed by a
    /// build script saves every run from reading and hashing more than 100 MB.
    #[must_use]
    pub fn known_as(mut self, identity: Digest) -> Self {
        self.identity = Arc::new(OnceLock::from(identity));
        self
    }

    /// The identity of the payload: a digest over all of it, if no other was set.
    ///
    /// # Errors
    /// The errors of the programs' readers.
    pub fn identity(&self) -> io::Result<Digest> {
        if let Some(identity) = self.identity.get() {
            return Ok(*identity);
        }
        let mut list = format!("{}\n", Digest::of(self.archive));
        for (name, open) in &self.programs {
            list.push_str(&format!("{} {name}\n", digest_of(open())?));
        }
        Ok(*self.identity.get_or_init(|| Digest::of(list.as_bytes())))
    }

    /// The payload as a source, which is read only if needed.
    fn source(&self) -> io::Result<TreeSource> {
        let (this, identity) = (self.clone(), self.identity()?);
        let entries = std::iter::once_with(move || this.entries());
        let entries = entries.flat_map(|read| match read {
            Ok(entries) => entries.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        Ok(TreeSource::entries(entries).known_as(identity.to_string()))
    }

    fn entries(&self) -> io::Result<Vec<SourceEntry>> {
        let mut archive = tar::Archive::new(decoded(self.archive)?.take(SCRIPTS_BYTES_MAX));
        let (mut entries, mut date) = (Vec::new(), None);
        let mut dirs = BTreeSet::from([".".to_owned()]);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mtime = Timestamp::new(entry.header().mtime()?.cast_signed(), 0);
            let path = Utf8Path::new(&path);
            dirs.extend(path.ancestors().skip(1).map(ToString::to_string));
            match entry.header().entry_type() {
                EntryType::Directory => drop(dirs.insert(path.to_string())),
                EntryType::Regular => {
                    let named = path
                        .components()
                        .filter(|part| *part != Utf8Component::CurDir);
                    if named.eq([Utf8Component::Normal(DATES_THE_REST)]) {
                        date = Some(mtime);
                    }
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content)?;
                    let (mode, content) = (entry.header().mode()?, Cursor::new(content));
                    entries.push(SourceEntry::file(path.as_str(), mode, mtime, content));
                }
                _ => return Err(bad(format!("`{path}` is neither a file nor a directory"))),
            }
        }
        let date = date.ok_or_else(|| bad(format!("there is no `{DATES_THE_REST}`")))?;
        dirs.remove("");
        let programs = self.programs.iter();
        entries.extend(programs.map(|(name, open)| SourceEntry::file(name, MODE, date, open())));
        entries.extend(
            dirs.into_iter()
                .map(|dir| SourceEntry::dir(dir, MODE, date)),
        );
        Ok(entries)
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let programs: Vec<_> = self.programs.iter().map(|(name, _)| name).collect();
        f.debug_struct("Tools")
            .field("programs", &programs)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

fn bad(why: String) -> io::Error {
    let text = format!("the archive of the tools cannot be used: {why}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl State {
    /// Makes the directory `dir`, below the project, exactly the payload, and pins it: a later installation leaves
    /// the files of this one available while the pin exists.
    ///
    /// If it is the payload already nothing is touched; changed files are restored. Of several processes that find it
    /// missing or damaged one installs it, and the others wait. Its data is not synced, because it can be installed
    /// again: after a power cut the next opening checks it.
    ///
    /// # Errors
    /// [`Error::Tools`] when the payload cannot be read, and the errors of
    /// [`Journal::install`](tljournal::Journal::install).
    pub fn install_tools(&self, dir: &str, tools: &Tools) -> Result<Installed, Error> {
        let options = TreeOptions {
            durability: Durability::Rebuildable,
            ..TreeOptions::default()
        };
        let unreadable = |source| Error::Tools { source };
        let key = tools.identity().map_err(unreadable)?.to_string();
        let source = || tools.source().map_err(unreadable);
        let once = PopulateOptions {
            tree: options.clone(),
            ..PopulateOptions::default()
        };
        match self.journal.populate(dir, key, source()?, once) {
            // A process that holds a lock must not wait for the others, but can install the tree itself.
            Err(tljournal::Error::Conflict(conflict))
                if matches!(conflict.kind, ConflictKind::WouldDeadlock) =>
            {
                Ok(self.journal.install(dir, source()?, options)?)
            }
            installed => Ok(installed?),
        }
    }
}
