use std::collections::HashSet;

use crate::disk::{Dir, NewFile};
use crate::model::{
    Digest, Entry, EntryKind, EntrySignature, Manifest, Signature, Stat, Timestamp,
};

use super::TreeError;
use super::near::Near;
use super::spread::spread;

/// A tree that is on disk and described by a manifest.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) manifest: Manifest,
    pub(crate) signature: Signature,
    /// The root, if the caller replaced the directory it was given.
    pub(crate) remade: Option<Dir>,
}

impl Built {
    /// Adds the attributes of the entries to the signature.
    pub(super) fn read_attributes(&mut self, root: &Dir) -> Result<(), TreeError> {
        let entries = self.manifest.entries();
        let workers = spread(entries.len(), 128, |worker: &mut Marks, index| {
            let attributes = match entries[index].path.as_str() {
                "" => root.own_attributes()?,
                path => match worker.near.of(root, path)? {
                    Some((dir, name)) => dir.attributes(name)?,
                    None => return Err(TreeError::changed(path)),
                },
            };
            worker.marks.push((index, attributes.mark()));
            Ok(())
        })?;
        let mut signature = self.signature.entries().to_vec();
        for (index, mark) in workers.into_iter().flat_map(|worker| worker.marks) {
            signature[index] = signature[index].with_attributes(mark);
        }
        self.signature = Signature::new(signature);
        Ok(())
    }
}

/// The attributes that one worker read.
#[derive(Default)]
struct Marks {
    near: Near,
    marks: Vec<(usize, u64)>,
}

/// The size and digest of a file after its content was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) digest: Digest,
    pub(super) signature: EntrySignature,
    /// Whether it stays owned by root, because the owner of the tree could not read it.
    pub(super) is_closed: bool,
}

/// The entries of a tree whose files and links are complete, and whose directories are still writable.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) entries: Vec<Entry>,
    /// Final for files and links, preliminary for directories and hard links.
    pub(super) signature: Vec<EntrySignature>,
    /// The directories that stay owned by root.
    pub(super) closed: HashSet<String>,
}

/// The placeholder signature of an inode that is not complete.
pub(super) fn unsigned() -> EntrySignature {
    EntrySignature {
        ino: 0,
        ctime: Timestamp::default(),
        facts: None,
    }
}

impl Draft {
    pub(super) fn push(&mut self, entry: Entry, signature: EntrySignature) {
        self.entries.push(entry);
        self.signature.push(signature);
    }

    /// Describes a tree that needs no further changes.
    pub(super) fn describe(self) -> Result<Built, TreeError> {
        Ok(Built {
            manifest: Manifest::new(self.entries)?,
            signature: Signature::new(self.signature),
            remade: None,
        })
    }

    /// Sets the mode and mtime of every directory, deepest first, and takes the signatures that depend on the last
    /// change.
    pub(super) fn finish(mut self, root: &Dir) -> Result<Built, TreeError> {
        self.sign_hard_links(root)?;
        for (index, entry) in self.entries.iter().enumerate().rev() {
            match entry.kind {
                EntryKind::Dir if index == 0 => {
                    // The owner needs access, because the directory is renamed, listed and removed.
                    root.set_own_meta(root_mode(entry.mode), entry.mtime)?;
                    self.signature[0] = EntrySignature::of(&root.own_stat()?);
                }
                EntryKind::Dir => {
                    let mut dir = root.open_dir(&entry.path)?;
                    if self.closed.contains(&entry.path) {
                        dir = dir.made_here();
                    }
                    dir.set_own_meta(entry.mode, entry.mtime)?;
                    self.signature[index] = EntrySignature::of(&dir.own_stat()?);
                }
                _ => {}
            }
        }
        self.describe()
    }

    /// Takes the signatures of symbolic links.
    pub(super) fn sign_links(&mut self, root: &Dir) -> Result<(), TreeError> {
        for (entry, signature) in self.entries.iter().zip(&mut self.signature) {
            if let EntryKind::Link { .. } = entry.kind {
                let stat = root.stat(&entry.path)?;
                let stat = stat.ok_or_else(|| TreeError::changed(&entry.path))?;
                *signature = EntrySignature::of(&stat);
            }
        }
        Ok(())
    }

    /// Takes the signatures of hard-link groups, after their last link.
    fn sign_hard_links(&mut self, root: &Dir) -> Result<(), TreeError> {
        for index in 0..self.entries.len() {
            let entry = &self.entries[index];
            let EntryKind::File {
                same_as: Some(first),
                ..
            } = entry.kind
            else {
                continue;
            };
            let stat = root.stat(&entry.path)?;
            let stat = stat.ok_or_else(|| TreeError::changed(&entry.path))?;
            self.signature[index] = EntrySignature::of(&stat);
            self.signature[first as usize] = EntrySignature::of(&stat);
        }
        Ok(())
    }
}

/// The size from which a file's write-back starts immediately.
const WRITEBACK_BYTES_MIN: u64 = 1 << 20;

/// The mode of the root of a staged tree, which must be movable.
pub(super) fn root_mode(mode: u32) -> u32 {
    mode | 0o700
}

/// Sets the mtime of a written file, and its mode if the umask or a write cleared some bits.
pub(super) fn seal(file: &NewFile, mode: u32, mtime: Timestamp) -> Result<Stat, TreeError> {
    file.set_mtime(mtime)?;
    let stat = file.stat()?;
    if stat.size >= WRITEBACK_BYTES_MIN {
        // The file is synced later: the medium can start while the next file is hashed.
        file.begin_writeback();
    }
    if stat.mode == mode {
        return Ok(stat);
    }
    file.set_mode(mode)?;
    Ok(file.stat()?)
}
