//! Transactions as data, and the reference model that predicts their results.

mod model;
mod run;
mod step;

pub use model::{Model, Node, Predicted};
pub use run::Outcome;
pub use step::{Act, Script, Step, Steps};
