//! scratch
pub mod ambient;
pub mod disk;
pub mod model;
pub mod tree;
