use std::fmt;
use std::str::FromStr;

/// A time in nanoseconds, as filesystems store it; it may be before 1970 or in the far future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    secs: i64,
    nanos: u32,
}

impl Timestamp {
    /// Whole seconds since 1970 and nanoseconds after them; 10^9 nanoseconds or more carry over.
    #[must_use]
    pub fn new(secs: i64, nanos: u32) -> Self {
        Self {
            secs: secs.saturating_add(i64::from(nanos / 1_000_000_000)),
            nanos: nanos % 1_000_000_000,
        }
    }

    /// Whole seconds since 1970, rounded towards the past.
    #[must_use]
    pub fn secs(self) -> i64 {
        self.secs
    }

    /// Nanoseconds after [`Self::secs`], below 10^9.
    #[must_use]
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    /// The coarsest clock resolution that this time fits, in nanoseconds: a power of ten, up to a second.
    pub(crate) fn grain(self) -> u32 {
        let grains = (0..=9).rev().map(|digits| 10_u32.pow(digits));
        let is_it = |grain: &u32| self.nanos.is_multiple_of(*grain);
        grains.into_iter().find(is_it).unwrap_or(1)
    }

    /// The whole time in nanoseconds.
    #[must_use]
    pub fn as_nanos(self) -> i128 {
        i128::from(self.secs) * 1_000_000_000 + i128::from(self.nanos)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.secs, self.nanos)
    }
}

/// A text is not seconds and nine digits of nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time in seconds since 1970 with up to nine digits after a dot")]
pub struct ParseTimestampError;

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads what `Display` writes: `secs.nanos`, where nanos count forward from secs.
    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let (secs, nanos) = text.split_once('.').unwrap_or((text, "0"));
        if nanos.is_empty() || nanos.len() > 9 || !nanos.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseTimestampError);
        }
        let nanos = format!("{nanos:0<9}");
        Ok(Self {
            secs: secs.parse().map_err(|_| ParseTimestampError)?,
            nanos: nanos.parse().map_err(|_| ParseTimestampError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g5_times_before_1970_and_to_the_nanosecond_round_trip() {
        for (secs, nanos) in [
            (0, 0),
            (-1, 999_999_999),
            (i64::MAX, 1),
            (i64::MIN, 5),
            (1, 120),
        ] {
            let time = Timestamp::new(secs, nanos);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        assert_eq!("5.12".parse(), Ok(Timestamp::new(5, 120_000_000)));
        for bad in ["", ".", "1.", "x", "1.0000000000", "1.-1"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad:?}");
        }
    }
}
