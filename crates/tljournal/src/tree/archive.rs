use std::io::{self, Read};

use tar::EntryType;

use super::TreeError;
use super::compression::decoded;
use super::names;
use super::tar_reader::{Member, TarReader};
use super::unpack::{Content, Item, Unpacker};

/// Where an archive is damaged of which no entry could be read.
pub(super) const BEGINNING: &str = "its beginning";

/// Unpacks every member of the archive in `reader`; `archive` names it in messages.
pub(super) fn feed(
    reader: impl Read,
    archive: &str,
    unpacker: &mut Unpacker<'_>,
) -> Result<(), TreeError> {
    let decoded = decoded(reader).map_err(|error| damaged(archive, BEGINNING, error))?;
    feed_plain(TarReader::new(decoded), archive, unpacker)
}

/// The same for one that is not compressed any more.
pub(super) fn feed_plain<R: Read>(
    mut reader: TarReader<R>,
    archive: &str,
    unpacker: &mut Unpacker<'_>,
) -> Result<(), TreeError> {
    let mut place = BEGINNING.to_owned();
    let damaged = |place: &str, source| damaged(archive, place, source);
    loop {
        let next = reader.next_member();
        let Some(member) = next.map_err(|error| damaged(&place, error))? else {
            break;
        };
        place = format!("`{}`", names::shown(&member.path));
        add(&mut reader, member, unpacker).map_err(|error| match error {
            TreeError::Read { source, .. } => damaged(&place, source),
            error => error,
        })?;
    }
    reader.finish().map_err(|error| damaged(&place, error))
}

/// The system's own words are no damage of the archive.
pub(super) fn damaged(archive: &str, place: &str, source: io::Error) -> TreeError {
    match source.raw_os_error() {
        Some(_) => TreeError::read(archive.trim_matches('`'), source),
        None => TreeError::Damaged {
            archive: archive.to_owned(),
            place: place.to_owned(),
            source,
        },
    }
}

fn add<R: Read>(
    reader: &mut TarReader<R>,
    member: Member,
    unpacker: &mut Unpacker<'_>,
) -> Result<(), TreeError> {
    let special = |what| {
        Err(TreeError::Special {
            entry: names::shown(&member.path),
            what,
        })
    };
    let mut expanded;
    let content = match member.kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => match member.map {
            _ if member.is_old_sparse => {
                return special("a sparse file in a format that GNU tar gave up");
            }
            Some(map) => {
                unpacker.expect_bytes(&member.path, map.size())?;
                expanded = map.expand(reader);
                Content::File(&mut expanded)
            }
            None => {
                unpacker.expect_bytes(&member.path, reader.left())?;
                Content::File(reader)
            }
        },
        EntryType::Directory => Content::Dir,
        EntryType::Symlink => Content::Link(&member.link),
        EntryType::Link => Content::HardLink(&member.link),
        EntryType::Char | EntryType::Block => {
            return special("a device, which a tree cannot hold");
        }
        EntryType::Fifo => return special("a fifo, which a tree cannot hold"),
        _ => return special("of a kind that is not known"),
    };
    unpacker.add(Item {
        path: &member.path,
        mode: member.mode,
        mtime: member.mtime,
        content,
    })
}
