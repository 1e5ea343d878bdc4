use std::time::Duration;

/// Limits for data that is no longer needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Content that transactions replaced or ended runs had staged: how many transactions, how many bytes, and how
    /// long after the end of the transaction.
    pub kept: Limits,
    /// Rows of ended transactions and runs: how many transactions, and how long after they began. Rows that describe
    /// something still on disk stay. `bytes` is ignored.
    pub history: Limits,
    /// Output of commands: how many runs, how many bytes, and how long after they began. The latest log stays.
    pub logs: Limits,
}

/// Limits for one kind of data; the oldest is deleted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The number of items.
    pub count: u32,
    /// The sum of their bytes.
    pub bytes: u64,
    /// The age. With a limit of a day or more the latest eight items stay regardless of the clock.
    pub age: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many of the latest items the age limit never deletes, because the clock may be wrong by years.
const SPARED: u32 = 8;

impl Limits {
    /// Whether the age limit spares the n-th latest item, counted from 1. A limit below one day spares none.
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
    /// Retained content of 64 transactions, 1 GiB and two weeks: six versions of a tree of tools, small in a build
    /// directory of many gigabytes. History of 100,000 transactions and 400 days: less than 100 MiB. Logs of 50 runs,
    /// 256 MiB and 90 days: a day of builds with a few tasks each.
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
