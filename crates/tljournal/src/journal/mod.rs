//! The open journal: what a caller holds.
//!
//! Two ways to open. For *work* ([`Options::work`]): makes what is missing, recovers, and changes things;
//! only at home, where the database belongs. To *inspect* ([`Options::inspect`]): never recovers, creates
//! or writes; works on read-only copies from other machines too.

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
