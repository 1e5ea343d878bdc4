//! Verification tags: `.sdk-verified` and `.kits-verified`, which show shell tasks that their inputs were verified
//! against the lock file.
//!
//! Upstream removes and writes them on every run, and so removes those of other runs. Here each run claims its own
//! verification, and the files exist while a running run claims them: see [`tljournal::Tags`].

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use olpc_cjson::CanonicalFormatter;
use serde::Serialize;
use tljournal::{Digest, RelPath, Tags, Voucher};

use crate::digest::digest_of;
use crate::{Error, State};

/// The tag of a verified SDK.
pub const SDK_TAG: &str = ".sdk-verified";

/// The tag of verified kits.
pub const KITS_TAG: &str = ".kits-verified";

/// The directory of the tags, below the project.
pub const EXTERNAL_KITS_DIR: &str = "build/external-kits";

/// What is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The SDK.
    Sdk,
    /// The SDK and the kits.
    Kits,
}

impl Level {
    /// The tags of this level.
    #[must_use]
    pub fn tags(self) -> &'static [&'static str] {
        match self {
            Self::Sdk => &[SDK_TAG],
            Self::Kits => &[SDK_TAG, KITS_TAG],
        }
    }
}

/// What a run has verified, with the digest of its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    digest: Digest,
    /// The content of each tag.
    tags: BTreeMap<&'static str, Vec<u8>>,
}

impl Verified {
    /// Nothing is verified: no tags.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            digest: Digest::of(b""),
            tags: BTreeMap::new(),
        }
    }

    /// The SDK, verified against inputs with this digest (see [`digest_of_verified`]). It is written as
    /// `name-version@vendor (source)`.
    pub fn sdk(digest: Digest, sdk: impl ToString) -> Self {
        Self {
            digest,
            tags: BTreeMap::from([(SDK_TAG, manifest([sdk]))]),
        }
    }

    /// Adds the kits, written in the same form.
    #[must_use]
    pub fn kits<K: ToString>(mut self, kits: impl IntoIterator<Item = K>) -> Self {
        self.tags.insert(KITS_TAG, manifest(kits));
        self
    }

    /// The level; `None` for nothing.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        match (self.tags.contains_key(KITS_TAG), self.tags.is_empty()) {
            (true, _) => Some(Level::Kits),
            (false, false) => Some(Level::Sdk),
            (false, true) => None,
        }
    }
}

/// The digest over all inputs that affect what is built, each with a name: lock file, project file, overrides,
/// versions. Two runs can share tags if their digests are equal. (`tljournal tag write --over FILE..` computes the
/// same digest of files with these names.)
#[must_use]
pub fn digest_of_verified<'a>(contents: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Digest {
    let contents: BTreeSet<_> = contents.into_iter().collect();
    let mut list = String::new();
    for (name, content) in contents {
        list.push_str(&format!(
            "{} {}\n",
            Digest::of(content),
            name.escape_debug()
        ));
    }
    Digest::of(list.as_bytes())
}

/// Whether a tag is valid.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TagCheck {
    /// The tag.
    pub tag: &'static str,
    /// The oldest valid claim on it.
    pub vouched: Option<Voucher>,
    /// Why it is not valid.
    pub why_not: Option<String>,
}

impl State {
    /// Claims what was verified, in the directory `dir` below the project: afterwards its tags exist, and the others
    /// only if another running run claims them under the same digest. Returns whether anything was changed. Waits
    /// while running runs claim tags under another digest.
    ///
    /// # Errors
    /// The errors of [`Tags::vouch`](tljournal::Tags::vouch).
    pub fn write_tags(&self, dir: &str, verified: &Verified) -> Result<bool, Error> {
        let mut files = BTreeMap::new();
        for (tag, content) in &verified.tags {
            files.insert(tag_in(dir, tag)?, content.clone());
        }
        Ok(self.tags(dir)?.vouch(verified.digest, &files)?)
    }

    /// Withdraws the claims of this run in a directory, and removes the tags that no other running run claims,
    /// whichever program wrote them. Returns whether anything was changed; without tags nothing is created.
    ///
    /// # Errors
    /// The errors of [`Tags::withdraw`](tljournal::Tags::withdraw).
    pub fn cleanup_existing_tags(&self, dir: &str) -> Result<bool, Error> {
        Ok(self.tags(dir)?.withdraw()?)
    }

    /// Reports that a verification of inputs with this digest failed: all claims under it are revoked, with the
    /// reason. Returns whether anything was changed.
    ///
    /// # Errors
    /// The errors of [`Tags::revoke`](tljournal::Tags::revoke).
    pub fn revoke_tags(&self, dir: &str, digest: Digest, why: &str) -> Result<bool, Error> {
        Ok(self.tags(dir)?.revoke(digest, why)?)
    }

    /// Whether the tags of a level are valid: they have the content that the journal wrote, and a running run claims
    /// them; with `mine` only the runs that this process belongs to count.
    ///
    /// # Errors
    /// The errors of [`Tags::vouchers`](tljournal::Tags::vouchers).
    pub fn check_tags(&self, dir: &str, level: Level, mine: bool) -> Result<Vec<TagCheck>, Error> {
        let tags = self.tags(dir)?;
        let (vouchers, own) = (tags.vouchers()?, tags.mine()?);
        let check = |tag| {
            let path = tag_in(dir, tag)?;
            let its = vouchers.iter().filter(|one| one.path == path.as_str());
            let counting: Vec<_> = its.filter(|one| !mine || own.contains(&one.run)).collect();
            let vouched = counting.iter().find(|one| one.is_valid()).copied();
            let revoked = counting.iter().find_map(|one| one.revoked.as_deref());
            let why_not = match (vouched, revoked) {
                (Some(_), _) => self.what_is_wrong_with(&path)?.map(str::to_owned),
                (None, Some(why)) => Some(format!("it was revoked: {why}")),
                (None, None) if mine => Some("this run has no claim on it".to_owned()),
                (None, None) => Some("no live run claims it".to_owned()),
            };
            let vouched = vouched.filter(|_| why_not.is_none()).cloned();
            Ok(TagCheck {
                tag,
                vouched,
                why_not,
            })
        };
        level.tags().iter().copied().map(check).collect()
    }

    /// Why a claimed tag is not valid: another program may have removed or written it.
    fn what_is_wrong_with(&self, path: &RelPath) -> Result<Option<&'static str>, Error> {
        let moment = self.journal.read()?;
        let Some(file) = moment.open(path.as_str())? else {
            return Ok(Some("it is claimed, but missing"));
        };
        let put_there = moment.entry(path.as_str())?.and_then(|entry| entry.digest);
        Ok(match digest_of(file).ok() {
            found if found.is_some() && found == put_there => None,
            _ => Some("it is claimed, but its content was changed"),
        })
    }

    fn tags(&self, dir: &str) -> Result<Tags<'_>, Error> {
        let tags = self.journal.tags(tags_in(dir)?)?;
        Ok(match self.for_run_around {
            true => tags.for_run_around(),
            false => tags,
        })
    }
}

/// Both tags of a directory.
fn tags_in(dir: &str) -> Result<[RelPath; 2], Error> {
    Ok([tag_in(dir, SDK_TAG)?, tag_in(dir, KITS_TAG)?])
}

fn tag_in(dir: &str, tag: &str) -> Result<RelPath, Error> {
    let path = Utf8Path::new(dir).join(tag);
    RelPath::new(path.as_str()).map_err(|error| tljournal::Error::from(error).into())
}

/// The content of a tag as upstream writes it: the sorted set as canonical JSON.
fn manifest<I: ToString>(images: impl IntoIterator<Item = I>) -> Vec<u8> {
    let images: BTreeSet<_> = images.into_iter().map(|image| image.to_string()).collect();
    let mut text = Vec::new();
    let format = CanonicalFormatter::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, format);
    // Serializing a set of strings into memory cannot fail.
    let written = images.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "{written:?}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(images: &[&str]) -> String {
        String::from_utf8(manifest(images)).unwrap()
    }

    #[test]
    fn a_manifest_is_canonical_json() {
        assert_eq!(text(&[]), "[]");
        assert_eq!(text(&["b", "a", "b"]), r#"["a","b"]"#);
        assert_eq!(text(&["\"q\\/\u{e4}"]), "[\"\\\"q\\\\/\u{e4}\"]");
        assert_eq!(
            text(&["a\n\u{1}"]),
            "[\"a\n\u{1}\"]",
            "as it is in olpc-cjson"
        );
        assert_eq!(text(&["a\u{308}"]), "[\"\u{e4}\"]", "composed");
    }

    #[test]
    fn a_digest_is_over_names_and_contents() {
        let digest = |contents: &[(&'static str, &'static [u8])]| {
            digest_of_verified(contents.iter().copied())
        };
        let (one, two): ((_, &[u8]), (_, &[u8])) = (("Twoliter.toml", b"a"), ("override", b"b"));
        assert_eq!(digest(&[one, two]), digest(&[two, one]));
        for other in [
            &[one][..],
            &[],
            &[("Twoliter.toml", b"ab")],
            &[("override", b"a"), two],
        ] {
            assert_ne!(digest(&[one, two]), digest(other));
        }
    }
}
