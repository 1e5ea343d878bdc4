use std::time::Duration;

/// How much is kept of what is not needed any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Of what transactions replaced, and of what dead runs had staged: how many transactions, their bytes,
    /// and how long after they ended.
    pub kept: Limits,
    /// Of the rows of transactions and runs that have ended: how many transactions, and how long after they
    /// began. What tells of something that stands stays. The bytes are not looked at.
    pub history: Limits,
    /// Of the output of commands: how many runs, their bytes, and how long after they began. The latest
    /// stays.
    pub logs: Limits,
}

/// How much there may be of something; what is oldest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many.
    pub count: u32,
    /// How many bytes together.
    pub bytes: u64,
    /// How old. If that is a day or more, the latest eight stay whatever the clock says.
    pub age: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many of the latest things do not go for their age: the clock that tells it may be wrong by years.
const SPARED: u32 = 8;

impl Limits {
    /// Whether the so-manieth latest thing, counted from 1, does not go for its age. An age of less than a day is meant
    /// as it is said.
    pub(crate) fn spares_from_age(&self, latest: u32) -> bool {
        self.age >= DAY && latest <= SPARED
    }

    /// Nothing at all.
    pub const NOTHING: Self = Self {
        count: 0,
        bytes: 0,
        age: Duration::ZERO,
    };
}

impl Default for Retention {
    /// Kept content of 64 transactions, 1 GiB and two weeks: six versions of a tree of tools, and what
    /// nobody minds in a build directory of many gigabytes. History of 100,000 transactions and 400 days:
    /// less than 100 MiB. Logs of 50 runs, 256 MiB and 90 days: a day of builds, each of a few tasks.
    fn default() -> Self {
        Self {
            kept: Limits {
                count: 64,
                bytes: 1 << 30,
                age: 14 * DAY,
            },
            history: Limits {
                count: 100_000,
                bytes: u64::MAX,
                age: 400 * DAY,
            },
            logs: Limits {
                count: 50,
                bytes: 256 << 20,
                age: 90 * DAY,
            },
        }
    }
}
