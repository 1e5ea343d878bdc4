#![allow(
    clippy::disallowed_methods,
    reason = "tests read and change files without the engine"
)]

mod archives;
mod compressed;
mod directories;
mod entries;
mod filled;
mod hostile;
mod layers;
mod odd;
mod properties;
mod sparse;
mod verdicts;

use std::io::Cursor;
use std::path::PathBuf;

use camino::{Utf8Path, Utf8PathBuf};

use super::verify::Verdict;
use super::*;
use crate::disk::{Dir, Disk};
use crate::model::{Manifest, Timestamp};

/// An identity that no directory has.
fn nowhere() -> Forbidden {
    let born = Timestamp::default();
    (u64::MAX, Identity { ino: 0, born })
}

/// A scratch directory with an empty root for a tree.
struct Yard {
    _temp: tempfile::TempDir,
    path: Utf8PathBuf,
    root: Dir,
}

impl Yard {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
        std::fs::create_dir(path.join("root")).unwrap();
        std::fs::create_dir(path.join("source")).unwrap();
        let root = Dir::open(&path.join("root"), Disk::default()).unwrap();
        Self {
            _temp: temp,
            path,
            root,
        }
    }

    fn build(&self, mut source: TreeSource) -> Result<Built, TreeError> {
        build(&mut source, &self.root, nowhere(), &|_| {})
    }

    /// The error of a build, with its causes, as text.
    fn refusal(&self, source: TreeSource) -> String {
        let error = self.build(source).unwrap_err();
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            words += &format!(": {error}");
            cause = error.source();
        }
        words
    }

    fn at(&self, path: &str) -> PathBuf {
        self.path.join("root").join(path).into()
    }

    fn source(&self) -> Utf8PathBuf {
        self.path.join("source")
    }

    fn verify(&self, built: &Built) -> Verdict {
        let signature = Some(&built.signature);
        verify(
            &self.root,
            &built.manifest,
            signature,
            Depth::Signature,
            &|_| {},
        )
        .unwrap()
    }

    fn differences(&self, built: &Built) -> Vec<String> {
        let verdict = self.verify(built);
        verdict
            .differences
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

fn time(secs: i64, nanos: u32) -> Timestamp {
    Timestamp::new(secs, nanos)
}

fn file(path: &str, content: &str) -> SourceEntry {
    SourceEntry::file(path, 0o644, time(7, 8), Cursor::new(content.to_owned()))
}

fn dir(path: &str) -> SourceEntry {
    SourceEntry::dir(path, 0o755, time(5, 6))
}

fn entries(entries: Vec<SourceEntry>) -> TreeSource {
    TreeSource::entries(entries.into_iter().map(Ok))
}

/// The manifest as text: path, mode, mtime, kind.
fn words(manifest: &Manifest) -> Vec<String> {
    use crate::model::EntryKind;
    let word = |entry: &crate::model::Entry| {
        let kind = match &entry.kind {
            EntryKind::Dir => "dir".to_owned(),
            EntryKind::File { size, same_as, .. } => match same_as {
                Some(first) => format!("file of {size}, same as {first}"),
                None => format!("file of {size}"),
            },
            EntryKind::Link { target } => format!("link to {target}"),
        };
        let path = if entry.path.is_empty() {
            "."
        } else {
            &entry.path
        };
        format!("{path} {:o} {} {kind}", entry.mode, entry.mtime)
    };
    manifest.entries().iter().map(word).collect()
}

fn write(path: &Utf8Path, content: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Waits until a change made from now on has a later ctime than one made before.
fn tick_over() {
    crate::ambient::let_clock_advance(std::time::Duration::from_millis(20));
}
