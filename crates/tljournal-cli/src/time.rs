//! Times as people and programs write them.

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
