//! Times as people and programs write them.

use std::time::Duration;

use tljournal::Timestamp;

const NANOS: i128 = 1_000_000_000;

/// Reads RFC 3339 with up to nine digits after the second, or `@secs.nanos`.
///
/// # Errors
/// Says which forms there are.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let wrong = || {
        format!(
            "`{}` is not a time: use RFC 3339, such as 2025-01-02T03:04:05.123456789Z, or @secs.nanos",
            text.escape_debug()
        )
    };
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.parse().map_err(|_| wrong());
    }
    let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    let nanos = time.as_nanosecond();
    let secs = i64::try_from(nanos.div_euclid(NANOS)).map_err(|_| wrong())?;
    Ok(Timestamp::new(secs, nanos.rem_euclid(NANOS) as u32))
}

/// What time it is.
#[must_use]
pub fn now() -> Timestamp {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    Timestamp::new(
        nanos.div_euclid(NANOS) as i64,
        nanos.rem_euclid(NANOS) as u32,
    )
}

/// Reads a length of time: seconds, or with units (`90s`, `5m`, `1h 30m`).
///
/// # Errors
/// Says which forms there are.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        let shown = text.escape_debug();
        format!("`{shown}` is not a length of time: use seconds, or units such as 90s or 5m")
    };
    if let Ok(seconds) = text.parse() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}

/// Writes what [`parse`] reads, to the nanosecond.
#[must_use]
pub fn exact(time: Timestamp) -> String {
    match jiff::Timestamp::from_nanosecond(time.as_nanos()) {
        Ok(time) => time.to_string(),
        // Filesystems can store years that RFC 3339 cannot write.
        Err(_) => format!("@{time}"),
    }
}

/// Writes a time for people, to the second, in UTC.
#[must_use]
pub fn short(time: Timestamp) -> String {
    match jiff::Timestamp::from_second(time.secs()) {
        Ok(time) => time.to_string().replace('T', " "),
        Err(_) => format!("@{time}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g5_times_round_trip_to_the_nanosecond() {
        for text in [
            "2025-01-02T03:04:05.123456789Z",
            "1969-12-31T23:59:59.000000001Z",
            "2025-01-02T03:04:05Z",
        ] {
            assert_eq!(exact(parse(text).unwrap()), text);
        }
        assert_eq!(parse("@5.12"), Ok(Timestamp::new(5, 120_000_000)));
        assert_eq!(parse("@-1.5"), Ok(Timestamp::new(-1, 500_000_000)));
        assert_eq!(parse("1969-12-31T23:59:59.5Z"), parse("@-1.5"));
        assert_eq!(
            parse("2025-01-02T03:04:05+02:00"),
            parse("2025-01-02T01:04:05Z")
        );
        let far = Timestamp::new(i64::MAX, 1);
        assert_eq!(parse(&exact(far)), Ok(far));
    }

    #[test]
    fn a_length_of_time_is_seconds_or_has_units() {
        let millis = |text| duration(text).map(|found| found.as_millis());
        assert_eq!(millis("90"), Ok(90_000));
        assert_eq!(millis("0.25"), Ok(250));
        assert_eq!(millis("90s"), Ok(90_000));
        assert_eq!(millis("5m"), Ok(300_000));
        assert_eq!(millis("1h 30m"), Ok(5_400_000));
        for bad in ["", "-1", "-5m", "nan", "inf", "1e300", "5 x", "1mo"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "now",
            "2025-01-02",
            "2025-13-02T03:04:05Z",
            "2025-01-02T03:04:05",
            "2025-01-02T03:04:05.1234567890Z",
            "@",
            "@1.0000000000",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
