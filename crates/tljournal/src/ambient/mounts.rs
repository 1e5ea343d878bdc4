//! Mounts and swap areas, from `/proc`; empty if `/proc` is not mounted.

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The device of the filesystem: major and minor number.
    pub(crate) device: (u32, u32),
    /// Where it is mounted.
    pub(crate) at: String,
    /// The name of the filesystem, such as `ext4` or `fuse.sshfs`.
    pub(crate) kind: String,
}

/// The mounts that this process can see.
pub(crate) fn mounts() -> Vec<Mount> {
    lines("/proc/self/mountinfo", mount_in)
}

/// The files and devices used as swap.
pub(crate) fn swaps() -> Vec<String> {
    // The first line has the names of the columns.
    lines("/proc/swaps", |line| {
        let path = line.split_whitespace().next()?;
        path.starts_with('/').then(|| plain(path))
    })
}

fn lines<T>(path: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(read).collect()
}

fn mount_in(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut words = mount.split(' ');
    let (major, minor) = words.nth(2)?.split_once(':')?;
    Some(Mount {
        device: (major.parse().ok()?, minor.parse().ok()?),
        at: plain(words.nth(1)?),
        kind: filesystem.split(' ').next()?.to_owned(),
    })
}

/// A path with the kernel's escapes for blanks (a backslash and three octal digits) decoded.
fn plain(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match escaped.filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_mount_list_has_device_path_and_type() {
        let line = r"36 35 98:2 /mnt1 /a\040b\134c rw,noatime master:1 - fuse.fuse-overlayfs x rw";
        let mount = Mount {
            device: (98, 2),
            at: r"/a b\c".to_owned(),
            kind: "fuse.fuse-overlayfs".to_owned(),
        };
        assert_eq!(mount_in(line), Some(mount));
        assert_eq!(mount_in("36 35 98:2 /mnt1"), None);
        assert!(mounts().iter().any(|mount| mount.at == "/"));
    }
}
