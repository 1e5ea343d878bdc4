use std::io;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use tljournal::disk::{Call, Verb, Witness};

/// Makes calls fail: the k-th one, or every one from the k-th on that needs space.
#[derive(Debug)]
pub struct Fail {
    at: u64,
    errno: Errno,
    lasting: bool,
    made: Mutex<u64>,
    struck: Mutex<Vec<(Verb, String)>>,
}

impl Fail {
    /// The k-th call, counted from 1, fails; the ones after it work again.
    #[must_use]
    pub fn at(call: u64, errno: Errno) -> Self {
        Self::new(call, errno, false)
    }

    /// From the k-th call on there is no space: calls that need some fail, others succeed.
    #[must_use]
    pub fn full_from(call: u64) -> Self {
        Self::new(call, Errno::NOSPC, true)
    }

    fn new(at: u64, errno: Errno, lasting: bool) -> Self {
        Self {
            at,
            errno,
            lasting,
            made: Mutex::new(0),
            struck: Mutex::default(),
        }
    }

    /// The calls that failed, in order.
    #[must_use]
    pub fn struck(&self) -> Vec<(Verb, String)> {
        self.struck
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Whether a call needs space.
fn needs_space(verb: Verb) -> bool {
    match verb {
        Verb::CreateFile | Verb::Write | Verb::MakeDir | Verb::MakeLink | Verb::HardLink => true,
        Verb::Truncate
        | Verb::SetMode
        | Verb::SetTimes
        | Verb::SetOwner
        | Verb::SetAttribute
        | Verb::RenameNew
        | Verb::Exchange
        | Verb::RenameOver
        | Verb::RemoveFile
        | Verb::RemoveDir
        | Verb::SyncFile
        | Verb::SyncDir
        | Verb::SyncFilesystem => false,
    }
}

impl Witness for Fail {
    fn before(&self, call: &Call<'_>) -> io::Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        *made += 1;
        let strikes = match self.lasting {
            true => *made >= self.at && needs_space(call.verb),
            false => *made == self.at,
        };
        if !strikes {
            return Ok(());
        }
        let struck = (call.verb, call.path.to_string());
        self.struck
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(struck);
        Err(self.errno.into())
    }
}
