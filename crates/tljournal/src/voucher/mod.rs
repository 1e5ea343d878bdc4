//! Vouchers: small files that are there because somebody who lives says that they are right.
//!
//! A *tag* is such a file, and a *voucher* is one run's claim that it is right, under a digest over
//! everything that was verified. Tags that are written together are changed together ([`Tags`]).
//!
//! # Invariants
//!
//! - **V1** The tags on disk are those that a live run vouches for, unless whoever put them there has died
//!   since, or somebody else did: the next change of them removes what nobody vouches for.
//! - **V2** Live vouchers for tags that belong together are all for one digest. Whoever wants to vouch for
//!   another one waits until those runs have ended or withdrawn, and withdraws its own first.
//! - **V3** A voucher is worth something while its run's byte is locked, and it was not revoked. The rows of
//!   dead runs are deleted by the next change.
//! - **V4** Vouchers and files change at one commit point: the transaction that puts and removes the files
//!   records the vouchers too. One that changes no file records them by itself.
//! - **V5** What is there and equal is not touched, and a run that vouches for the same again writes nothing.
//!
//! # Who waits for whom
//!
//! Vouchers come before everything else that is waited for: a run may wait for a lock, a pin or a key while
//! it vouches, and nobody who holds one of those, or vouches for something else, waits for a voucher. It is
//! refused then. `lock/vouchers` serialises changes and is never held while waiting for a run.
//!
//! A waiter blocks on the bytes of the runs in its way. That one of them withdraws shows when `lock/vouchers`
//! is closed, which the system tells; where it has no watches left, only the end of a run wakes a waiter.
//!
//! # After a kill
//!
//! | killed | vouchers | files | what follows |
//! |---|---|---|---|
//! | before the commit point | as before | as before | an own voucher is dead with its run |
//! | between it and the last rename | as wanted | partly as before | whoever opens the journal, or commits next, finishes them; [`Tags::vouchers`] waits for that |
//! | later | as wanted | as wanted | as below |
//! | while waiting | the own one was withdrawn | those that others vouch for | nothing is left of it |
//!
//! Afterwards the files of a dead run remain until somebody changes them, as they do when it ends without
//! withdrawing: they were right when it ended. In a run that `exec` began the voucher lives on, with the files.
//!
//! Rows of vouchers need no sync: a power cut ends the runs too. Where an edit of somebody else in the middle
//! of a commit takes it back, it is tried again, and the own voucher is removed if that fails for good.

mod change;
mod files;
mod look;
mod view;
mod wait;

pub use change::Tags;
pub use view::Voucher;
pub(crate) use view::view;

/// The lock under which vouchers are changed.
const LOCK: &str = "vouchers";
