//! Locks on trees that are held by users who may not use the home: any user who may read a directory can lock it.

use super::holder::tell;
use crate::ambient;
use crate::model::Access;

/// Describes the processes that hold a lock on this inode, if all of them belong to users who may not use the home.
///
/// A lock that the kernel does not list may be held by a user of the home in another pid namespace. Of a lock whose
/// taker has exited, this user sees only the heirs among the processes of its own: another user can pass a lock on to
/// processes that cannot be examined, so those do not count.
pub(crate) fn held_by_others(ino: u64, access: Access) -> Option<String> {
    let locks = ambient::locks();
    if access.owner.is_none() || !ambient::is_lock_listed(&locks, ino) {
        return None;
    }
    let mut holders = ambient::lock_holders_among(&locks, ino);
    holders.extend(ambient::lock_heirs(ino));
    holders.sort_unstable();
    holders.dedup_by_key(|holder| holder.pid);
    let is_other = |pid| {
        let user = ambient::user_of(pid);
        user.is_some_and(|(uid, groups)| !access.is_for(uid, &groups) && uid != ambient::uid())
    };
    let all = holders.iter().all(|holder| is_other(holder.pid));
    all.then(|| tell(&holders, true))
}
