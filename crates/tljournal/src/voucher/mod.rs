//! Claims: a claim is a running run's statement that a small file is valid.
//!
//! A *tag* is such a file, and a *voucher* is one run's claim that it is valid, under a digest over everything that
//! was verified. Tags that are written together are changed together ([`Tags`]).
//!
//! # Invariants
//!
//! - **V1** The tags on disk are those that a running run claims, unless their run has ended since, or another
//!   program wrote them: the next change of the tags removes those without a claim.
//! - **V2** All valid claims on tags that belong together are under one digest. A run that wants to claim them under
//!   another digest first withdraws its own claims, and waits until the other runs have ended or withdrawn.
//! - **V3** A claim is valid while its run's byte is locked and it was not revoked. The rows of ended runs are
//!   deleted by the next change.
//! - **V4** Claims and files change at one commit point: the transaction that writes and removes the files also
//!   records the claims. A change without files records the claims alone.
//! - **V5** A tag with the right content is not touched, and a run that repeats its claim writes nothing.
//!
//! # Lock order
//!
//! Claims come before everything else in the order of waits: a run may wait for a lock, a pin or a key while it has
//! claims, but a process that holds one of those, or has a claim under another digest, is refused instead of waiting
//! for a claim. `lock/vouchers` serializes changes and is never held while waiting for a run.
//!
//! A waiter blocks on the bytes of the runs it waits for. An inotify watch on `lock/vouchers` reports when one of
//! them may have withdrawn; if no watch is available, only the end of a run wakes a waiter.
//!
//! # After a kill
//!
//! | killed | vouchers | files | what follows |
//! |---|---|---|---|
//! | before the commit point | as before | as before | the claim ends with its run |
//! | between it and the last rename | as wanted | partly as before | recovery or the next commit finishes them; [`Tags::vouchers`] waits for that |
//! | later | as wanted | as wanted | as below |
//! | while waiting | the own one was withdrawn | those that others claim | nothing of it remains |
//!
//! Afterwards the files of an ended run remain until the next change, as they do when it ends without withdrawing:
//! they were valid when it ended. A claim made for a run of `exec` lasts as long as that run, like the files.
//!
//! Rows of claims need no sync, because a power cut ends the runs too. If a change by another program rolls a commit
//! back, the commit is repeated, and the claim is removed if that fails finally.

mod change;
mod files;
mod look;
mod view;
mod wait;

pub use change::Tags;
pub use view::Voucher;
pub(crate) use view::view;

/// The lock under which claims are changed.
const LOCK: &str = "vouchers";
