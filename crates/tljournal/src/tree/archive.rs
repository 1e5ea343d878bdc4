use std::io::{self, Read};

use super::TreeError;
use super::compression::{Unsupported, decoded};
use super::header::Letter;
use super::names;
use super::tar_reader::{Member, TarReader};
use super::unpack::{Content, Item, Unpacker};

/// The position of damage before the first entry.
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

/// The same for an archive that is already decompressed.
pub(super) fn feed_plain<R: Read>(
    mut reader: TarReader<R>,
    archive: &str,
    unpacker: &mut Unpacker<'_>,
) -> Result<(), TreeError> {
    let mut place = BEGINNING.to_owned();
    let mut has_absolute = false;
    let damaged = |place: &str, source| damaged(archive, place, source);
    loop {
        let next = reader.next_member();
        let Some(member) = next.map_err(|error| damaged(&place, error))? else {
            break;
        };
        place = format!("`{}`", names::shown(&member.path));
        has_absolute |= member.path.starts_with(b"/");
        add(&mut reader, member, unpacker).map_err(|error| match error {
            TreeError::Read { source, .. } => damaged(&place, source),
            error => error,
        })?;
    }
    if has_absolute {
        tracing::info!(
            archive,
            "absolute names in it are taken from the root of the tree"
        );
    }
    reader.finish().map_err(|error| damaged(&place, error))
}

/// A system error is not damage of the archive, and neither is an unsupported format.
pub(super) fn damaged(archive: &str, place: &str, source: io::Error) -> TreeError {
    if source.raw_os_error().is_some() {
        return TreeError::read(archive.trim_matches('`'), source);
    }
    let archive = archive.to_owned();
    match source.downcast() {
        Ok(Unsupported(what)) => TreeError::Unsupported { archive, what },
        Err(source) => TreeError::Damaged {
            archive,
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
    if let Letter::Unknown(letter) = member.letter {
        let (path, letter) = (
            names::shown(&member.path),
            letter.escape_ascii().to_string(),
        );
        tracing::warn!(
            path,
            letter,
            "a member of an unknown type is unpacked as a file"
        );
    }
    let mut expanded;
    let content = match member.letter {
        Letter::File | Letter::Sparse | Letter::Unknown(_) => match member.map {
            Some(map) => {
                unpacker.expect_bytes(&member.path, map.held_bytes())?;
                unpacker.expect_holes(&member.path, map.hole_bytes())?;
                expanded = map.expand(reader);
                Content::File(&mut expanded)
            }
            None => {
                unpacker.expect_bytes(&member.path, reader.left())?;
                Content::File(reader)
            }
        },
        Letter::Dir | Letter::DirWithList => Content::Dir,
        Letter::Link => Content::Link(&member.link),
        Letter::HardLink => Content::HardLink(names::relative(&member.link)),
        Letter::Char | Letter::Block => return special("a device, which a tree cannot hold"),
        Letter::Fifo => return special("a fifo, which a tree cannot hold"),
        Letter::Continued => {
            return special("the rest of a file that begins in another volume of the archive");
        }
        // The reader handles these itself.
        Letter::Label | Letter::Extended | Letter::Global | Letter::LongName | Letter::LongLink => {
            return Ok(());
        }
    };
    unpacker.add(Item {
        path: names::relative(&member.path),
        mode: member.mode,
        mtime: member.mtime,
        content,
    })
}
