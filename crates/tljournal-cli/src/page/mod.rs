//! History as one page for a browser.
//!
//! `past` reads rows; `scale` and `lanes` compute positions; `draw` makes the picture with a `pen`, and `tables` the
//! text, as strings and numbers that `templates/page.html` combines. The page refers to nothing outside of itself and
//! its policy forbids it: labels and paths are always text.

mod draw;
mod findings;
mod lanes;
mod past;
mod pen;
mod render;
mod scale;
mod story;
mod tables;
mod titles;
mod words;

pub(crate) use findings::findings;
pub(crate) use past::{Past, Wanted};
pub(crate) use render::{Subject, write};
