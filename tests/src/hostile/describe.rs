use tljournal::NamedPath;
use tljournal_cli::describe::{Action, Description};

/// Parses bytes as a description for `apply`. The result must be well-formed: plain paths and valid modes.
///
/// # Panics
/// If a guarantee is violated.
pub fn describe(bytes: &[u8]) {
    let read = match Description::parse(bytes) {
        Ok(read) => read,
        Err(error) => {
            let told = error.to_string();
            assert!(!told.is_empty());
            // An error message must not grow beyond the input.
            assert!(
                told.len() <= 1024 + 12 * bytes.len(),
                "{} bytes",
                told.len()
            );
            return;
        }
    };
    assert!(!read.changes.is_empty(), "a description without changes");
    for change in &read.changes {
        let NamedPath::Below(path) = &change.path else {
            // An absolute path is resolved below the root, and refused elsewhere.
            assert!(change.path.to_string().len() <= 4095);
            continue;
        };
        let path = path.as_str();
        assert!(!path.starts_with('/') && !path.contains('\0'), "{path:?}");
        let plain = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
        assert!(path.split('/').all(plain), "{path:?}");
        match &change.action {
            Action::Put { mode, .. } => assert!(mode.is_none_or(|mode| mode <= 0o7777)),
            Action::Link { target } => assert!(!target.is_empty()),
            Action::Tree { from, .. } => assert!(from != "" && from != "-"),
            Action::Remove => {}
        }
    }
}
