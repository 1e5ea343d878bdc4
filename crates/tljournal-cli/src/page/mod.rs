//! History as one page for a browser.
//!
//! `past` reads rows; `scale` and `lanes` decide where in the picture a moment and a run are; `draw` makes
//! the picture with a `pen`, and `tables` the text, all of it as strings and numbers that `templates/page.html` puts
//! together. The page names nothing outside of itself and its policy forbids it to: whatever a label or a
//! path brings is text.

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
