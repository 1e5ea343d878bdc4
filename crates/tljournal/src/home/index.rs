//! The index of SQLite's log, on filesystems with blocks smaller than a memory page.
//!
//! SQLite maps `.state.db-shm` into memory, and sets its length by writing one byte of each page. With blocks of 1
//! KiB three quarters of it are then holes, and on a full disk a store into one kills the process with SIGBUS. So the
//! whole index is written before SQLite maps it. The first connection truncates the index unless another process
//! holds a lock on one of its bytes: this process takes that lock through a description of its own, after clearing
//! the index itself.

use std::fs::File;
use std::sync::{Mutex, PoisonError};

use super::layout::{RESERVE, SHM, STATE, WAL};
use crate::disk::{Dir, DiskError};
use crate::lock;
use crate::model::Identity;

/// The byte that every connection locks shared while it has the index open.
const SHARED_BYTE: i64 = 128;

/// The unit in which SQLite maps the index: 4096 frames.
const REGION_BYTES: u64 = 32 << 10;

/// The size of the index that is allocated for an empty log.
const REGIONS_MIN: u64 = 8;

/// The largest size that is allocated at once, because a log may claim any length.
const REGIONS_MAX: u64 = 128;

/// The smallest size of the log that one region covers.
const LOG_BYTES_OF_REGION: u64 = 2 << 20;

/// These files stay open, because closing one would drop the locks that SQLite has on it in this process.
static HELD: Mutex<Vec<(Identity, File)>> = Mutex::new(Vec::new());

/// Allocates the part of the index that SQLite will map. Does nothing on other filesystems.
///
/// # Errors
/// [`DiskError`] when there is no space, even after the reserve was deleted.
pub(crate) fn hold_index(home: &Dir) -> Result<(), DiskError> {
    if !home.has_small_blocks()? {
        return Ok(());
    }
    let log_bytes = home.stat(WAL)?.map_or(0, |log| log.size);
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
            // Succeeds only if no connection has it open: then its content is unused.
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
