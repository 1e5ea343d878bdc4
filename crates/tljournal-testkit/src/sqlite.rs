//! Passes SQLite's own calls to the filesystem through a [`Witness`].
//!
//! A thin layer around SQLite's default VFS that replaces it as the default. Operations on files below a watched
//! directory are reported to its witness, which may refuse them; all others pass through. This module, in a crate
//! that is never linked into a release, is the only one here with unsafe code.

#![allow(unsafe_code, reason = "SQLite calls this through C function pointers")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::mem::size_of;
use std::ptr;
use std::slice;
use std::sync::{Arc, Mutex, Once, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::ffi;
use tljournal::disk::{Call, Verb, Witness};

/// The watched directories with their witnesses.
static WATCHED: Mutex<Vec<(Utf8PathBuf, Arc<dyn Witness>)>> = Mutex::new(Vec::new());

/// While this exists, SQLite's calls below a directory go through a witness.
#[derive(Debug)]
#[must_use = "the witness is removed when this is dropped"]
pub(crate) struct Watch {
    dir: Utf8PathBuf,
}

impl Watch {
    /// Watches a directory. Databases must be opened afterwards.
    pub(crate) fn new(dir: &Utf8Path, witness: Arc<dyn Witness>) -> Self {
        register();
        let dir = dir.to_owned();
        watched().push((dir.clone(), witness));
        Self { dir }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = watched();
        if let Some(at) = watched.iter().position(|(dir, _)| *dir == self.dir) {
            watched.swap_remove(at);
        }
    }
}

fn watched() -> std::sync::MutexGuard<'static, Vec<(Utf8PathBuf, Arc<dyn Witness>)>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn witness_of(path: &Utf8Path) -> Option<Arc<dyn Witness>> {
    let watched = watched();
    let found = watched.iter().find(|(dir, _)| path.starts_with(dir));
    found.map(|(_, witness)| witness.clone())
}

/// A file that SQLite opened; the real file follows it in memory.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    told: *mut Told,
}

/// What the witness knows of a file.
struct Told {
    path: Utf8PathBuf,
    witness: Arc<dyn Witness>,
    /// The first sync of a log that was opened for creation syncs its directory too.
    dir_sync_due: bool,
}

impl Told {
    /// Makes one call through the witness; returns an error code if it refuses.
    fn call(
        &self,
        (verb, offset, data): (Verb, u64, &[u8]),
        refused: c_int,
        make: impl FnOnce() -> c_int,
    ) -> c_int {
        pass(
            &self.witness,
            &self.path,
            (verb, offset, data),
            refused,
            make,
        )
    }
}

fn pass(
    witness: &Arc<dyn Witness>,
    path: &Utf8Path,
    (verb, offset, data): (Verb, u64, &[u8]),
    refused: c_int,
    make: impl FnOnce() -> c_int,
) -> c_int {
    let call = Call {
        verb,
        path,
        other: None,
        offset,
        data,
    };
    if let Err(error) = witness.before(&call) {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        return match full.contains(&error.kind()) {
            true => ffi::SQLITE_FULL,
            false => refused,
        };
    }
    let code = make();
    let error = io::Error::other("SQLite's own VFS failed");
    let made = match code {
        ffi::SQLITE_OK => Ok(()),
        _ => Err(&error),
    };
    witness.after(&call, made);
    code
}

/// Registers this layer as the default, once per process.
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the default VFS is never unregistered; the copy is leaked, so it lives as long.
        unsafe {
            let real = ffi::sqlite3_vfs_find(ptr::null());
            assert!(!real.is_null(), "SQLite has a default VFS");
            let ours = Box::leak(Box::new(ptr::read(real)));
            ours.szOsFile += size_of::<File>() as c_int;
            ours.pNext = ptr::null_mut();
            ours.zName = c"tljournal-testkit".as_ptr();
            ours.pAppData = real.cast::<c_void>();
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            let code = ffi::sqlite3_vfs_register(ours, 1);
            assert_eq!(code, ffi::SQLITE_OK, "the VFS can be registered");
        }
    });
}

/// # Safety
/// `vfs` is the one that `register` made.
unsafe fn real_vfs(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: its `pAppData` is the default VFS.
    unsafe { (*vfs).pAppData.cast() }
}

/// # Safety
/// `file` was given to `open` by SQLite.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite allocated `szOsFile` bytes: ours and those of the real file behind them.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// # Safety
/// `file` was opened by `open` and is not closed.
unsafe fn told<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a mut Told> {
    // SAFETY: it is null or was leaked by `open`, and SQLite uses a file from one thread at a time.
    unsafe { (*file.cast::<File>()).told.as_mut() }
}

/// # Safety
/// `path` is null or a C string.
unsafe fn utf8(path: *const c_char) -> Option<Utf8PathBuf> {
    if path.is_null() {
        return None;
    }
    // SAFETY: as promised above.
    let path = unsafe { CStr::from_ptr(path) };
    path.to_str().ok().map(Into::into)
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes what its interface says: our VFS, a path or null, and room for our file.
    unsafe {
        let shell = file.cast::<File>();
        (*shell).base.pMethods = ptr::null();
        (*shell).told = ptr::null_mut();
        let Some(real_open) = (*real_vfs(vfs)).xOpen else {
            return ffi::SQLITE_CANTOPEN;
        };
        let make = || real_open(real_vfs(vfs), path, real(file), flags, out);
        let told = utf8(path).and_then(|path| Some((witness_of(&path)?, path)));
        let code = match &told {
            Some((witness, path))
                if flags & ffi::SQLITE_OPEN_CREATE != 0 && path.symlink_metadata().is_err() =>
            {
                let call = (Verb::CreateFile, 0, &[][..]);
                pass(witness, path, call, ffi::SQLITE_CANTOPEN, make)
            }
            _ => make(),
        };
        if !(*real(file)).pMethods.is_null() {
            (*shell).base.pMethods = &raw const METHODS;
        }
        if let (ffi::SQLITE_OK, Some((witness, path))) = (code, told) {
            let logs = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL;
            let dir_sync_due = flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & logs != 0;
            (*shell).told = Box::into_raw(Box::new(Told {
                path,
                witness,
                dir_sync_due,
            }));
        }
        code
    }
}

unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    sync_dir: c_int,
) -> c_int {
    // SAFETY: SQLite passes our VFS and a path.
    unsafe {
        let Some(real_delete) = (*real_vfs(vfs)).xDelete else {
            return ffi::SQLITE_IOERR_DELETE;
        };
        let make = || real_delete(real_vfs(vfs), path, sync_dir);
        match utf8(path).and_then(|path| Some((witness_of(&path)?, path))) {
            None => make(),
            Some((witness, path)) => {
                let refused = ffi::SQLITE_IOERR_DELETE;
                pass(&witness, &path, (Verb::RemoveFile, 0, &[]), refused, make)
            }
        }
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file that `open` opened, once.
    unsafe {
        let shell = file.cast::<File>();
        if !(*shell).told.is_null() {
            drop(Box::from_raw((*shell).told));
            (*shell).told = ptr::null_mut();
        }
        forward(file, |methods| methods.xClose, |f, real| f(real))
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes an open file and `amount` readable bytes.
    unsafe {
        let make = || {
            forward(
                file,
                |methods| methods.xWrite,
                |f, real| f(real, data, amount, offset),
            )
        };
        match told(file) {
            None => make(),
            Some(told) => {
                let bytes = slice::from_raw_parts(data.cast::<u8>(), amount as usize);
                let call = (Verb::Write, offset as u64, bytes);
                told.call(call, ffi::SQLITE_IOERR_WRITE, make)
            }
        }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe {
        let make = || forward(file, |methods| methods.xTruncate, |f, real| f(real, size));
        match told(file) {
            None => make(),
            Some(told) => {
                let call = (Verb::Truncate, size as u64, &[][..]);
                told.call(call, ffi::SQLITE_IOERR_TRUNCATE, make)
            }
        }
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe {
        let make = || forward(file, |methods| methods.xSync, |f, real| f(real, flags));
        let Some(told) = told(file) else {
            return make();
        };
        let code = told.call((Verb::SyncFile, 0, &[]), ffi::SQLITE_IOERR_FSYNC, make);
        if code == ffi::SQLITE_OK && std::mem::take(&mut told.dir_sync_due) {
            let dir = told.path.parent().unwrap_or(Utf8Path::new("/")).to_owned();
            let call = (Verb::SyncDir, 0, &[][..]);
            let refused = ffi::SQLITE_IOERR_DIR_FSYNC;
            return pass(&told.witness, &dir, call, refused, || ffi::SQLITE_OK);
        }
        code
    }
}

/// Calls a method of the real file.
///
/// # Safety
/// `file` was opened by `open`.
unsafe fn forward<M>(
    file: *mut ffi::sqlite3_file,
    method: impl FnOnce(&ffi::sqlite3_io_methods) -> Option<M>,
    call: impl FnOnce(M, *mut ffi::sqlite3_file) -> c_int,
) -> c_int {
    // SAFETY: as promised above, so the real file has methods.
    unsafe {
        let real = real(file);
        match (*real).pMethods.as_ref().and_then(method) {
            Some(method) => call(method, real),
            None => ffi::SQLITE_MISUSE,
        }
    }
}

/// Methods that are passed through.
macro_rules! pass_on {
    ($($name:ident: $method:ident($($arg:ident: $kind:ty),*);)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $arg: $kind)*) -> c_int {
            // SAFETY: SQLite passes an open file, and what the real method expects.
            unsafe {
                forward(file, |methods| methods.$method, |method, real| method(real $(, $arg)*))
            }
        }
    )*};
}

pass_on! {
    read: xRead(data: *mut c_void, amount: c_int, offset: ffi::sqlite3_int64);
    file_size: xFileSize(size: *mut ffi::sqlite3_int64);
    lock: xLock(level: c_int);
    unlock: xUnlock(level: c_int);
    check_reserved_lock: xCheckReservedLock(out: *mut c_int);
    file_control: xFileControl(op: c_int, arg: *mut c_void);
    sector_size: xSectorSize();
    device_characteristics: xDeviceCharacteristics();
    shm_map: xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void);
    shm_lock: xShmLock(offset: c_int, count: c_int, flags: c_int);
    shm_unmap: xShmUnmap(delete: c_int);
    fetch: xFetch(offset: ffi::sqlite3_int64, amount: c_int, out: *mut *mut c_void);
    unfetch: xUnfetch(offset: ffi::sqlite3_int64, page: *mut c_void);
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: SQLite passes an open file.
    unsafe {
        forward(
            file,
            |methods| methods.xShmBarrier,
            |method, real| {
                method(real);
                ffi::SQLITE_OK
            },
        );
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};
