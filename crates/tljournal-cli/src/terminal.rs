//! The properties of standard output: whether it is a terminal, its width, and its character set.

use std::io::{self, IsTerminal};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The assumed width of a terminal that does not report one.
const COLUMNS: usize = 80;
/// The smallest width that is used.
const COLUMNS_MIN: usize = 40;

/// How results are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    /// The number of columns; `None` without a terminal.
    pub(crate) columns: Option<usize>,
    /// Whether it supports more than ASCII.
    pub(crate) utf8: bool,
}

impl Terminal {
    /// The properties of standard output.
    pub(crate) fn of_stdout() -> Self {
        let stdout = io::stdout();
        let columns = stdout.is_terminal().then(|| {
            let told = std::env::var("COLUMNS").ok();
            let told = told.and_then(|told| told.parse().ok());
            let asked = || rustix::termios::tcgetwinsize(&stdout).ok();
            let asked = || asked().map(|size| usize::from(size.ws_col));
            let columns = told.or_else(asked).filter(|columns| *columns > 0);
            columns.unwrap_or(COLUMNS).max(COLUMNS_MIN)
        });
        let utf8 = speaks_utf8(|name| std::env::var(name).ok());
        Self { columns, utf8 }
    }

    /// Whether it is a terminal.
    pub(crate) fn is_watched(self) -> bool {
        self.columns.is_some()
    }

    /// The text, truncated to the rest of a line after `taken` columns.
    pub(crate) fn fit(self, text: &str, taken: usize) -> String {
        match self.columns {
            Some(columns) => self.cut(text, columns.saturating_sub(taken)),
            None => text.to_owned(),
        }
    }

    /// The text, truncated to this many columns.
    pub(crate) fn cut(self, text: &str, columns: usize) -> String {
        if text.width() <= columns {
            return text.to_owned();
        }
        let end = if self.utf8 { "…" } else { "..." };
        let room = columns.saturating_sub(end.width());
        let mut taken = 0;
        let kept = text.chars().take_while(|c| {
            taken += c.width().unwrap_or(0);
            taken <= room
        });
        let mut cut: String = kept.collect();
        cut.push_str(end);
        cut
    }
}

/// The number of columns of a text.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Whether the locale is UTF-8, in the order defined by POSIX.
fn speaks_utf8(var: impl Fn(&str) -> Option<String>) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(var);
    let said = set.into_iter().find(|said| !said.is_empty());
    said.is_some_and(|said| {
        let said = said.to_ascii_lowercase();
        said.contains("utf-8") || said.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_truncated_at_a_column_with_a_mark() {
        let terminal = |utf8| Terminal {
            columns: Some(10),
            utf8,
        };
        assert_eq!(terminal(true).fit("0123456789", 0), "0123456789");
        assert_eq!(terminal(true).fit("0123456789a", 0), "012345678…");
        assert_eq!(terminal(false).fit("0123456789a", 2), "01234...");
        assert_eq!(terminal(true).fit("漢字漢字漢字", 3), "漢字漢…");
        let endless = Terminal {
            columns: None,
            utf8: true,
        };
        assert_eq!(endless.fit("0123456789a", 5), "0123456789a");
    }

    #[test]
    fn the_first_set_locale_counts() {
        let with = |vars: &'static [(&str, &str)]| {
            speaks_utf8(|name| {
                let var = vars.iter().find(|(other, _)| *other == name);
                var.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(with(&[("LANG", "en_US.UTF-8")]));
        assert!(with(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert!(!with(&[]));
    }
}
