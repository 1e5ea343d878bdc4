//! What twoliter keeps on disk, through the calls that it makes.

mod artifacts;
mod asynchronous;
mod kits;
mod tags;
mod tools;
