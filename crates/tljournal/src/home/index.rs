//! The index of SQLite's log, on filesystems whose blocks are smaller than a page of memory.
//!
//! SQLite maps `.state.db-shm` into memory, and gives it its length by writing one byte of each page. With blocks of
//! 1 KiB three quarters of it are holes then, and a store into one ends the process by SIGBUS when the disk is full.
//! So all of it is written before SQLite maps it. The first connection cuts the index to nothing, unless another
//! process holds a lock on a byte of it: this one does, from then on, through a description of its own, and has
//! emptied the index itself.

use std::fs::File;
use std::sync::{Mutex, PoisonError};

use super::layout::{RESERVE, SHM, STATE};
use crate::disk::{Dir, DiskError};
use crate::lock;
use crate::model::Identity;

/// The byte that every connection shares as long as it has the index open.
const SHARED_BYTE: i64 = 128;

/// What SQLite maps at a time: the index of 4096 frames.
const REGION_BYTES: u64 = 32 << 10;

/// How much of the index is kept for a log that is empty.
const REGIONS_MIN: u64 = 8;

/// How much at most is written at once: a log may claim any length.
const REGIONS_MAX: u64 = 128;

/// How much of the log a region is for, at least.
const LOG_BYTES_OF_REGION: u64 = 2 << 20;

/// To close one would drop the locks that SQLite has on it in this process.
static HELD: Mutex<Vec<(Identity, File)>> = Mutex::new(Vec::new());

/// Makes sure that the index of a log occupies what SQLite will map of it. Does nothing where that does so by itself.
///
/// # Errors
/// [`DiskError`] when there is no room for it, not even in the place of the reserve.
pub(crate) fn hold_index(home: &Dir, log_bytes: u64) -> Result<(), DiskError> {
    if !home.has_small_blocks()? {
        return Ok(());
    }
    let regions = REGIONS_MIN + log_bytes / LOG_BYTES_OF_REGION;
    let bytes = regions.min(REGIONS_MAX) * REGION_BYTES;
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let named = home.stat(SHM)?;
    let known = named.and_then(|stat| held.iter().position(|(index, _)| *index == stat.identity));
    let known = match known {
        Some(at) => at,
        None => {
            let file = home.open_lock_file(SHM)?;
            let identity = home.stat_open(&file)?.identity;
            let failed = |errno| DiskError::new("lock", home.path().join(SHM).as_str(), errno);
            // Alone only if no connection has it open: then nothing in it counts.
            if lock::hold_byte(&file, SHARED_BYTE, lock::Mode::Exclusive).map_err(failed)? {
                home.clear(&file, SHM)?;
            }
            let _shared =
                lock::hold_byte(&file, SHARED_BYTE, lock::Mode::Shared).map_err(failed)?;
            held.push((identity, file));
            held.len() - 1
        }
    };
    match home.occupy(&held[known].1, SHM, bytes) {
        Err(error) if error.is_full() && give_up_reserve(home) => {
            home.occupy(&held[known].1, SHM, bytes)
        }
        done => done,
    }
}

fn give_up_reserve(home: &Dir) -> bool {
    let state = home.open_dir(STATE);
    state.and_then(|state| state.remove_file(RESERVE)).is_ok()
}
