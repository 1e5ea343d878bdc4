//! The open journal: the handle of a caller.
//!
//! A journal is opened in one of two ways. For *work* ([`Options::work`]): creates missing files, recovers, and
//! changes; only at home, in the directory that the database belongs to. To *inspect* ([`Options::inspect`]): never
//! recovers, creates or writes; also for read-only copies from other machines.

mod blame;
mod compare;
mod content;
mod copy;
mod damage;
mod diff;
mod evidence;
mod history;
mod inspect;
mod named;
mod open;
mod populate;
mod reading;
mod rebuild;
mod run;
mod store;
mod work;

pub use blame::Wrote;
use compare::compare;
pub use diff::{EntryDiff, PathDiff};
pub use evidence::LogEnd;
pub use history::{EntryView, History, Status};
pub use inspect::Inspection;
pub use named::NamedLock;
pub use open::Options;
pub use reading::Reading;
pub use run::Run;
pub use work::{Installed, Journal};

#[cfg(test)]
mod tests;
