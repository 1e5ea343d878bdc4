//! What is told of a run that went wrong.
//!
//! `gather` looks everything up, once: `runs` what runs did, `locks` who waited for whom, `project` what has become
//! of what the run left, `next` what to do. `text`, `json`, `html` and `bundle` only write down what was found, and so may others.

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
