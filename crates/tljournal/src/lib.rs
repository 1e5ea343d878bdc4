//! scratch
pub mod ambient;
pub mod disk;
pub mod model;
