use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::Errno;

use super::TreeError;
use super::layers::Layer;
use crate::disk::{Dense, Dir, Disk, Pipe, Source, Sparse, SparseFile};
use crate::model::{Digest, Timestamp};

/// The source of a tree.
pub struct TreeSource {
    origin: Origin,
    special_bits: bool,
    attributes: bool,
    key: Option<Digest>,
    /// A pipe at the path, which can be opened and read once.
    pipe: Mutex<Once>,
}

/// The state of a pipe.
#[derive(Default)]
enum Once {
    #[default]
    NotOpened,
    Open(Pipe),
    Read,
}

type Reader = Box<dyn Read + Send>;
type Entries = Box<dyn Iterator<Item = io::Result<SourceEntry>> + Send>;
/// An error of the caller's own code.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The caller's function that fills the empty directory at a path.
pub(super) type Fill = Box<dyn FnOnce(&Utf8Path) -> Result<(), BoxError> + Send>;

/// Archives on top of each other, and entries on top of them.
pub(super) struct Layers {
    pub(super) layers: Vec<Layer>,
    pub(super) top: Vec<SourceEntry>,
}

enum Origin {
    Dir(Utf8PathBuf),
    Opened(Dir),
    Archive(Utf8PathBuf),
    At(Utf8PathBuf),
    Stream(Option<Reader>),
    Entries(Option<Entries>),
    Filled(Option<Fill>),
    Layers(Option<Layers>),
}

/// An opened source.
pub(super) enum Opened {
    Dir(Dir),
    File(Arc<File>),
    /// A pipe, which the source keeps until the tree is built.
    Pipe,
    Stream(Reader),
    Entries(Entries),
    Fill(Fill),
    Layers(Layers),
}

/// One entry of a tree that the caller lists.
#[derive(Debug)]
pub struct SourceEntry {
    /// The path below the tree's root; `.` for the root itself.
    pub path: String,
    /// Permission bits, ignored for links.
    pub mode: u32,
    /// When the content last changed; ignored for hard links.
    pub mtime: Timestamp,
    /// Its type and content.
    pub content: SourceContent,
}

/// The type and content of a listed entry.
pub enum SourceContent {
    /// A directory.
    Dir,
    /// A file with this content.
    File(Box<dyn Sparse + Send>),
    /// A symbolic link to this target.
    Link(String),
    /// A hard link to the file that an earlier entry created at this path.
    HardLink(String),
}

impl TreeSource {
    fn new(origin: Origin) -> Self {
        Self {
            origin,
            special_bits: false,
            attributes: true,
            key: None,
            pipe: Mutex::default(),
        }
    }

    /// A directory; if the path is a link, its target.
    pub fn dir(path: impl Into<Utf8PathBuf>) -> Self {
        Self::new(Origin::Dir(path.into()))
    }

    /// An open directory, regardless of what its path names now.
    pub(crate) fn opened(dir: Dir) -> Self {
        Self::new(Origin::Opened(dir))
    }

    /// A tar archive, plain or compressed with gzip, zlib, zstd or xz, as its first bytes show.
    pub fn archive(path: impl Into<Utf8PathBuf>) -> Self {
        Self::new(Origin::Archive(path.into()))
    }

    /// A directory or an archive, depending on what is at the path.
    pub fn at(path: impl Into<Utf8PathBuf>) -> Self {
        Self::new(Origin::At(path.into()))
    }

    /// An archive that can be read once, such as standard input.
    pub fn stream(reader: impl Read + Send + 'static) -> Self {
        Self::new(Origin::Stream(Some(Box::new(reader))))
    }

    /// Entries in any order in which the target of a hard link precedes the link; missing directories are created.
    /// They can be read once.
    pub fn entries<I>(entries: I) -> Self
    where
        I: IntoIterator<Item = io::Result<SourceEntry>>,
        I::IntoIter: Send + 'static,
    {
        Self::new(Origin::Entries(Some(Box::new(entries.into_iter()))))
    }

    /// A tree that the caller fills: `fill` receives the path of an empty directory, which child processes can use
    /// too, and leaves there what is to be installed, with its times and modes. It can be called once.
    ///
    /// The result is read, hashed and installed as it is, including setuid bits. The installation fails if a process
    /// still writes there.
    pub fn filled<F, E>(fill: F) -> Self
    where
        F: FnOnce(&Utf8Path) -> Result<(), E> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let fill = |path: &Utf8Path| fill(path).map_err(Into::into);
        Self::new(Origin::Filled(Some(Box::new(fill))))
    }

    /// Layers of a container image, lowest first, and the entries `top` on top of them.
    ///
    /// An entry of a layer replaces what a lower layer has at that path, a directory with all its content; two
    /// directories are merged. `.wh.NAME` removes NAME of the lower layers, `.wh..wh..opq` everything that they have
    /// in its directory; neither is part of the tree. Layers can be read once, and are recognized only by a
    /// [key](Self::known_as).
    pub fn layers(layers: impl IntoIterator<Item = Layer>, top: Vec<SourceEntry>) -> Self {
        let layers = layers.into_iter().collect();
        Self::new(Origin::Layers(Some(Layers { layers, top })))
    }

    /// Keeps setuid, setgid and sticky bits, which are dropped by default.
    #[must_use]
    pub fn keep_special_bits(mut self) -> Self {
        self.special_bits = true;
        self
    }

    /// Ignores the extended attributes, ACLs and capabilities of a directory, which are copied by default where that
    /// is permitted. (Those of archives are never copied.)
    #[must_use]
    pub fn without_attributes(mut self) -> Self {
        self.attributes = false;
        self
    }

    /// Identifies the source by this key instead of by its metadata: the caller states that sources with the same key
    /// have the same content. A tree that was installed from one is recognized at the same path without reading a
    /// source.
    #[must_use]
    pub fn known_as(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(Digest::of(key.as_ref()));
        self
    }

    /// The digest of the key.
    pub(crate) fn key(&self) -> Option<Digest> {
        self.key
    }

    /// A description of the source, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.origin {
            Origin::Dir(path) | Origin::Archive(path) | Origin::At(path) => {
                format!("`{}`", path.as_str().escape_debug())
            }
            Origin::Opened(dir) => format!("`{}`", dir.path().as_str().escape_debug()),
            Origin::Stream(_) => "the archive on the input stream".to_owned(),
            Origin::Entries(_) => "the list of entries".to_owned(),
            Origin::Filled(_) => "what the caller fills in".to_owned(),
            Origin::Layers(_) => "the layers".to_owned(),
        }
    }

    /// Whether it is on a filesystem and can be read again. (A pipe at the path of an archive cannot: it has no
    /// fingerprint.)
    pub(crate) fn is_repeatable(&self) -> bool {
        matches!(
            self.origin,
            Origin::Dir(_) | Origin::Opened(_) | Origin::Archive(_) | Origin::At(_)
        )
    }

    /// Whether the caller writes the tree.
    pub(crate) fn is_filled(&self) -> bool {
        matches!(self.origin, Origin::Filled(_))
    }

    /// The permission bits that are copied.
    pub(super) fn mode_mask(&self) -> u32 {
        if self.special_bits { 0o7777 } else { 0o777 }
    }

    /// Whether the attributes of a directory are copied.
    pub(super) fn carries_attributes(&self) -> bool {
        self.attributes
    }

    pub(super) fn open(&mut self, disk: &Disk) -> Result<Opened, TreeError> {
        let opened = match &mut self.origin {
            Origin::Stream(reader) => reader.take().map(Opened::Stream),
            Origin::Entries(entries) => entries.take().map(Opened::Entries),
            Origin::Filled(fill) => fill.take().map(Opened::Fill),
            Origin::Layers(layers) => layers.take().map(Opened::Layers),
            _ => match self.open_path(disk)? {
                Opened::Pipe => {
                    let pipe = self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner);
                    match std::mem::replace(pipe, Once::Read) {
                        Once::Open(pipe) => Some(Opened::Stream(Box::new(pipe))),
                        Once::NotOpened | Once::Read => None,
                    }
                }
                opened => Some(opened),
            },
        };
        opened.ok_or_else(|| TreeError::AlreadyRead {
            origin: self.describe(),
        })
    }

    /// Opens a source on a filesystem.
    ///
    /// # Errors
    /// [`TreeError::AlreadyRead`] for other sources, which only [`Self::open`] opens.
    pub(super) fn open_path(&self, disk: &Disk) -> Result<Opened, TreeError> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*pipe, Once::NotOpened) {
            return Ok(Opened::Pipe);
        }
        let dir = |path: &Utf8Path| Dir::open(path, disk.clone()).map(Opened::Dir);
        let mut file = |path: &Utf8Path| {
            Ok(match disk.open_source(path)? {
                Source::File(file) => Opened::File(Arc::new(file)),
                Source::Pipe(opened) => {
                    *pipe = Once::Open(opened);
                    Opened::Pipe
                }
            })
        };
        let opened = match &self.origin {
            Origin::Dir(path) => dir(path),
            Origin::Opened(dir) => dir.reopen().map(Opened::Dir),
            Origin::Archive(path) => file(path),
            Origin::At(path) => match dir(path) {
                Err(error) if error.is(Errno::NOTDIR) => file(path),
                opened => opened,
            },
            Origin::Stream(_) | Origin::Entries(_) | Origin::Filled(_) | Origin::Layers(_) => {
                let origin = self.describe();
                return Err(TreeError::AlreadyRead { origin });
            }
        };
        Ok(opened?)
    }
}

impl fmt::Debug for TreeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeSource")
            .field("origin", &self.describe())
            .field("special_bits", &self.special_bits)
            .finish()
    }
}

impl SourceEntry {
    /// A directory.
    pub fn dir(path: impl Into<String>, mode: u32, mtime: Timestamp) -> Self {
        Self::new(path.into(), mode, mtime, SourceContent::Dir)
    }

    /// A file.
    pub fn file<R: Read + Send + 'static>(
        path: impl Into<String>,
        mode: u32,
        mtime: Timestamp,
        content: R,
    ) -> Self {
        let content = SourceContent::File(Box::new(Dense(content)));
        Self::new(path.into(), mode, mtime, content)
    }

    /// A file with the content of an open file, including holes.
    ///
    /// # Errors
    /// The filesystem's error.
    pub fn copy(
        path: impl Into<String>,
        mode: u32,
        mtime: Timestamp,
        file: File,
    ) -> io::Result<Self> {
        let path = path.into();
        let stat = Disk::default()
            .stat_open(&file, &path)
            .map_err(io::Error::other)?;
        let content = SourceContent::File(Box::new(SparseFile::new(file, &stat)?));
        Ok(Self::new(path, mode, mtime, content))
    }

    /// A symbolic link.
    pub fn link(path: impl Into<String>, target: impl Into<String>, mtime: Timestamp) -> Self {
        Self::new(path.into(), 0, mtime, SourceContent::Link(target.into()))
    }

    /// A hard link to an earlier file, whose mode and mtime it shares.
    pub fn hard_link(path: impl Into<String>, target: impl Into<String>) -> Self {
        let content = SourceContent::HardLink(target.into());
        Self::new(path.into(), 0, Timestamp::default(), content)
    }

    fn new(path: String, mode: u32, mtime: Timestamp, content: SourceContent) -> Self {
        Self {
            path,
            mode,
            mtime,
            content,
        }
    }
}

impl fmt::Debug for SourceContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir => f.write_str("Dir"),
            Self::File(_) => f.write_str("File(..)"),
            Self::Link(target) => f.debug_tuple("Link").field(target).finish(),
            Self::HardLink(target) => f.debug_tuple("HardLink").field(target).finish(),
        }
    }
}
