//! How times, durations and foreign texts are written on a page.

use tljournal::Timestamp;

use crate::text::clean;
use crate::time;

/// The number of characters shown of a foreign text, with the number of further ones.
pub(super) const TEXT_MAX: usize = 240;

/// A foreign text without control characters, and at most `max` characters long. (HTML escaping is done by the
/// template.)
pub(super) fn text(raw: &str, max: usize) -> String {
    let mut rest = raw.chars();
    let shown: String = rest.by_ref().take(max).collect();
    let more = rest.count();
    match more {
        0 => clean(&shown),
        more => format!("{}… ({more} more characters)", clean(&shown)),
    }
}

/// Nanoseconds since 1970, limited to a usable range.
pub(super) fn nanos(at: Timestamp) -> i64 {
    // A hostile row may have any year; the difference of two values still fits.
    const FAR: i128 = (i64::MAX / 2) as i128;
    at.as_nanos().clamp(-FAR, FAR) as i64
}

/// The day, in UTC.
pub(super) fn day(at: Timestamp) -> String {
    time::short(at).chars().take(10).collect()
}

/// The time of day to the second, in UTC.
pub(super) fn clock(at: Timestamp) -> String {
    time::short(at).chars().skip(11).take(8).collect()
}

/// A duration with about three digits.
pub(super) fn span(nanos: i64) -> String {
    let nanos = nanos.max(0);
    let seconds = nanos as f64 / 1e9;
    let whole = nanos / 1_000_000_000;
    match whole {
        0 if nanos < 1_000 => format!("{nanos} ns"),
        0 if nanos < 1_000_000 => format!("{} µs", nanos / 1_000),
        0 if nanos < 10_000_000 => format!("{:.1} ms", seconds * 1e3),
        0 => format!("{:.0} ms", seconds * 1e3),
        1..10 => format!("{seconds:.2} s"),
        10..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..172_800 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} days", whole / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_suitable_unit() {
        let told = |nanos| span(nanos);
        assert_eq!(told(-5), "0 ns");
        assert_eq!(told(1_500), "1 µs");
        assert_eq!(told(1_500_000), "1.5 ms");
        assert_eq!(told(12_400_000), "12 ms");
        assert_eq!(told(1_234_000_000), "1.23 s");
        assert_eq!(told(61_000_000_000), "1 min 1 s");
        assert_eq!(told(7_384_000_000_000), "2 h 3 min");
        assert_eq!(told(86_400_000_000_000 * 3), "3 days");
    }

    #[test]
    fn a_long_text_is_truncated_with_a_note() {
        assert_eq!(text("abc", 3), "abc");
        assert_eq!(text("abcdef", 3), "abc… (3 more characters)");
        assert_eq!(text("a\u{202e}b\n", 9), "a\\u{202e}b\\n");
    }

    #[test]
    fn any_year_fits_the_picture() {
        let far = nanos(Timestamp::new(i64::MAX, 1));
        let early = nanos(Timestamp::new(i64::MIN, 1));
        assert!(far.checked_sub(early).is_some());
    }
}
