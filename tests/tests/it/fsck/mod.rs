//! Everything that can be wrong is made wrong once, found by its code, and repaired as far as that can be.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests damage what the engine keeps, from outside of it"
)]

mod beside;
mod content;
mod damage;
mod matrix;
mod page;
mod rebuild;
mod scene;
mod together;
