use std::process::{Child, Command};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// A child process shares all locks of its parent from fork to exec. A test that checks the result of a cleanup must
/// exclude that.
static FORKS: RwLock<()> = RwLock::new(());

/// Prevents this process from starting others while the guard exists.
pub fn quiet() -> RwLockReadGuard<'static, ()> {
    FORKS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process while no guard exists.
///
/// # Panics
/// When it cannot be started.
pub fn start(command: &mut Command) -> Child {
    let _alone = FORKS.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn().expect("a process that starts")
}
