//! Everything that can be wrong is made wrong once, found by its code, and repaired as far as that can be.

mod beside;
mod content;
mod damage;
mod matrix;
mod page;
mod rebuild;
mod scene;
mod together;
