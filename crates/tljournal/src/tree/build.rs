use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::source::Opened;
use super::unpack::{Content, Item, Unpacker, unpack};
use super::{Built, Forbidden, SourceContent, SourceEntry, Tick, TreeError, TreeSource};
use super::{archive, copy, filled, layers};
use crate::disk::{CLOSED_MODE_MASK, Dir};

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
        Opened::Layers(wanted) => {
            let archives = wanted.layers.iter().map(|layer| layer.open(root.disk()));
            let mode_mask = mode_mask & close_unless_given(root, &name, archives)?;
            unpack(root, mode_mask, tick, |unpacker| {
                layers::feed(wanted.layers, root.disk(), unpacker)?;
                for entry in wanted.top {
                    add(entry, unpacker)?;
                }
                Ok(())
            })
        }
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
        Opened::File(file) => {
            let mode_mask = mode_mask & close_unless_given(root, &name, [Ok(&*file)])?;
            unpack(root, mode_mask, tick, |unpacker| {
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
            })
        }
    }
}

/// Makes the tree private if its owner could not read its archive. Returns its permission bits.
fn close_unless_given<T: AsFd>(
    root: &Dir,
    name: &str,
    archives: impl IntoIterator<Item = Result<T, TreeError>>,
) -> Result<u32, TreeError> {
    if root.is_filled_for_another()? {
        for archive in archives {
            if !root.may_get(archive?)? {
                tracing::warn!("only root may read {name}: the tree stays root's");
                root.close()?;
                return Ok(CLOSED_MODE_MASK);
            }
        }
    }
    Ok(0o7777)
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
