use std::collections::{BTreeMap, HashMap, HashSet};

use super::draft::{Built, Draft, unsigned};
use super::names::{self, parent};
use super::spread;
use super::writers::{Contents, Slot, Writers};
use super::{Tick, TreeError};
use crate::disk::{Dir, Sparse};
use crate::model::{Entry, EntryKind, EntrySignature, Timestamp};
use crate::workers;

/// The mode of directories that an archive implies but does not list.
const IMPLIED_MODE: u32 = 0o755;

/// The largest size of the list of all entries: more than a million entries.
const LIST_BYTES_MAX: usize = 128 << 20;
/// The size of one entry in that list besides its names.
const ENTRY_BYTES: usize = 77;
/// The largest sum of holes in the files of one archive: they occupy no space, but take a minute to hash.
const HOLES_BYTES_MAX: u64 = 64 << 30;
/// The size from which a file is compared with the free space.
const LARGE_BYTES_MIN: u64 = 1 << 20;

/// One entry of a source.
pub(super) struct Item<'a> {
    pub(super) path: &'a [u8],
    pub(super) mode: u32,
    pub(super) mtime: Timestamp,
    pub(super) content: Content<'a>,
}

/// The type and content of an entry of a source.
pub(super) enum Content<'a> {
    Dir,
    File(&'a mut dyn Sparse),
    Link(&'a [u8]),
    HardLink(&'a [u8]),
}

/// Fills the empty directory `root` with what `feed` adds. The calling thread reads, all cores write.
pub(super) fn unpack(
    root: &Dir,
    mode_mask: u32,
    tick: Tick<'_>,
    feed: impl FnOnce(&mut Unpacker<'_>) -> Result<(), TreeError>,
) -> Result<Built, TreeError> {
    let writers = Writers::new(root, tick);
    let feed = |threads| {
        // The writers must see the end of their work even after an error.
        let _end = writers.end_on_drop();
        let mut unpacker = Unpacker {
            root,
            mode_mask,
            writers: &writers,
            threads,
            nodes: BTreeMap::new(),
            layer: None,
            whiteouts: HashSet::new(),
            listed_bytes: 0,
            hole_bytes: 0,
            pending: Vec::new(),
        };
        unpacker.insert(String::new(), Node::implied_dir())?;
        feed(&mut unpacker)?;
        unpacker.settle()?;
        Ok::<_, TreeError>(unpacker.nodes)
    };
    let nodes = workers::beside(spread::writers(root), || writers.work(), feed)?;
    draft(nodes, writers.into_contents()).finish(root)
}

/// Adds the entries of a source one after the other.
pub(super) struct Unpacker<'a> {
    pub(super) root: &'a Dir,
    mode_mask: u32,
    writers: &'a Writers<'a>,
    /// The number of writers.
    threads: usize,
    pub(super) nodes: BTreeMap<String, Node>,
    /// The current layer, if there are several.
    pub(super) layer: Option<u32>,
    /// The whiteouts of that layer, each of which is applied once.
    pub(super) whiteouts: HashSet<String>,
    /// The approximate size of the list of all entries.
    listed_bytes: usize,
    /// The sum of holes in all sparse files.
    hole_bytes: u64,
    /// Hard links to create after the files are written: from, to.
    pending: Vec<(String, String)>,
}

pub(super) struct Node {
    mode: u32,
    mtime: Timestamp,
    pub(super) kind: NodeKind,
    /// The layer it comes from.
    pub(super) layer: u32,
}

pub(super) enum NodeKind {
    Dir { is_implied: bool },
    File(Slot),
    Link(String, EntrySignature),
}

impl Node {
    pub(super) fn implied_dir() -> Self {
        Self {
            mode: IMPLIED_MODE,
            mtime: Timestamp::default(),
            kind: NodeKind::Dir { is_implied: true },
            layer: 0,
        }
    }
}

impl Unpacker<'_> {
    /// Adds one entry: a later file or link replaces an earlier one, a later directory sets the mode and mtime of an
    /// earlier one. A directory and another kind at one path conflict, unless they come from different layers.
    pub(super) fn add(&mut self, item: Item<'_>) -> Result<(), TreeError> {
        let path = names::clean(item.path)?;
        if self.is_whiteout(&path)? {
            return Ok(());
        }
        self.ensure_parents(&path)?;
        self.make_room(&path, &item.content)?;
        let there = self.nodes.get(&path);
        let is_dir = there.map(|node| matches!(node.kind, NodeKind::Dir { .. }));
        match (&item.content, is_dir) {
            (Content::Dir, Some(true)) => {}
            (Content::Dir, None) => self.root.make_dir(&path, 0o700)?,
            (Content::Dir, Some(false)) => {
                return Err(TreeError::clash(
                    &path,
                    "it is a directory and a file or link",
                ));
            }
            (_, Some(true)) => {
                return Err(TreeError::clash(
                    &path,
                    "it is a file or link and a directory",
                ));
            }
            // The link already exists.
            (Content::HardLink(target), Some(false)) if names::clean(target)? == path => {
                return Ok(());
            }
            (_, Some(false)) => {
                // The file must be written and linked before it is removed.
                self.settle()?;
                self.root.remove_file(&path)?;
                self.nodes.remove(&path);
            }
            (_, None) => {}
        }
        let node = self.make(&path, item)?;
        self.insert(path, node)
    }

    /// Refuses a file that exceeds the free space, however its size is stated.
    pub(super) fn expect_bytes(&self, raw: &[u8], bytes: u64) -> Result<(), TreeError> {
        if bytes >= LARGE_BYTES_MIN {
            self.root
                .refuse_larger_than_free(&names::shown(raw), bytes)?;
        }
        Ok(())
    }

    /// Refuses more holes than can be hashed in reasonable time, however they are stated.
    pub(super) fn expect_holes(&mut self, raw: &[u8], bytes: u64) -> Result<(), TreeError> {
        self.hole_bytes = self.hole_bytes.saturating_add(bytes);
        match self.hole_bytes > HOLES_BYTES_MAX {
            true => Err(TreeError::Holes {
                entry: names::shown(raw),
            }),
            false => Ok(()),
        }
    }

    pub(super) fn insert(&mut self, path: String, mut node: Node) -> Result<(), TreeError> {
        node.layer = self.layer.unwrap_or_default();
        node.mode &= self.mode_mask;
        let target = match &node.kind {
            NodeKind::Link(target, _) => target.len(),
            _ => 0,
        };
        self.list(&path, target)?;
        self.nodes.insert(path, node);
        Ok(())
    }

    /// Adds the size of an entry to the size of the list.
    pub(super) fn list(&mut self, path: &str, more: usize) -> Result<(), TreeError> {
        self.listed_bytes += path.len() + more + ENTRY_BYTES;
        match self.listed_bytes > LIST_BYTES_MAX {
            true => Err(TreeError::TooMany {
                entry: names::shown(path),
            }),
            false => Ok(()),
        }
    }

    fn make(&mut self, path: &str, item: Item<'_>) -> Result<Node, TreeError> {
        let (mode, mtime) = (item.mode & self.mode_mask, item.mtime);
        let kind = match item.content {
            Content::Dir => NodeKind::Dir { is_implied: false },
            Content::File(reader) => {
                let file = (path, mode, mtime);
                NodeKind::File(self.writers.write(self.threads, file, reader)?)
            }
            Content::Link(target) => return self.link(path, &text(path, target)?, mtime),
            Content::HardLink(target) => return self.hard_link(path, target),
        };
        Ok(Node {
            mode,
            mtime,
            kind,
            layer: 0,
        })
    }

    fn hard_link(&mut self, path: &str, target: &[u8]) -> Result<Node, TreeError> {
        let from = names::clean(target)?;
        let same = self.nodes.get(&from);
        match same.map(|node| (&node.kind, node.mode, node.mtime)) {
            Some((NodeKind::File(slot), mode, mtime)) => {
                let kind = NodeKind::File(*slot);
                self.pending.push((from, path.to_owned()));
                Ok(Node {
                    mode,
                    mtime,
                    kind,
                    layer: 0,
                })
            }
            // A tree identifies symbolic links by their targets and ignores their hard links.
            Some((NodeKind::Link(points_to, _), _, mtime)) => {
                let points_to = points_to.clone();
                self.link(path, &points_to, mtime)
            }
            _ => Err(TreeError::HardLink {
                entry: names::shown(path),
                target: names::shown(from),
            }),
        }
    }

    fn link(&self, path: &str, target: &str, mtime: Timestamp) -> Result<Node, TreeError> {
        self.root.make_link(target, path)?;
        self.root.set_mtime(path, mtime)?;
        let stat = self.root.stat(path)?;
        let stat = stat.ok_or_else(|| TreeError::changed(path))?;
        Ok(Node {
            mode: 0,
            mtime,
            kind: NodeKind::Link(target.to_owned(), EntrySignature::of(&stat)),
            layer: 0,
        })
    }

    /// Waits for the writers, then creates the pending hard links.
    pub(super) fn settle(&mut self) -> Result<(), TreeError> {
        self.writers.drain()?;
        for (from, to) in self.pending.drain(..) {
            self.root.hard_link(&from, &to)?;
        }
        Ok(())
    }

    /// Creates the directories above `path` that are not listed so far.
    fn ensure_parents(&mut self, path: &str) -> Result<(), TreeError> {
        let dir = parent(path);
        if self.has_dir(dir, path)? {
            return Ok(());
        }
        self.ensure_parents(dir)?;
        self.root.make_dir(dir, 0o700)?;
        self.insert(dir.to_owned(), Node::implied_dir())
    }

    /// Whether there is a directory at `dir`, which is above `path`. Nothing may be below an entry of another kind.
    pub(super) fn has_dir(&self, dir: &str, path: &str) -> Result<bool, TreeError> {
        match self.nodes.get(dir).map(|node| &node.kind) {
            Some(NodeKind::Dir { .. }) => Ok(true),
            Some(NodeKind::File(_)) => Err(TreeError::clash(path, "it lies below a file")),
            Some(NodeKind::Link(..)) => Err(TreeError::Leaves {
                entry: names::shown(path),
                why: "it lies below a symbolic link",
            }),
            None => Ok(false),
        }
    }
}

fn text(path: &str, target: &[u8]) -> Result<String, TreeError> {
    let refuse = |why| TreeError::Name {
        entry: names::shown(path),
        why,
    };
    match std::str::from_utf8(target) {
        Ok("") => Err(refuse("it is a link to nothing")),
        Ok(text) if text.contains('\0') => Err(refuse("it is a link to a name with a NUL byte")),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(refuse("it is a link to something that is not UTF-8")),
    }
}

fn draft(mut nodes: BTreeMap<String, Node>, contents: Contents) -> Draft {
    date_implied_dirs(&mut nodes);
    let mut draft = Draft::default();
    let mut first_of: HashMap<Slot, u32> = HashMap::new();
    for (index, (path, node)) in nodes.into_iter().enumerate() {
        let (kind, signature) = match node.kind {
            NodeKind::Dir { .. } => (EntryKind::Dir, unsigned()),
            NodeKind::Link(target, signature) => (EntryKind::Link { target }, signature),
            NodeKind::File(slot) => {
                let index = index as u32;
                let first = *first_of.entry(slot).or_insert(index);
                let content = contents.of(slot);
                let kind = EntryKind::File {
                    size: content.size,
                    digest: content.digest,
                    same_as: (first != index).then_some(first),
                };
                (kind, content.signature)
            }
        };
        let entry = Entry {
            path,
            mode: node.mode,
            mtime: node.mtime,
            kind,
        };
        draft.push(entry, signature);
    }
    draft
}

/// Sets the mtime of a directory that was not listed to that of the newest entry below it, so that the result is
/// reproducible.
fn date_implied_dirs(nodes: &mut BTreeMap<String, Node>) {
    let mut newest_below: HashMap<String, Timestamp> = HashMap::new();
    for (path, node) in nodes.iter_mut().rev() {
        let below = newest_below.remove(path);
        if matches!(node.kind, NodeKind::Dir { is_implied: true }) {
            node.mtime = below.unwrap_or_default();
        }
        if path.is_empty() {
            break;
        }
        let newest = below.map_or(node.mtime, |below| below.max(node.mtime));
        let above = newest_below
            .entry(parent(path).to_owned())
            .or_insert(newest);
        *above = newest.max(*above);
    }
}
