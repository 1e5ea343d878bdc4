//! What is told of a run that went wrong.
//!
//! `gather` looks everything up, once; `text` and `json` only write down what it found, and so may others.

mod report;

pub(crate) use report::{
    Difference, End, HoldStory, Kept, Report, RunStory, Step, Tail, TxnStory, WaitStory,
};
