/// Which paths hold private keys: what is there is never kept.
///
/// A pattern that ends with a slash names a directory, at any depth, with everything below it; one that
/// begins with a star names how the names of files end; any other one is the name of a file. Case does not
/// count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMaterial(Vec<String>);

/// Where Bottlerocket's build keeps its signing keys, and what key files are called everywhere.
const PATTERNS: [&str; 13] = [
    "sbkeys/",
    "keys/",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    ".netrc",
    ".git-credentials",
];

impl Default for KeyMaterial {
    fn default() -> Self {
        Self(PATTERNS.map(str::to_owned).to_vec())
    }
}

impl KeyMaterial {
    /// Adds a pattern.
    #[must_use]
    pub fn and(mut self, pattern: &str) -> Self {
        self.0.push(pattern.to_lowercase());
        self
    }

    /// Whether what is at a path, or would be below it if it is a directory, is key material.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        let path = path.to_lowercase();
        let names: Vec<_> = path.split('/').collect();
        let last = names.last().copied().unwrap_or_default();
        self.0.iter().any(|pattern| {
            if let Some(dir) = pattern.strip_suffix('/') {
                names.contains(&dir)
            } else if let Some(end) = pattern.strip_prefix('*') {
                last.ends_with(end)
            } else {
                last == pattern
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_directory_ending_or_name() {
        let keys = KeyMaterial::default().and("Root.JSON").and("vault/");
        for key in [
            "build/sbkeys/x/y",
            "keys",
            "a/Keys/b",
            "x.pem",
            "a/b/X.PEM",
            "sub/root.json",
            "home/.ssh/id_ed25519",
            "vault/a",
        ] {
            assert!(keys.is_at(key), "{key}");
        }
        for other in [
            "keysmith/a",
            "monkeys",
            "x.pem.txt",
            "build/tools",
            "notroot.json",
            "",
        ] {
            assert!(!keys.is_at(other), "{other}");
        }
    }
}
