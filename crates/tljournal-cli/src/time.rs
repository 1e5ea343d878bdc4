//! How times are read and written.

use std::time::Duration;

use tljournal::Timestamp;

const NANOS: i128 = 1_000_000_000;

/// Parses RFC 3339 with up to nine fractional digits, or `@secs.nanos`.
///
/// # Errors
/// The expected forms.
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

/// Parses a duration: seconds, or with units (`90s`, `5m`, `1h 30m`).
///
/// # Errors
/// The expected forms.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        let shown = text.escape_debug();
        format!("`{shown}` is not a duration: use seconds, or units such as 90s or 5m")
    };
    if let Ok(seconds) = text.parse() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}

/// Parses what [`parse`] does, or an age relative to `now`: `90s`, `2h`, `3d`, `1w 2d`.
///
/// # Errors
/// The expected forms.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = parse(text) {
        return Ok(time);
    }
    let wrong = || {
        format!(
            "`{}` is not a time: use RFC 3339, such as 2025-01-02T03:04:05Z, or @secs, or how long ago, such as 90s, 2h or 3d",
            text.escape_debug()
        )
    };
    let back = back(text).ok_or_else(wrong)?;
    let nanos = now.as_nanos() - back;
    let secs = i64::try_from(nanos.div_euclid(NANOS)).map_err(|_| wrong())?;
    Ok(Timestamp::new(secs, nanos.rem_euclid(NANOS) as u32))
}

/// A duration in nanoseconds, where a day has 24 hours; also in the form of [`ago`].
fn back(text: &str) -> Option<i128> {
    let length = text.strip_suffix("ago").unwrap_or(text).trim_end();
    let span: jiff::Span = length.parse().ok()?;
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
    let length = length.ok()?.as_nanos();
    (length >= 0).then_some(length)
}

/// Parses a duration as [`duration`] does, and days and weeks too: `3d`, `2w`.
///
/// # Errors
/// The expected forms.
pub fn age(text: &str) -> Result<Duration, String> {
    if let Ok(length) = duration(text) {
        return Ok(length);
    }
    let length = back(text).and_then(|nanos| u64::try_from(nanos / NANOS).ok());
    let shown = text.escape_debug();
    length.map(Duration::from_secs).ok_or_else(|| {
        format!("`{shown}` is not a duration: use seconds, or units such as 12h, 3d or 2w")
    })
}

/// The current time.
#[must_use]
pub fn now() -> Timestamp {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    let secs = i64::try_from(nanos.div_euclid(NANOS)).unwrap_or(i64::MAX);
    Timestamp::new(secs, nanos.rem_euclid(NANOS) as u32)
}

/// The age of a time relative to `now`, in its largest unit.
#[must_use]
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    let secs = now.secs().saturating_sub(time.secs());
    match secs {
        ..-2 => format!("in {}", largest_unit(secs.saturating_neg())),
        -2..1 => "just now".to_owned(),
        _ => format!("{} ago", largest_unit(secs)),
    }
}

/// A duration in its largest unit, truncated: `59 s`, `3 min`, `2 h`, `4 days`, `5 months`.
fn largest_unit(secs: i64) -> String {
    const UNITS: [(i64, &str); 5] = [
        (365 * 86_400, "year"),
        (30 * 86_400, "month"),
        (86_400, "day"),
        (3_600, "h"),
        (60, "min"),
    ];
    let unit = UNITS.into_iter().find(|(length, _)| secs >= *length);
    let (length, name) = unit.unwrap_or((1, "s"));
    let count = secs / length;
    let plural = if count != 1 && length >= 86_400 {
        "s"
    } else {
        ""
    };
    format!("{count} {name}{plural}")
}

/// A duration: `<1 ms`, `3 ms`, `1.25 s`, `3 min 20 s`, `2 h 5 min`.
#[must_use]
pub fn took(from: Timestamp, to: Timestamp) -> String {
    let nanos = (to.as_nanos() - from.as_nanos()).max(0);
    let (millis, secs) = (nanos / 1_000_000, nanos / NANOS);
    match secs {
        0 if millis == 0 => "<1 ms".to_owned(),
        0 => format!("{millis} ms"),
        1..60 => format!("{}.{:02} s", secs, millis % 1000 / 10),
        60..3600 => format!("{} min {} s", secs / 60, secs % 60),
        3600..86_400 => format!("{} h {} min", secs / 3600, secs % 3600 / 60),
        _ => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3600),
    }
}

/// A time in the form that [`parse`] reads, to the nanosecond.
#[must_use]
pub fn exact(time: Timestamp) -> String {
    match jiff::Timestamp::from_nanosecond(time.as_nanos()) {
        Ok(time) => time.to_string(),
        // Filesystems can store years that RFC 3339 cannot express.
        Err(_) => format!("@{time}"),
    }
}

/// A time for people, to the second, in UTC.
#[must_use]
pub fn short(time: Timestamp) -> String {
    match jiff::Timestamp::from_second(time.secs()) {
        Ok(time) => time.to_string().replace('T', " "),
        Err(_) => format!("@{time}"),
    }
}

/// The time of day for people, to the second, in UTC.
#[must_use]
pub fn clock(time: Timestamp) -> String {
    let told = short(time);
    match told.split_once(' ') {
        Some((_, clock)) => clock.to_owned(),
        None => told,
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
    fn a_moment_is_a_time_or_an_age() {
        let now = parse("2025-01-10T00:00:00.5Z").unwrap();
        let at = |text| moment(text, now).map(exact);
        assert_eq!(at("3d"), Ok("2025-01-07T00:00:00.5Z".to_owned()));
        assert_eq!(at("90s"), Ok("2025-01-09T23:58:30.5Z".to_owned()));
        assert_eq!(at("1w 1h"), Ok("2025-01-02T23:00:00.5Z".to_owned()));
        assert_eq!(at("@7"), Ok("1970-01-01T00:00:07Z".to_owned()));
        assert_eq!(
            at("2025-01-02T03:04:05Z").as_deref(),
            Ok("2025-01-02T03:04:05Z")
        );
        assert_eq!(at("2 h ago"), at("2h"));
        for bad in ["", "soon", "-3d", "ago", "3d ago?", "9999999999999d", "1mo"] {
            assert!(at(bad).is_err(), "{bad:?}: {:?}", at(bad));
        }
    }

    #[test]
    fn a_limit_of_age_may_be_days() {
        assert_eq!(age("90"), Ok(Duration::from_secs(90)));
        assert_eq!(age("3d"), Ok(Duration::from_secs(3 * 86_400)));
        assert_eq!(age("2w 1h"), Ok(Duration::from_secs(14 * 86_400 + 3600)));
        for bad in ["", "-3d", "1mo", "soon"] {
            assert!(age(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ages_are_written_in_their_largest_unit() {
        let age = |secs: i64| ago(Timestamp::new(0, 0), Timestamp::new(secs, 0));
        let ages = [
            0,
            1,
            59,
            60,
            3_599,
            3_600,
            86_400,
            3 * 86_400,
            40 * 86_400,
            800 * 86_400,
        ];
        let told = [
            "just now",
            "1 s ago",
            "59 s ago",
            "1 min ago",
            "59 min ago",
            "1 h ago",
            "1 day ago",
            "3 days ago",
            "1 month ago",
            "2 years ago",
        ];
        assert_eq!(ages.map(age), told);
        assert_eq!(age(-90), "in 1 min");
    }

    #[test]
    fn durations_are_written_in_two_units_at_most() {
        let length = |nanos: i128| {
            let to = Timestamp::new((nanos / NANOS) as i64, (nanos % NANOS) as u32);
            took(Timestamp::new(0, 0), to)
        };
        assert_eq!(length(7_000), "<1 ms");
        assert_eq!(length(12 * 1_000_000), "12 ms");
        assert_eq!(length(1_250_000_000), "1.25 s");
        assert_eq!(length(200 * NANOS), "3 min 20 s");
        assert_eq!(length(7_500 * NANOS), "2 h 5 min");
        assert_eq!(length(90_000 * NANOS), "1 d 1 h");
        assert_eq!(took(Timestamp::new(9, 0), Timestamp::new(1, 0)), "<1 ms");
    }

    #[test]
    fn a_duration_is_seconds_or_has_units() {
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
    fn invalid_times_are_refused() {
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
