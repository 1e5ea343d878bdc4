use tljournal::NamedPath;
use tljournal_cli::describe::{Action, Description};

/// Reads bytes as the description of `apply`. What is understood is what was said: paths are plain, and
/// modes are modes.
///
/// # Panics
/// If a promise is broken.
pub fn describe(bytes: &[u8]) {
    let read = match Description::parse(bytes) {
        Ok(read) => read,
        Err(error) => {
            let told = error.to_string();
            assert!(!told.is_empty());
            // A message is for people: it does not grow beyond what was read.
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
            // What is absolute is looked for below the root, and refused elsewhere.
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
