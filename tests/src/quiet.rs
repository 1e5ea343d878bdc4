use std::process::{Child, Command};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// A child has all locks of its parent from the fork to its exec. Whoever checks what a sweep has left
/// does not want that to happen meanwhile.
static FORKS: RwLock<()> = RwLock::new(());

/// Keeps this process from starting others, as long as the guard lives.
pub fn quiet() -> RwLockReadGuard<'static, ()> {
    FORKS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process while nobody wants quiet.
///
/// # Panics
/// When it cannot be started.
pub fn start(command: &mut Command) -> Child {
    let _alone = FORKS.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn().expect("a process that starts")
}
