//! The locks that the threads of this process hold, by any handle: used to refuse a wait of a thread for itself, and
//! to detect deadlocks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::Engine;
use crate::ambient::Maker;
use crate::lineage::{Holding, Thing};
use crate::lock::Mode;
use crate::pin::HomeKey;

static OWN: Mutex<Vec<Own>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Own {
    number: u64,
    /// The home that it belongs to.
    home: HomeKey,
    held: Holding,
    thread: ThreadId,
    maker: Maker,
}

/// Something that a thread of this process holds until this is dropped.
#[derive(Debug)]
pub(crate) struct OwnHold(u64, Maker);

impl Engine {
    /// Notes that this thread holds something from now on.
    pub(crate) fn note_own(&self, held: Holding) -> OwnHold {
        let mut all = all();
        let number = all.last().map_or(0, |last| last.number + 1);
        all.push(Own {
            number,
            home: self.home_key(),
            held,
            thread: thread::current().id(),
            maker: Maker::here(),
        });
        OwnHold(number, Maker::here())
    }

    /// The mode in which this thread holds something.
    pub(crate) fn own_mode(&self, thing: &Thing) -> Option<Mode> {
        let own = self.own_holds().into_iter();
        let modes = own.filter(|held| held.thing.is(thing));
        modes
            .map(|held| held.mode)
            .max_by_key(|mode| *mode == Mode::Exclusive)
    }

    /// What this thread holds of this home, and lock files, which belong to no home.
    pub(super) fn own_holds(&self) -> Vec<Holding> {
        let (home, thread) = (self.home_key(), thread::current().id());
        let of_home = |own: &&Own| own.home == home || matches!(own.held.thing, Thing::File(_));
        let all = all();
        // After a fork the child has the same thread number.
        let own = all
            .iter()
            .filter(|own| own.thread == thread && own.maker.is_here());
        own.filter(of_home).map(|own| own.held.clone()).collect()
    }

    pub(crate) fn home_key(&self) -> HomeKey {
        (self.home.state_stat.dev, self.home.state_stat.identity)
    }
}

impl OwnHold {
    /// Notes that this thread uses it now, after it was moved here.
    pub(crate) fn is_used(&self) {
        if let Some(own) = all().iter_mut().find(|own| own.number == self.0) {
            own.thread = thread::current().id();
        }
    }
}

impl Drop for OwnHold {
    fn drop(&mut self) {
        // Another thread of the parent may have held the mutex at the time of the fork.
        if self.1.is_here() {
            all().retain(|own| own.number != self.0);
        }
    }
}

fn all() -> MutexGuard<'static, Vec<Own>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}
