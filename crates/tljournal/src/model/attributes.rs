use super::{Digest, Hasher};

/// The extended attributes that users and programs set on a file or directory: user and trusted attributes, ACLs,
/// capabilities. Attributes that the kernel sets by itself, such as SELinux labels, and those that overlay
/// filesystems use internally are excluded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<Attribute>);

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute {
    /// With its namespace, such as `user.note`.
    pub name: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// The capabilities of a program.
pub const CAPABILITY: &str = "security.capability";
/// Access for further users and groups.
pub const ACL: &str = "system.posix_acl_access";
/// The ACL that new entries of a directory inherit.
pub const DEFAULT_ACL: &str = "system.posix_acl_default";

impl Attributes {
    /// Whether an attribute of this name is included.
    #[must_use]
    pub fn counts(name: &str) -> bool {
        let of_overlays = ["user.overlay.", "user.fuseoverlayfs.", "trusted.overlay."];
        [CAPABILITY, ACL, DEFAULT_ACL].contains(&name)
            || (name.starts_with("user.") || name.starts_with("trusted."))
                && !of_overlays.iter().any(|own| name.starts_with(own))
    }

    /// Sorts attributes by name.
    #[must_use]
    pub fn new(mut all: Vec<Attribute>) -> Self {
        all.sort();
        Self(all)
    }

    /// All attributes, sorted by name.
    #[must_use]
    pub fn all(&self) -> &[Attribute] {
        &self.0
    }

    /// The value of one attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|attribute| attribute.name == name);
        found.map(|attribute| attribute.value.as_slice())
    }

    /// All attributes but the named one.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|attribute| attribute.name != name);
        self
    }

    /// Their names, for display.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(Attribute::told).collect();
        names.join(", ")
    }

    /// A number that differs if the attributes differ; 0 if there are none.
    #[must_use]
    pub fn mark(&self) -> u64 {
        if self.0.is_empty() {
            return 0;
        }
        let mut hasher = Hasher::default();
        for Attribute { name, value } in &self.0 {
            for part in [name.as_bytes(), value] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        let digest: Digest = hasher.finish();
        let first = digest.as_bytes().first_chunk().copied();
        u64::from_le_bytes(first.unwrap_or_default()).max(1)
    }
}

impl Attribute {
    /// The attribute, for display.
    #[must_use]
    pub fn told(&self) -> String {
        match self.name.as_str() {
            CAPABILITY => "its capabilities".to_owned(),
            ACL => "its ACL".to_owned(),
            DEFAULT_ACL => "its default ACL".to_owned(),
            name => format!("the attribute {}", name.escape_debug()),
        }
    }
}

/// The permission bits that a default ACL leaves of the mode requested for a new file; `None` if the bytes are not an
/// ACL.
#[must_use]
pub fn mode_by_acl(acl: &[u8], mode: u32) -> Option<u32> {
    let acl = Classes::of(acl)?;
    let bits = acl.user << 6 | acl.mask.unwrap_or(acl.group) << 3 | acl.other;
    Some(mode & (bits | 0o7000))
}

/// The permissions that an access ACL gives to the owning group, which the mode does not show: its bits for the group
/// are the mask. `None` if the bytes are not an ACL.
#[must_use]
pub fn group_by_acl(acl: &[u8]) -> Option<u32> {
    let acl = Classes::of(acl)?;
    Some(acl.group & acl.mask.unwrap_or(7))
}

/// The entries of an ACL that name neither a user nor a group.
struct Classes {
    user: u32,
    group: u32,
    mask: Option<u32>,
    other: u32,
}

impl Classes {
    fn of(acl: &[u8]) -> Option<Self> {
        const VERSION: [u8; 4] = [2, 0, 0, 0];
        let (entries, rest) = acl.strip_prefix(&VERSION)?.as_chunks::<8>();
        if !rest.is_empty() {
            return None;
        }
        let mut all = Self {
            user: 7,
            group: 7,
            mask: None,
            other: 7,
        };
        for entry in entries {
            let permissions = u32::from(entry[2] & 7);
            match u16::from_le_bytes([entry[0], entry[1]]) {
                0x01 => all.user = permissions,
                0x04 => all.group = permissions,
                0x10 => all.mask = Some(permissions),
                0x20 => all.other = permissions,
                _ => {}
            }
        }
        Some(all)
    }
}

/// The same ACL with all permissions for the owner; the mode that is set afterwards defines the owner's permissions.
#[must_use]
pub fn with_all_for_owner(mut acl: Vec<u8>) -> Vec<u8> {
    let entries = acl.get_mut(4..).unwrap_or_default().chunks_exact_mut(8);
    for entry in entries.filter(|entry| entry[..2] == [1, 0]) {
        entry[2] = 7;
    }
    acl
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(name: &str, value: &[u8]) -> Attribute {
        let (name, value) = (name.to_owned(), value.to_vec());
        Attribute { name, value }
    }

    #[test]
    fn attributes_of_the_kernel_and_of_overlays_are_ignored() {
        for name in ["user.x", "trusted.x", CAPABILITY, ACL, DEFAULT_ACL] {
            assert!(Attributes::counts(name), "{name}");
        }
        for name in [
            "security.selinux",
            "trusted.overlay.opaque",
            "user.overlay.x",
            "system.x",
        ] {
            assert!(!Attributes::counts(name), "{name}");
        }
    }

    #[test]
    fn a_mark_depends_on_the_attributes_but_not_on_their_order() {
        let (a, b) = (attribute("user.a", b"bc"), attribute("user.b", b"x"));
        let both = Attributes::new(vec![a.clone(), b.clone()]);
        assert_eq!(both.mark(), Attributes::new(vec![b, a.clone()]).mark());
        assert_ne!(both.mark(), Attributes::new(vec![a]).mark());
        let other = Attributes::new(vec![attribute("user.ab", b"c")]);
        assert_ne!(
            other.mark(),
            Attributes::new(vec![attribute("user.a", b"bc")]).mark()
        );
        assert_eq!(Attributes::default().mark(), 0);
    }

    #[test]
    fn a_default_acl_limits_the_mode_of_a_new_file() {
        let entry = |tag: u8, permissions: u8| [tag, 0, permissions, 0, 255, 255, 255, 255];
        let acl = |entries: &[[u8; 8]]| [&[2, 0, 0, 0][..], &entries.concat()].concat();
        let named = acl(&[
            entry(1, 7),
            entry(2, 6),
            entry(4, 5),
            entry(0x10, 4),
            entry(0x20, 0),
        ]);
        assert_eq!(mode_by_acl(&named, 0o666), Some(0o640));
        assert_eq!(group_by_acl(&named), Some(4));
        let plain = acl(&[entry(1, 7), entry(4, 5), entry(0x20, 1)]);
        assert_eq!(mode_by_acl(&plain, 0o777), Some(0o751));
        assert_eq!(group_by_acl(&plain), Some(5));
        assert_eq!(mode_by_acl(b"\x01\0\0\0", 0o666), None);
        let without = acl(&[entry(1, 6), entry(4, 5)]);
        assert_eq!(
            with_all_for_owner(without),
            acl(&[entry(1, 7), entry(4, 5)])
        );
        assert_eq!(with_all_for_owner(vec![2]), [2]);
    }
}
