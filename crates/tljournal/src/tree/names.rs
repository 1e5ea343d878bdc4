use super::TreeError;

/// The deepest level below the root.
const LEVELS_MAX: usize = 256;
/// The longest path that one system call accepts, in bytes, without the final NUL.
const PATH_BYTES_MAX: usize = 4095;
/// The longest component that Linux filesystems accept, in bytes.
const COMPONENT_BYTES_MAX: usize = 255;

/// The normalized path below the root, empty for the root itself: `./a//b/` is `a/b`.
pub(super) fn clean(raw: &[u8]) -> Result<String, TreeError> {
    let leaves = |why| {
        let entry = shown(raw);
        Err(TreeError::Leaves { entry, why })
    };
    let Ok(path) = std::str::from_utf8(raw) else {
        return Err(not_utf8(raw));
    };
    if path.starts_with('/') {
        return leaves("it is absolute");
    }
    let mut kept = String::with_capacity(path.len());
    for part in path.split('/') {
        match part {
            "" | "." => continue,
            ".." => return leaves("it climbs with `..`"),
            _ => {}
        }
        if !kept.is_empty() {
            kept.push('/');
        }
        kept.push_str(part);
    }
    check(&kept)?;
    Ok(kept)
}

/// A name in an archive without leading slashes: absolute names are relative to the root of the tree.
pub(super) fn relative(raw: &[u8]) -> &[u8] {
    let begin = raw.iter().position(|byte| *byte != b'/');
    &raw[begin.unwrap_or(raw.len())..]
}

/// Refuses paths that no system call accepts, and paths that are too deep.
pub(super) fn check(path: &str) -> Result<(), TreeError> {
    let why = if path.contains('\0') {
        "its name contains a NUL byte"
    } else if path.len() > PATH_BYTES_MAX {
        "its path is longer than 4095 bytes"
    } else if path.split('/').any(|part| part.len() > COMPONENT_BYTES_MAX) {
        "a component of its path is longer than 255 bytes"
    } else if path.split('/').count() > LEVELS_MAX {
        "it lies deeper than 256 levels"
    } else {
        return Ok(());
    };
    let entry = shown(path);
    Err(TreeError::Name { entry, why })
}

pub(super) fn not_utf8(raw: &[u8]) -> TreeError {
    TreeError::Name {
        entry: shown(raw),
        why: "its name is not UTF-8",
    }
}

/// The path of `name` in the directory `parent`.
pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        return name.to_owned();
    }
    format!("{parent}/{name}")
}

/// The parent directory of `path`.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// A name for display: control characters and invalid UTF-8 are escaped, the root is `.`.
pub(super) fn shown(raw: impl AsRef<[u8]>) -> String {
    let raw = raw.as_ref();
    if raw.is_empty() {
        return ".".to_owned();
    }
    let mut out = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        out.extend(chunk.valid().escape_debug());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalized_and_hostile_ones_are_refused_escaped() {
        assert_eq!(clean(b"./a//b/").unwrap(), "a/b");
        assert_eq!(clean(b"./").unwrap(), "");
        assert_eq!(clean("ä b\n".as_bytes()).unwrap(), "ä b\n");
        for (bad, told) in [
            (&b"/etc/passwd"[..], "it is absolute"),
            (b"a/../../b", "climbs"),
            (b"a\0b", "`a\\0b`: its name contains a NUL"),
            (b"a\xffb\n", "`a\\xffb\\n`: its name is not UTF-8"),
            (&[b'a'; 256], "255 bytes"),
            (&b"a/".repeat(257), "256 levels"),
            (&b"long/".repeat(900), "4095"),
        ] {
            let error = clean(bad).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
