//! How text is written for people: labels and paths never reach the terminal unescaped.

use std::fmt::Write;

/// The text with every character escaped that could move the cursor, colour the screen, break the line or change the
/// writing direction.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_unsafe(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// Control characters, and the invisible ones that reorder or hide text.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{61c}' | '\u{feff}')
}

/// A word quoted for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=~".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// A size in the largest unit with at least one digit before the dot.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Parses a number of bytes, with or without a unit: `4096`, `500M`, `1.5 GiB`. All units are powers of 1024.
///
/// # Errors
/// The expected forms.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || {
        let shown = text.escape_debug();
        format!("`{shown}` is not a size: use bytes, or units such as 500M or 1.5GiB")
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let unit = unit.trim_start().to_ascii_lowercase();
    let unit = unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(&unit);
    let power = ["", "k", "m", "g", "t", "p"]
        .iter()
        .position(|known| *known == unit);
    let power = power.ok_or_else(wrong)? as i32;
    if let (0, Ok(bytes)) = (power, number.parse()) {
        return Ok(bytes);
    }
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * 1024_f64.powi(power);
    match bytes.is_finite() && bytes < u64::MAX as f64 {
        true => Ok(bytes as u64),
        false => Err(wrong()),
    }
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let mut out = String::new();
    let plural = if number == 1 { "" } else { "s" };
    // Writing to a string does not fail.
    let _ = write!(out, "{number} {noun}{plural}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g10_escape_sequences_are_shown_and_not_sent() {
        assert_eq!(
            clean("a\u{1b}[31mb\n\u{202e}c"),
            "a\\u{1b}[31mb\\n\\u{202e}c"
        );
        assert_eq!(clean("ünï `x` 'y' \\"), "ünï `x` 'y' \\");
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_split_it() {
        assert_eq!(quoted("build/a-1.txt"), "build/a-1.txt");
        assert_eq!(quoted("it's $x"), r"'it'\''s $x'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_size_is_bytes_or_has_a_unit() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(size("500M"), Ok(500 << 20));
        assert_eq!(size("1.5 GiB"), Ok(3 << 29));
        assert_eq!(size("2kb"), Ok(2048));
        for bad in ["", "M", "-1", "1x", "1e9", "99999999P", "1.2.3k"] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn bytes_are_short() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
    }
}
