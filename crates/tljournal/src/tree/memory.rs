use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A memory budget that is handed out in a fixed order: each request is served only after all earlier ones, so an
/// earlier worker never waits for a later one.
pub(super) struct Memory {
    state: Mutex<State>,
    moved: Condvar,
}

struct State {
    next: usize,
    bytes_left: u64,
}

/// The right to request memory after all earlier turns. Dropping it ends the turn.
#[must_use = "later turns wait until this is dropped"]
pub(super) struct Turn<'a> {
    memory: &'a Memory,
    number: usize,
    is_over: bool,
}

/// A part of the budget, which is returned when this is dropped.
#[must_use = "the memory is returned to the budget when this is dropped"]
pub(super) struct Share<'a> {
    memory: &'a Memory,
    bytes: u64,
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        Self {
            state: Mutex::new(State {
                next: 0,
                bytes_left: bytes,
            }),
            moved: Condvar::new(),
        }
    }

    /// The turn with this number; every number must be used.
    pub(super) fn turn(&self, number: usize) -> Turn<'_> {
        Turn {
            memory: self,
            number,
            is_over: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, number: usize, bytes: u64) {
        let waits = |state: &mut State| state.next != number || state.bytes_left < bytes;
        let waited = self.moved.wait_while(self.lock(), waits);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.next += 1;
        state.bytes_left -= bytes;
        self.moved.notify_all();
    }
}

impl<'a> Turn<'a> {
    /// Waits for its turn and for this much memory, which is capped at the whole budget.
    pub(super) fn take(mut self, bytes: u64) -> Share<'a> {
        self.is_over = true;
        self.memory.take(self.number, bytes);
        Share {
            memory: self.memory,
            bytes,
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.memory.take(self.number, 0);
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.memory.lock().bytes_left += self.bytes;
        self.memory.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Every core had a decompressor of its own, so memory grew with the number of cores.
    #[test]
    fn the_budget_is_never_exceeded_and_served_in_order() {
        let (memory, held) = (Memory::new(128), AtomicU64::new(0));
        let (order, numbers) = (Mutex::new(Vec::new()), AtomicU64::new(60));
        crate::workers::together(60, || {
            let number = numbers.fetch_sub(1, Ordering::SeqCst) as usize - 1;
            let turn = memory.turn(number);
            if number.is_multiple_of(7) {
                return;
            }
            let bytes = [0, 64, 128][number % 3];
            let share = turn.take(bytes);
            let before = held.fetch_add(bytes, Ordering::SeqCst);
            assert!(before + bytes <= 128, "{number}");
            if bytes == 128 {
                order.lock().unwrap().push(number);
            }
            std::thread::yield_now();
            held.fetch_sub(bytes, Ordering::SeqCst);
            drop(share);
        });
        let order = order.into_inner().unwrap();
        assert_eq!(order.len(), 17);
        assert!(order.is_sorted(), "{order:?}");
        assert_eq!(memory.lock().bytes_left, 128);
    }
}
