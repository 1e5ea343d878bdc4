use super::{Stat, group_by_acl};

/// Which users may use the journal's own files: the owner of the home, or all members of its group if the group may
/// write in the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The owner of the home; `None` where it is not known.
    pub owner: Option<u32>,
    /// The group that shares the home.
    pub group: Option<u32>,
}

/// The permission that lets a group write.
const WRITES: u32 = 0o2;

impl Access {
    /// One user only, not named here.
    pub const PRIVATE: Self = Self {
        owner: None,
        group: None,
    };

    /// Derived from the mode of the home and its access ACL, if it has one.
    #[must_use]
    pub fn of_home(home: &Stat, acl: Option<&[u8]>) -> Self {
        let group = acl.and_then(group_by_acl).unwrap_or(home.mode >> 3);
        Self {
            owner: Some(home.uid),
            group: (group & WRITES != 0).then_some(home.gid),
        }
    }

    /// Whether this is for a user in these groups.
    #[must_use]
    pub fn is_for(self, uid: u32, groups: &[u32]) -> bool {
        uid == 0
            || self.owner == Some(uid)
            || self.group.is_some_and(|group| groups.contains(&group))
    }

    /// The permission bits of a directory.
    #[must_use]
    pub fn dir_mode(self) -> u32 {
        self.group.map_or(0o700, |_| 0o770)
    }

    /// The permission bits of a file.
    #[must_use]
    pub fn file_mode(self) -> u32 {
        self.group.map_or(0o600, |_| 0o660)
    }

    /// Whether something has these permission bits and, if the home is shared, this group. A setgid bit, which a
    /// directory inherits, is ignored.
    #[must_use]
    pub fn is_of(self, stat: &Stat, mode: u32) -> bool {
        stat.mode & 0o777 == mode && self.group.is_none_or(|group| group == stat.gid)
    }
}
