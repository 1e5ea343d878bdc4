//! The expected content of the two trees.

use std::collections::BTreeMap;
use std::fs;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use tljournal::Digest;

use crate::failure::Failure;

/// The paths below the demo's directory.
pub(super) const PROJECT: &str = "project";
const PLAN: &str = "plan.json";

/// The path where the tree is installed.
pub(super) const TREE: &str = "build/tools";

/// The two variants of the tree: every path is in both, with different content.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) variants: [Variant; 2],
}

/// One variant: the size and digest of each file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Variant {
    pub(super) files: BTreeMap<String, (u64, String)>,
}

impl Plan {
    pub(super) fn write(&self, place: &Utf8Path) -> Result<(), Failure> {
        let text = serde_json::to_string(self).map_err(std::io::Error::from);
        text.and_then(|text| fs::write(place.join(PLAN), text))
            .map_err(|source| Failure::io("write the demo's plan", source))
    }

    pub(super) fn read(place: &Utf8Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(place.join(PLAN));
        text.and_then(|text| serde_json::from_str(&text).map_err(Into::into))
            .map_err(|source| Failure::io("read the demo's plan", source))
    }

    /// The directory that a variant is installed from.
    pub(super) fn source(place: &Utf8Path, variant: usize) -> camino::Utf8PathBuf {
        place.join(["first", "second"][variant])
    }
}

impl Variant {
    pub(super) fn bytes(&self) -> u64 {
        self.files.values().map(|(size, _)| size).sum()
    }

    /// Whether these are exactly the sizes of its files.
    pub(super) fn has_sizes(&self, found: &BTreeMap<String, u64>) -> bool {
        let sizes = self.files.iter().map(|(path, (size, _))| (path, size));
        sizes.eq(found.iter())
    }

    /// The first problem of a directory, hashing every file.
    pub(super) fn check_content(&self, root: &Utf8Path) -> Option<String> {
        self.files.iter().find_map(|(path, (_, digest))| {
            let content = match fs::read(root.join(path)) {
                Ok(content) => content,
                Err(error) => return Some(format!("`{path}` cannot be read: {error}")),
            };
            let right = Digest::of(&content).to_string() == *digest;
            (!right).then(|| format!("`{path}` has the wrong content"))
        })
    }
}

/// The sizes of all files below a directory, by their paths.
pub(super) fn sizes(root: &Utf8Path) -> std::io::Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![String::new()];
    while let Some(dir) = waiting.pop() {
        for entry in root.join(&dir).read_dir_utf8()? {
            let entry = entry?;
            let path = match dir.as_str() {
                "" => entry.file_name().to_owned(),
                dir => format!("{dir}/{}", entry.file_name()),
            };
            let meta = entry.path().symlink_metadata()?;
            if meta.is_dir() {
                waiting.push(path);
            } else {
                found.insert(path, meta.len());
            }
        }
    }
    Ok(found)
}
