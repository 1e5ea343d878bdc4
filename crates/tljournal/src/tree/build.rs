use std::io::Read;
use std::sync::Arc;

use super::source::Opened;
use super::unpack::{Content, Item, Unpacker, unpack};
use super::{Built, Forbidden, SourceContent, SourceEntry, Tick, TreeError, TreeSource};
use super::{archive, copy, filled, layers};
use crate::disk::Dir;

/// Fills the empty directory `root` from the source.
///
/// When it returns everything is written, with its mode and mtime, and nothing is synced. The root has the manifest's
/// mode with `0o700` added. After an error `root` holds what was written so far.
pub(crate) fn build(
    source: &mut TreeSource,
    root: &Dir,
    forbidden: Forbidden,
    tick: Tick<'_>,
) -> Result<Built, TreeError> {
    let (mode_mask, carries) = (source.mode_mask(), source.carries_attributes());
    // New entries inherit the attributes of the directory that is filled.
    let inherits = !root.own_attributes()?.all().is_empty();
    let mut built = fill(source, root, (mode_mask, carries), forbidden, tick)?;
    if inherits {
        built.read_attributes(root)?;
    }
    Ok(built)
}

fn fill(
    source: &mut TreeSource,
    root: &Dir,
    (mode_mask, carries): (u32, bool),
    forbidden: Forbidden,
    tick: Tick<'_>,
) -> Result<Built, TreeError> {
    let name = source.describe();
    match source.open(root.disk())? {
        Opened::Dir(dir) => copy::copy(&dir, root, mode_mask, (forbidden, carries), tick),
        Opened::Pipe => Err(TreeError::AlreadyRead { origin: name }),
        Opened::Fill(fill) => filled::filled(fill, root, tick),
        Opened::Stream(reader) => unpack(root, mode_mask, tick, |unpacker| {
            archive::feed(reader, &name, unpacker)
        }),
        Opened::Layers(wanted) => unpack(root, mode_mask, tick, |unpacker| {
            layers::feed(wanted.layers, root.disk(), unpacker)?;
            for entry in wanted.top {
                add(entry, unpacker)?;
            }
            Ok(())
        }),
        Opened::Entries(entries) => unpack(root, mode_mask, tick, |unpacker| {
            for entry in entries {
                let entry = entry.map_err(|source| TreeError::Read {
                    path: name.clone(),
                    source,
                })?;
                add(entry, unpacker)?;
            }
            Ok(())
        }),
        Opened::File(file) => unpack(root, mode_mask, tick, |unpacker| {
            let look = || root.disk().stat_open(&file, &name);
            let before = look()?;
            let reader: Box<dyn Read> = Box::new(Arc::clone(&file));
            archive::feed(reader, &name, unpacker)?;
            if !look()?.is_unchanged_since(&before) {
                return Err(TreeError::Changed {
                    entry: name.clone(),
                });
            }
            Ok(())
        }),
    }
}

fn add(entry: SourceEntry, unpacker: &mut Unpacker<'_>) -> Result<(), TreeError> {
    let mut content = entry.content;
    unpacker.add(Item {
        path: entry.path.as_bytes(),
        mode: entry.mode,
        mtime: entry.mtime,
        content: match &mut content {
            SourceContent::Dir => Content::Dir,
            SourceContent::File(content) => Content::File(&mut **content),
            SourceContent::Link(target) => Content::Link(target.as_bytes()),
            SourceContent::HardLink(target) => Content::HardLink(target.as_bytes()),
        },
    })
}
