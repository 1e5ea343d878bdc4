//! The messages between the wrapper and the keeper, over a socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// A pipe, a log and an output for each of two streams.
const FDS_MAX: usize = 6;

/// Sent by the wrapper, with the descriptors.
const KEEP: u8 = b'k';
/// Sent by the keeper when signals no longer end it.
pub(super) const READY: u8 = b'r';
/// Sent by the wrapper when the command has ended.
pub(super) const ENDED: u8 = b'e';

/// The errors of one stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::child) struct Losses {
    /// Why the output was not copied completely.
    pub(in crate::child) copy: Option<Errno>,
    /// Why the log is incomplete.
    pub(in crate::child) log: Option<Errno>,
}

impl Losses {
    pub(super) const BYTES: usize = 8;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let raw = |errno: Option<Errno>| errno.map_or(0, Errno::raw_os_error).to_le_bytes();
        let ([a, b, c, d], [e, f, g, h]) = (raw(self.copy), raw(self.log));
        [a, b, c, d, e, f, g, h]
    }

    pub(super) fn from_bytes([a, b, c, d, e, f, g, h]: [u8; Self::BYTES]) -> Self {
        let errno = |raw| match i32::from_le_bytes(raw) {
            0 => None,
            raw => Some(Errno::from_raw_os_error(raw)),
        };
        Self {
            copy: errno([a, b, c, d]),
            log: errno([e, f, g, h]),
        }
    }
}

pub(super) fn send(socket: &UnixStream, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let word = [KEEP];
    retry_on_intr(|| {
        let words = [IoSlice::new(&word)];
        sendmsg(socket, &words, &mut control, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

pub(super) fn receive(socket: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut word = [0];
    retry_on_intr(|| {
        let mut words = [IoSliceMut::new(&mut word)];
        recvmsg(socket, &mut words, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let messages = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok(messages.flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_arrive_as_they_were_sent() {
        let all = [None, Some(Errno::NOSPC), Some(Errno::PIPE)];
        for copy in all {
            for log in all {
                let losses = Losses { copy, log };
                assert_eq!(Losses::from_bytes(losses.to_bytes()), losses);
            }
        }
    }
}
