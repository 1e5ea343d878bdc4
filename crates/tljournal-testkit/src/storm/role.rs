use std::ops::Range;
use std::time::Duration;

/// One of the processes of a storm, which has a successor whenever it ends.
#[derive(Debug, Clone)]
pub struct Role {
    /// What it is called in accounts: its kind, and a number behind a `-`.
    pub name: String,
    /// How long it may live before it is killed; `None` lets it live to the end.
    pub life: Option<Range<Duration>>,
    /// How it is stopped and continued; `None` lets it run.
    pub stops: Option<Stops>,
}

/// How a process is stopped and continued.
#[derive(Debug, Clone)]
pub struct Stops {
    /// How long it runs before it is stopped.
    pub after: Range<Duration>,
    /// How long it stays so.
    pub long: Range<Duration>,
}

impl Role {
    /// A process that nobody disturbs.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let (life, stops) = (None, None);
        Self { name, life, stops }
    }

    /// The same, killed after some time of this range.
    #[must_use]
    pub fn living(mut self, life: Range<Duration>) -> Self {
        self.life = Some(life);
        self
    }

    /// The same, stopped and continued again and again.
    #[must_use]
    pub fn stopped(mut self, stops: Stops) -> Self {
        self.stops = Some(stops);
        self
    }

    /// What it does: its name without the number.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.name
            .rsplit_once('-')
            .map_or(&self.name, |(kind, _)| kind)
    }
}
