use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::disk::Dir;
use crate::workers;

/// The number of threads worth starting.
pub(crate) fn cores() -> usize {
    // Determining it reads several files of the control group, so it is cached.
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// The number of threads that write below a directory, besides the reading one: none with a witness, so that the
/// order of its calls is reproducible.
pub(super) fn writers(root: &Dir) -> usize {
    match root.disk().is_witnessed() {
        true => 0,
        false => cores(),
    }
}

/// Runs `step` for every number below `count` on all cores, which take `grain` numbers at a time, and returns the
/// states that the workers collected their results in. So few as one worker takes at a time need no thread.
///
/// # Errors
/// The error of the lowest number that failed, of those that were tried.
pub(super) fn spread<S: Default + Send, E: Send>(
    count: usize,
    grain: usize,
    step: impl Fn(&mut S, usize) -> Result<(), E> + Sync,
) -> Result<Vec<S>, E> {
    let threads = if count > grain { cores() } else { 1 };
    spread_on(threads, count, grain, step)
}

/// The same on so many threads.
pub(super) fn spread_on<S: Default + Send, E: Send>(
    threads: usize,
    count: usize,
    grain: usize,
    step: impl Fn(&mut S, usize) -> Result<(), E> + Sync,
) -> Result<Vec<S>, E> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let failure: Mutex<Option<(usize, E)>> = Mutex::new(None);
    let work = || {
        let mut state = S::default();
        loop {
            let start = next.fetch_add(grain, Ordering::Relaxed);
            if start >= count || stop.load(Ordering::Relaxed) {
                return state;
            }
            for number in start..count.min(start + grain) {
                if let Err(error) = step(&mut state, number) {
                    stop.store(true, Ordering::Relaxed);
                    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                    if failure.as_ref().is_none_or(|(first, _)| number < *first) {
                        *failure = Some((number, error));
                    }
                    return state;
                }
            }
        }
    };
    let states = Mutex::new(Vec::new());
    workers::together(threads.min(count.div_ceil(grain)), || {
        let state = work();
        states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(state);
    });
    let states = states.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    match failure {
        Some((_, error)) => Err(error),
        None => Ok(states),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_taken_once_and_the_first_failure_is_returned() {
        let states: Vec<Vec<usize>> = spread_on(4, 1000, 7, |seen: &mut Vec<usize>, number| {
            seen.push(number);
            Ok::<_, ()>(())
        })
        .unwrap();
        let mut all = states.concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        let failed = spread_on(2, 10, 1, |(): &mut (), number| Err::<(), _>(number));
        assert_eq!(failed, Err(0));
    }
}
