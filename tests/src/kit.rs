use camino::{Utf8Path, Utf8PathBuf};
use tljournal::Timestamp;
use tljournal_testkit::TreeSpec;

/// The digest of the kit's manifest.
const DIGEST: &str = "sha256:25cc1fb6bbcf6bf2f40ec98a15c2196fad0a3e7d806c27ad048bf4d388e9c0eb";

/// The layout of a small kit, made by `umoci` of two layers: the second adds a package, removes one, and replaces a
/// directory of the first by a file.
#[must_use]
pub fn kit_layout() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("kit/layout")
}

/// The tree that it unpacks to.
#[must_use]
pub fn kit_tree() -> TreeSpec {
    let of_layer = |layer: i64| Timestamp::new(1_600_000_000 + layer, 0);
    TreeSpec::new(0o755, of_layer(2))
        .dir("Packages", 0o755, of_layer(2))
        .file("Packages/one.rpm", 0o644, of_layer(1), "one")
        .hard_link("Packages/same.rpm", "Packages/one.rpm")
        .file("Packages/two.rpm", 0o644, of_layer(2), "two")
        .file("digest", 0o644, Timestamp::default(), DIGEST)
        .link("link", "Packages/one.rpm", of_layer(1))
        .file("old", 0o644, of_layer(2), "a file now")
}

#[cfg(test)]
mod tests {
    use tljournal::Digest;

    use super::*;

    #[test]
    fn the_digest_of_the_kit_is_that_of_its_index() {
        let index = std::fs::read_to_string(kit_layout().join("index.json")).expect("an index");
        assert!(index.contains(DIGEST), "{index}");
        let digest: Digest = DIGEST.parse().expect("a digest");
        let blob = kit_layout().join("blobs/sha256").join(digest.hex());
        assert_eq!(
            Digest::of(&std::fs::read(blob).expect("a manifest")),
            digest
        );
    }
}
