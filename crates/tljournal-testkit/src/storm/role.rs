use std::ops::Range;
use std::time::Duration;

/// One of the processes of a storm, which is restarted whenever it ends.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name in reports: its kind, and a number after a `-`.
    pub name: String,
    /// How long it runs before it is killed; `None` lets it run to the end.
    pub life: Option<Range<Duration>>,
    /// When it is stopped and continued; `None` never stops it.
    pub stops: Option<Stops>,
}

/// How often a process is stopped, and for how long.
#[derive(Debug, Clone)]
pub struct Stops {
    /// How long it runs before it is stopped.
    pub after: Range<Duration>,
    /// How long it stays stopped.
    pub long: Range<Duration>,
}

impl Role {
    /// A process that is neither killed nor stopped.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let (life, stops) = (None, None);
        Self { name, life, stops }
    }

    /// Killed after a random time in this range.
    #[must_use]
    pub fn living(mut self, life: Range<Duration>) -> Self {
        self.life = Some(life);
        self
    }

    /// Stopped and continued repeatedly.
    #[must_use]
    pub fn stopped(mut self, stops: Stops) -> Self {
        self.stops = Some(stops);
        self
    }

    /// Its kind: the name without the number.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.name
            .rsplit_once('-')
            .map_or(&self.name, |(kind, _)| kind)
    }
}
