use arbitrary::{Arbitrary, Unstructured};
use tljournal::{Digest, Entry, EntryKind, Manifest, Timestamp};

/// Parses bytes as an encoded manifest, and as a recipe for one. A valid manifest has exactly one encoding, and is a
/// tree.
///
/// # Panics
/// If a guarantee is violated.
pub fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::decode(bytes) {
        assert!(manifest.encode() == bytes, "two encodings of one manifest");
        check(&manifest);
    }
    let recipe = Vec::<Listed>::arbitrary_take_rest(Unstructured::new(bytes));
    let mut entries: Vec<_> = recipe.unwrap_or_default().iter().map(entry).collect();
    if let Some(root) = entries.first_mut() {
        root.path.clear();
        root.kind = EntryKind::Dir;
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    if let Ok(manifest) = Manifest::new(entries) {
        let encoded = manifest.encode();
        let again = Manifest::decode(&encoded);
        assert!(again.as_ref() == Ok(&manifest), "{manifest:?}: {again:?}");
        check(&manifest);
    }
}

fn check(manifest: &Manifest) {
    let _ = (manifest.bytes(), manifest.digest());
    for (at, entry) in manifest.entries().iter().enumerate() {
        let path = &entry.path;
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        assert!((at == 0) == path.is_empty());
        assert!(at == 0 || path.split('/').all(plain), "{path:?}");
        if let EntryKind::File {
            same_as: Some(first),
            ..
        } = entry.kind
        {
            assert!((first as usize) < at, "{path:?} is a later name of {first}");
        }
    }
}

#[derive(Debug, Arbitrary)]
struct Listed {
    parts: Vec<Part>,
    mode: u32,
    mtime: (i64, u32),
    kind: u8,
    size: u64,
    same_as: Option<u8>,
    text: String,
}

#[derive(Debug, Arbitrary)]
enum Part {
    A,
    B,
    Up,
    Nothing,
    Any(String),
}

fn entry(listed: &Listed) -> Entry {
    let part = |part: &Part| match part {
        Part::A => "a".to_owned(),
        Part::B => "b".to_owned(),
        Part::Up => "..".to_owned(),
        Part::Nothing => String::new(),
        Part::Any(text) => text.clone(),
    };
    let parts: Vec<_> = listed.parts.iter().map(part).collect();
    Entry {
        path: parts.join("/"),
        mode: listed.mode,
        mtime: Timestamp::new(listed.mtime.0, listed.mtime.1),
        kind: match listed.kind % 3 {
            0 => EntryKind::Dir,
            1 => EntryKind::File {
                size: listed.size,
                digest: Digest::of(&[listed.kind / 128]),
                same_as: listed.same_as.map(u32::from),
            },
            _ => EntryKind::Link {
                target: listed.text.clone(),
            },
        },
    }
}
