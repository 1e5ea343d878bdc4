use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// More calls than any case makes: reaching this means that the end is never detected.
const CALLS_MAX: usize = 2000;

/// Most of the time is spent waiting for syncs.
const WORKERS: usize = 6;

/// Runs `act` for each of these in order until it returns that one is beyond the end, several concurrently; returns
/// how many were not.
///
/// # Panics
/// When there is no end, or `act` panics.
pub fn at_every<T: Send>(
    points: impl Iterator<Item = T> + Send,
    act: impl Fn(T) -> bool + Sync,
) -> usize {
    let points = Mutex::new(points.take(2 * CALLS_MAX));
    let (ended, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while !ended.load(Ordering::Acquire) {
                    let point = points.lock().expect("a lock").next().expect("an end");
                    match act(point) {
                        true => count.fetch_add(1, Ordering::AcqRel),
                        false => return ended.store(true, Ordering::Release),
                    };
                }
            });
        }
    });
    count.into_inner()
}
