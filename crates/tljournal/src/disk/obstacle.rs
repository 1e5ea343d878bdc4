//! The reasons why an entry cannot be deleted, and the shell command that deletes it.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};

use super::{Descent, Dir, DiskError, Step};
use crate::model::{Kind, Stat};

/// A reason why an entry cannot be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    path: Utf8PathBuf,
    kind: ObstacleKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ObstacleKind {
    /// A mount point.
    Mount,
    /// An immutable entry.
    Immutable,
    /// An append-only entry.
    AppendOnly,
    /// A directory of this user without permissions for its owner.
    Closed,
    /// A directory of another user.
    Foreign(u32),
    /// A read-only filesystem.
    ReadOnly,
}

/// The largest number of obstacles reported.
const OBSTACLES_MAX: usize = 4;
/// The largest number of entries examined.
const ENTRIES_MAX: usize = 100_000;

impl Dir {
    /// The reasons why this user cannot delete an entry, as far as they are visible.
    pub(crate) fn obstacles(&self, name: &OsStr, uid: u32) -> Vec<Obstacle> {
        let mut found = Vec::new();
        if let Err(error) = self.find_obstacles(name, uid, &mut found) {
            tracing::debug!(%error, "the search for what prevents a deletion ended early");
        }
        found
    }

    /// The attribute that keeps an entry from being written, if it has one.
    pub(crate) fn attribute_of(&self, name: &str) -> Option<&'static str> {
        let stat = self.stat(name).ok().flatten()?;
        match self.obstacle(name.as_ref(), &stat, 0)? {
            ObstacleKind::Immutable => Some("it is immutable (chattr +i)"),
            ObstacleKind::AppendOnly => Some("it is append-only (chattr +a)"),
            _ => None,
        }
    }

    fn find_obstacles(
        &self,
        name: &OsStr,
        uid: u32,
        found: &mut Vec<Obstacle>,
    ) -> Result<(), DiskError> {
        let (mut walk, mut left) = (Descent::through(self, vec![name.to_owned()])?, ENTRIES_MAX);
        while let Some(step) = walk.step()? {
            if left == 0 || found.len() >= OBSTACLES_MAX {
                break;
            }
            let Step::Entry(name) = step else {
                continue;
            };
            let Ok(Some(stat)) = walk.here().stat(&name) else {
                continue;
            };
            left -= 1;
            let kind = walk.here().obstacle(&name, &stat, uid);
            if let Some(kind) = kind {
                let path = walk.here().shown(&name);
                found.push(Obstacle { path, kind });
            }
            if stat.kind == Kind::Dir
                && kind != Some(ObstacleKind::Mount)
                && let Err(error) = walk.enter(&name)
            {
                tracing::debug!(%error, "a directory cannot be searched for what prevents its deletion");
            }
        }
        Ok(())
    }

    fn obstacle(&self, name: &OsStr, stat: &Stat, uid: u32) -> Option<ObstacleKind> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let told = rustix::fs::statx(&self.fd, name.as_bytes(), flags, StatxFlags::BASIC_STATS);
        let attributes = told.map_or(StatxAttributes::empty(), |told| told.stx_attributes);
        let here = self.own_stat().ok()?;
        let is_foreign = stat.kind == Kind::Dir && uid != 0 && stat.uid != uid;
        if attributes.contains(StatxAttributes::MOUNT_ROOT)
            || (here.dev, here.mount) != (stat.dev, stat.mount)
        {
            Some(ObstacleKind::Mount)
        } else if attributes.contains(StatxAttributes::IMMUTABLE) {
            Some(ObstacleKind::Immutable)
        } else if attributes.contains(StatxAttributes::APPEND) {
            Some(ObstacleKind::AppendOnly)
        } else if is_foreign {
            Some(ObstacleKind::Foreign(stat.uid))
        } else {
            let is_closed = stat.kind == Kind::Dir && uid != 0 && stat.mode & 0o700 != 0o700;
            is_closed.then_some(ObstacleKind::Closed)
        }
    }

    /// Whether the filesystem, or the mount through which this directory was opened, is read-only.
    pub(crate) fn read_only(&self) -> Option<Obstacle> {
        let told = rustix::fs::fstatvfs(&self.fd).ok()?;
        let is_it = told.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY);
        let kind = ObstacleKind::ReadOnly;
        is_it.then(|| Obstacle {
            path: self.path.clone(),
            kind,
        })
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_str().escape_debug();
        match self.kind {
            ObstacleKind::Mount => write!(f, "`{path}` is a mount point"),
            ObstacleKind::Immutable => write!(f, "`{path}` is immutable"),
            ObstacleKind::AppendOnly => write!(f, "`{path}` is append-only"),
            ObstacleKind::Closed => write!(f, "`{path}` is closed to its owner"),
            ObstacleKind::Foreign(uid) => write!(f, "`{path}` belongs to user {uid}"),
            ObstacleKind::ReadOnly => write!(f, "the filesystem of `{path}` is read-only"),
        }
    }
}

/// The shell command that removes the obstacles and deletes the entry.
pub(crate) fn removal(top: &Utf8Path, obstacles: &[Obstacle]) -> String {
    let (mut commands, top) = (Vec::new(), quoted(top));
    let of = |kinds: &[ObstacleKind]| {
        let those = obstacles.iter().filter(|it| kinds.contains(&it.kind));
        let paths: Vec<_> = those.map(|it| quoted(&it.path)).collect();
        paths.join(" ")
    };
    let read_only = of(&[ObstacleKind::ReadOnly]);
    if !read_only.is_empty() {
        commands.push(format!(
            "sudo mount -o remount,rw \"$(findmnt -no TARGET -T {read_only})\""
        ));
    }
    let mounts = of(&[ObstacleKind::Mount]);
    if !mounts.is_empty() {
        commands.push(format!("sudo umount -R {mounts}"));
    }
    if !of(&[ObstacleKind::Immutable, ObstacleKind::AppendOnly]).is_empty() {
        commands.push(format!("sudo chattr -R -i -a {top}"));
    }
    let needs_root = |it: &Obstacle| it.kind != ObstacleKind::Closed;
    let sudo = match obstacles.iter().any(needs_root) {
        true => "sudo ",
        false => "",
    };
    if sudo.is_empty() && !obstacles.is_empty() {
        // Files keep their modes: they may have other names.
        commands.push(format!(
            "find {top} -xdev -type d -exec chmod u+rwx {{}} \\;"
        ));
    }
    commands.push(format!("{sudo}rm -rf --one-file-system {top}"));
    commands.join(" && ")
}

/// A path quoted for a shell.
fn quoted(path: &Utf8Path) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@,%".contains(c);
    match path.as_str() {
        path if path.starts_with('/') && path.chars().all(is_plain) => path.to_owned(),
        path => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, kind: ObstacleKind) -> Obstacle {
        let path = path.into();
        Obstacle { path, kind }
    }

    #[test]
    fn g12_the_command_removes_every_obstacle_first() {
        let top = Utf8Path::new("/p/it's 1");
        assert_eq!(
            removal(top, &[]),
            r"rm -rf --one-file-system '/p/it'\''s 1'"
        );
        assert_eq!(
            removal(Utf8Path::new("/p/x"), &[at("/p/x/d", ObstacleKind::Closed)]),
            r"find /p/x -xdev -type d -exec chmod u+rwx {} \; && rm -rf --one-file-system /p/x"
        );
        let all = [
            at("/p/x/m", ObstacleKind::Mount),
            at("/p/x/f", ObstacleKind::Immutable),
            at("/p/x/d", ObstacleKind::Foreign(0)),
        ];
        let command = "sudo umount -R /p/x/m && sudo chattr -R -i -a /p/x && sudo rm -rf --one-file-system /p/x";
        assert_eq!(removal(Utf8Path::new("/p/x"), &all), command);
        let told: Vec<_> = all.iter().map(ToString::to_string).collect();
        let wanted = [
            "`/p/x/m` is a mount point",
            "`/p/x/f` is immutable",
            "`/p/x/d` belongs to user 0",
        ];
        assert_eq!(told, wanted);
    }
}
