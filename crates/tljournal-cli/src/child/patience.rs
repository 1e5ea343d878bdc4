use std::time::{Duration, Instant};

/// How long may be waited for several things together.
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

    /// How much of it is left; `None` if it has no end.
    pub(crate) fn left(&self) -> Option<Duration> {
        let limit = self.limit?;
        Some(limit.saturating_sub(self.begun.elapsed()))
    }
}
