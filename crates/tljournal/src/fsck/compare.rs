//! Compares the record of one place with the disk, without reading content.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::finding::Subject;
use super::{Code, Finding, FsckDepth};
use crate::catalog::EntryRow;
use crate::disk::Dir;
use crate::error::Error;
use crate::look::Look;
use crate::model::{Digest, Entry, EntryKind, Kind, Place, Signature, Stat};
use crate::tree::{self, Depth, Difference, DifferenceKind};

/// The result for one place.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) findings: Vec<Finding>,
    /// The content that must still be compared.
    pub(super) to_read: Option<ToRead>,
    /// The number of entries compared.
    pub(super) entries: u64,
}

/// Files whose content must be compared.
#[derive(Debug)]
pub(super) struct ToRead {
    pub(super) place: Place,
    pub(super) entry: EntryRow,
    /// The directory above the files.
    pub(super) root: Dir,
    pub(super) what: Arc<[Entry]>,
    pub(super) files: Vec<usize>,
    /// What the signature of each file said.
    pub(super) touched: Touched,
}

/// Whether a file was written to since it was recorded.
#[derive(Debug)]
pub(super) enum Touched {
    /// For a single file.
    File(bool),
    /// For a tree, by its signature.
    Tree(Option<Signature>),
}

impl Look<'_> {
    /// Compares the disk with the record of a place.
    pub(super) fn compare(
        &self,
        place: &Place,
        entry: &EntryRow,
        depth: FsckDepth,
    ) -> Result<Compared, Error> {
        let finding = |code| {
            Finding::new(code, self.shown(place))
                .written_by(self.txn(entry.txn))
                .about(Subject::Entry(place.clone()))
        };
        let one = |finding| Compared {
            findings: vec![finding],
            to_read: None,
            entries: 1,
        };
        let parent = self.parent(place)?;
        let stat = match &parent {
            Some(parent) => parent.stat(place.path.name())?,
            None => None,
        };
        let expected = entry.image.kind;
        let (Some(parent), Some(stat)) = (parent, stat) else {
            let missing = finding(Code::Missing);
            return Ok(one(missing.expected(said(entry)).actual("nothing")));
        };
        if stat.kind != expected {
            let code = match expected {
                Kind::Dir => Code::WrongKind,
                _ => Code::Changed,
            };
            let actual = format!("a {}", stat.kind.as_str());
            let mut finding = finding(code).expected(said(entry)).actual(actual);
            if expected == Kind::Dir {
                // An installation refuses to replace anything but a tree.
                finding.advice =
                    "`tljournal fsck --repair` installs the tree again and sets this aside"
                        .to_owned();
            }
            return Ok(one(finding));
        }
        match expected {
            Kind::Dir => self.compare_tree(place, entry, &parent, depth),
            Kind::Link => {
                let target = parent.read_link(place.path.name())?;
                if entry
                    .target
                    .as_deref()
                    .is_none_or(|wanted| wanted == target)
                {
                    return Ok(Compared {
                        entries: 1,
                        ..Compared::default()
                    });
                }
                let actual = format!("a link to {target}");
                Ok(one(finding(Code::Changed)
                    .expected(said(entry))
                    .actual(actual)))
            }
            Kind::File | Kind::Other => match meta_differs(entry, &stat) {
                Some((wanted, actual)) => {
                    Ok(one(finding(Code::Changed).expected(wanted).actual(actual)))
                }
                None => {
                    let facts = self.facts_differ(entry, (&parent, place.path.name()), &stat)?;
                    let mut compared = self.file_to_read(place, entry, parent, &stat, depth);
                    for what in facts {
                        let (code, expected, actual) = words(&what);
                        let mut finding = finding(code);
                        (finding.expected, finding.actual) = (expected, actual);
                        compared.findings.push(finding);
                    }
                    Ok(compared)
                }
            },
        }
    }

    /// How the owner and attributes of a file differ from the record.
    fn facts_differ(
        &self,
        entry: &EntryRow,
        (parent, name): (&Dir, &str),
        stat: &Stat,
    ) -> Result<Vec<DifferenceKind>, Error> {
        let mut found = Vec::new();
        let Some(was) = entry
            .facts
            .filter(|_| self.at_home && entry.ctime != stat.ctime)
        else {
            return Ok(found);
        };
        if (was.uid, was.gid) != (stat.uid, stat.gid) {
            found.push(DifferenceKind::Owner {
                expected: (was.uid, was.gid),
                found: (stat.uid, stat.gid),
            });
        }
        let attributes = parent.attributes(name)?;
        if was.attributes != attributes.mark() {
            let found_names = attributes.names();
            found.push(DifferenceKind::Attributes { found: found_names });
        }
        Ok(found)
    }

    fn file_to_read(
        &self,
        place: &Place,
        entry: &EntryRow,
        parent: Dir,
        stat: &Stat,
        depth: FsckDepth,
    ) -> Compared {
        let untouched = match self.at_home {
            true => entry.vouches_for(stat),
            false => entry.image.mtime == stat.mtime,
        };
        let is_vouched = self.at_home && untouched && !entry.racy;
        let is_wanted = match depth {
            FsckDepth::Quick => false,
            FsckDepth::Default => !is_vouched,
            FsckDepth::Full => true,
        };
        let digest = entry
            .digest
            .filter(|_| is_wanted && stat.kind == Kind::File);
        let to_read = digest.map(|digest| ToRead {
            place: place.clone(),
            entry: entry.clone(),
            root: parent,
            what: Arc::new([file(place, entry, digest)]),
            files: vec![0],
            touched: Touched::File(!untouched),
        });
        Compared {
            findings: Vec::new(),
            to_read,
            entries: 1,
        }
    }

    fn compare_tree(
        &self,
        place: &Place,
        entry: &EntryRow,
        parent: &Dir,
        depth: FsckDepth,
    ) -> Result<Compared, Error> {
        let mut compared = Compared {
            entries: 1,
            ..Compared::default()
        };
        let Some(digest) = entry.digest else {
            return Ok(compared);
        };
        let manifest = match self.manifest(&digest) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => {
                compared
                    .findings
                    .push(self.no_manifest(Code::ManifestMissing, place, entry));
                return Ok(compared);
            }
            Err(error) if error.is_unreadable_row() => {
                compared
                    .findings
                    .push(self.no_manifest(Code::ManifestDamaged, place, entry));
                return Ok(compared);
            }
            Err(error) => return Err(error),
        };
        let root = parent.open_dir(place.path.name())?;
        let known =
            self.at_home && !entry.racy && root.own_stat()?.identity == entry.image.identity;
        let signature = entry.signature_if(known).filter(|_| self.at_home);
        let closely = match depth {
            FsckDepth::Full => Depth::Full,
            FsckDepth::Quick | FsckDepth::Default => Depth::Signature,
        };
        let survey = tree::survey(&root, &manifest, signature.as_deref(), closely)?;
        compared.entries = manifest.entries().len() as u64;
        compared.findings = self.told_of_tree(place, entry, &survey.differences)?;
        if depth != FsckDepth::Quick && !survey.unread.is_empty() {
            compared.to_read = Some(ToRead {
                place: place.clone(),
                entry: entry.clone(),
                root,
                files: survey.unread,
                touched: Touched::Tree(entry.signature.clone().filter(|_| self.at_home)),
                what: manifest.into_entries().into(),
            });
        }
        Ok(compared)
    }

    fn no_manifest(&self, code: Code, place: &Place, entry: &EntryRow) -> Finding {
        let digest = entry
            .digest
            .map_or_else(String::new, |digest| digest.to_string());
        Finding::new(code, self.shown(place))
            .expected(digest)
            .written_by(self.txn(entry.txn))
            .about(Subject::Entry(place.clone()))
    }

    /// Converts the differences of a tree to findings: each cause once, without its consequences.
    fn told_of_tree(
        &self,
        place: &Place,
        entry: &EntryRow,
        differences: &[(usize, Difference)],
    ) -> Result<Vec<Finding>, Error> {
        let (mut gone, mut moves_mtime) = (BTreeSet::new(), BTreeSet::new());
        for (_, Difference { path, what }) in differences {
            match what {
                DifferenceKind::Missing | DifferenceKind::Kind { .. } => {
                    gone.insert(path.as_str());
                    moves_mtime.insert(parent_of(path));
                }
                DifferenceKind::Extra => _ = moves_mtime.insert(parent_of(path)),
                // A link with another target or another inode was replaced.
                DifferenceKind::Target { .. } | DifferenceKind::HardLinks => {
                    moves_mtime.extend([path, parent_of(path)]);
                }
                DifferenceKind::Size { .. } => _ = moves_mtime.insert(path),
                _ => {}
            }
        }
        let mut found = Vec::new();
        for (_, Difference { path, what }) in differences {
            let is_mtime = matches!(what, DifferenceKind::Mtime { .. });
            let follows = ancestors(path).any(|above| gone.contains(above))
                || is_mtime && moves_mtime.contains(path.as_str());
            if !follows {
                found.push(self.told_inside(place, entry, path, what)?);
            }
        }
        Ok(found)
    }

    /// Converts one difference of a tree to a finding.
    pub(super) fn told_inside(
        &self,
        place: &Place,
        entry: &EntryRow,
        path: &str,
        what: &DifferenceKind,
    ) -> Result<Finding, Error> {
        let inside = match path {
            "." => Ok(place.path.clone()),
            path => place.path.join(path),
        };
        let later = match inside {
            Ok(path) => {
                let anchor = place.anchor;
                let at = Place { anchor, path };
                self.ask(|catalog| catalog.is_changed_since(&at, entry.txn))?
            }
            Err(_) => false,
        };
        let (code, expected, actual) = words(what);
        let code = if later { Code::Overlaid } else { code };
        let shown = match path {
            "." => self.shown(place),
            path => format!("{}/{path}", self.shown(place)),
        };
        let mut finding = Finding::new(code, shown)
            .written_by(self.txn(entry.txn))
            .about(Subject::Entry(place.clone()));
        finding.expected = expected;
        finding.actual = actual;
        Ok(finding)
    }
}

/// The file at a place, as the only entry below its parent.
fn file(place: &Place, entry: &EntryRow, digest: Digest) -> Entry {
    Entry {
        path: place.path.name().to_owned(),
        mode: entry.image.mode,
        mtime: entry.image.mtime,
        kind: EntryKind::File {
            size: entry.image.size,
            digest,
            same_as: None,
        },
    }
}

impl Touched {
    /// Whether a file was written to since it was recorded, as far as its metadata shows.
    pub(super) fn is(&self, index: usize, entry: &Entry, stat: &Stat) -> bool {
        match self {
            Self::File(touched) => *touched,
            Self::Tree(signature) => match signature.as_ref().map(Signature::entries) {
                Some(known) if index < known.len() => !known[index].is_untouched(stat),
                _ => !stat.holds_mtime(entry.mtime),
            },
        }
    }
}

/// The record, for display.
fn said(entry: &EntryRow) -> String {
    let kind = entry.image.kind.as_str();
    match (&entry.target, entry.image.kind) {
        (Some(target), _) => format!("a {kind} to {target}"),
        (None, Kind::File) => format!("a {kind} of {} bytes", entry.image.size),
        (None, _) => format!("a {kind}"),
    }
}

/// How the metadata of a file differs from its record.
fn meta_differs(entry: &EntryRow, stat: &Stat) -> Option<(String, String)> {
    let image = &entry.image;
    let (mut wanted, mut actual) = (Vec::new(), Vec::new());
    if image.size != stat.size {
        wanted.push(format!("{} bytes", image.size));
        actual.push(format!("{} bytes", stat.size));
    }
    if image.mode != stat.mode {
        wanted.push(format!("mode {:04o}", image.mode));
        actual.push(format!("mode {:04o}", stat.mode));
    }
    if image.mtime != stat.mtime {
        wanted.push(format!("mtime {}", image.mtime));
        actual.push(format!("mtime {}", stat.mtime));
    }
    (!wanted.is_empty()).then(|| (wanted.join(", "), actual.join(", ")))
}

fn words(what: &DifferenceKind) -> (Code, Option<String>, Option<String>) {
    let both = |code, expected: String, found: String| (code, Some(expected), Some(found));
    match what {
        DifferenceKind::Missing => (Code::Missing, None, Some("nothing".to_owned())),
        DifferenceKind::Extra => (Code::Extra, Some("nothing".to_owned()), None),
        DifferenceKind::Kind { expected, found } => both(
            Code::WrongKind,
            format!("a {}", expected.as_str()),
            format!("a {}", found.as_str()),
        ),
        DifferenceKind::Content => (Code::WrongContent, None, None),
        DifferenceKind::Size { expected, found } => both(
            Code::WrongSize,
            format!("{expected} bytes"),
            format!("{found} bytes"),
        ),
        DifferenceKind::Mode { expected, found } => both(
            Code::WrongMode,
            format!("mode {expected:04o}"),
            format!("mode {found:04o}"),
        ),
        DifferenceKind::Mtime { expected, found } => both(
            Code::WrongMtime,
            format!("mtime {expected}"),
            format!("mtime {found}"),
        ),
        DifferenceKind::Target { expected, found } => both(
            Code::WrongTarget,
            format!("a link to {expected}"),
            format!("a link to {found}"),
        ),
        DifferenceKind::Owner { expected, found } => {
            both(Code::WrongOwner, owner(*expected), owner(*found))
        }
        DifferenceKind::Attributes { found } => {
            let actual = match found.as_str() {
                "" => "none",
                found => found,
            };
            (Code::WrongAttributes, None, Some(actual.to_owned()))
        }
        DifferenceKind::HardLinks => (Code::WrongLinks, None, None),
    }
}

/// A user and a group, for display.
fn owner((uid, gid): (u32, u32)) -> String {
    format!("owner {uid}:{gid}")
}

/// The directory of an entry, in the form of a difference.
fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(parent, _)| parent)
}

/// The directories above an entry, in the form of a difference.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}
