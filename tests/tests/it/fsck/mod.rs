//! Every kind of damage is made once, found by its code, and repaired if possible.

mod beside;
mod content;
mod damage;
mod matrix;
mod page;
mod rebuild;
mod scene;
mod together;
