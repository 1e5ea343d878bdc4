use std::time::{Duration, Instant};

/// A limit for several waits together.
#[derive(Debug)]
pub(crate) struct Patience {
    begun: Instant,
    limit: Option<Duration>,
}

impl Patience {
    pub(super) fn begin(limit: Option<Duration>) -> Self {
        Self {
            begun: Instant::now(),
            limit,
        }
    }

    /// The time left; `None` for no limit.
    pub(crate) fn left(&self) -> Option<Duration> {
        let limit = self.limit?;
        Some(limit.saturating_sub(self.begun.elapsed()))
    }
}
