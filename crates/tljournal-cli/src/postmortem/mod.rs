//! The report about a run that failed or was killed.
//!
//! `gather` collects all facts, once: `runs` what runs did, `locks` waits and holders, `project` what became of the
//! run's changes, `next` what to do. `text`, `json`, `html` and `bundle` only format the result.

mod bundle;
mod draw;
mod gather;
mod html;
mod json;
mod locks;
mod next;
mod project;
mod report;
mod runs;
mod text;

pub(crate) use bundle::pack;
pub(crate) use gather::gather;
pub(crate) use html::Page;
pub(crate) use json::as_json;
pub(crate) use report::{Report, Tail};
pub(crate) use runs::{latest_that_went_wrong, that_went_wrong};
pub(crate) use text::print;
