/// Paths that hold private keys and credentials, whose content is never retained. Other files are not retained either
/// if their content [is a key](super::holds_private_key).
///
/// A pattern that ends with a slash names a directory, at any depth, with everything below it; one that begins with a
/// star is a suffix of file names; any other one is a file name. Case is ignored, and so is a suffix of a copy: `~`,
/// `.bak`, `.old`, `.orig` and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMaterial(Vec<String>);

/// The directories of Bottlerocket's signing keys, and common names of files with keys and credentials.
const PATTERNS: [&str; 50] = [
    "sbkeys/",
    "keys/",
    ".ssh/",
    ".gnupg/",
    "private-keys-v1.d/",
    ".aws/",
    ".azure/",
    ".docker/",
    ".kube/",
    "*.pem",
    "*.key",
    "*.priv",
    "*.p8",
    "*.p12",
    "*.pkcs12",
    "*.pfx",
    "*.ppk",
    "*.jks",
    "*.jceks",
    "*.keystore",
    "*.keytab",
    "*.kdbx",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_ecdsa_sk",
    "id_ed25519_sk",
    "ssh_host_rsa_key",
    "ssh_host_dsa_key",
    "ssh_host_ecdsa_key",
    "ssh_host_ed25519_key",
    "secring.gpg",
    "key3.db",
    "key4.db",
    "kubeconfig",
    "credentials.json",
    "service-account.json",
    "signing_key",
    "signing-key",
    ".env",
    ".netrc",
    "_netrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
    ".dockercfg",
    ".vault_pass",
    ".vault-token",
];

/// Suffixes of copies.
const OF_COPIES: [&str; 10] = [
    "~", ".bak", ".backup", ".old", ".orig", ".save", ".saved", ".copy", ".new", ".tmp",
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

    /// Whether the path, or what is below it if it is a directory, is key material.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        let path = path.to_lowercase();
        let names: Vec<_> = path.split('/').collect();
        let last = without_additions(names.last().copied().unwrap_or_default());
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

/// The name without the suffixes of copies.
fn without_additions(name: &str) -> &str {
    let mut name = name;
    while let Some(shorter) = OF_COPIES.iter().find_map(|end| name.strip_suffix(end)) {
        name = shorter;
    }
    name
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
            "etc/ssh/ssh_host_ed25519_key",
            "a/key.pem.old",
            "a/tls.key.orig~",
            ".env",
            "x/id_ed25519_sk",
        ] {
            assert!(keys.is_at(key), "{key}");
        }
        for other in [
            "keysmith/a",
            "monkeys",
            "x.pem.txt",
            "build/tools",
            "notroot.json",
            "id_rsa.pub",
            "environment",
            "",
        ] {
            assert!(!keys.is_at(other), "{other}");
        }
    }
}
