use std::io::{self, Write};

use anstyle::Style;

use crate::output::{BOLD, DIM};
use crate::terminal::{Terminal, width};
use crate::text::clean;

/// The width of the word before a text.
const WORD: usize = 10;
/// The width of a column of commands.
const STEP: usize = 40;
/// The indentation of everything below a title.
const INDENT: usize = 2;
/// The width used for output without a terminal.
const COLUMNS: usize = 100;
/// The largest number of lines for one text; the JSON has all of it.
const LINES_MAX: usize = 4;

/// Writes the lines of a report.
pub(super) struct Sheet<'a> {
    out: &'a mut dyn Write,
    terminal: Terminal,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(out: &'a mut dyn Write, terminal: Terminal) -> Self {
        Self { out, terminal }
    }

    /// The first line.
    pub(super) fn title(&mut self, text: &str) -> io::Result<()> {
        let text = self.cut_styled(text, self.columns());
        writeln!(self.out, "{text}")
    }

    /// Starts a section, with a text about it.
    pub(super) fn section(&mut self, word: &str, text: &str) -> io::Result<()> {
        let room = self.columns().saturating_sub(width(word) + 2);
        let text = self.terminal.cut(&clean(text), room);
        match text.is_empty() {
            true => writeln!(self.out, "{BOLD}{word}{BOLD:#}"),
            false => writeln!(self.out, "{BOLD}{word}{BOLD:#}  {DIM}{text}{DIM:#}"),
        }
    }

    /// One line, truncated at the edge; it is clean, and may have styles.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        let text = self.cut_styled(text, self.columns() - INDENT);
        writeln!(self.out, "{:INDENT$}{text}", "")
    }

    /// A line of foreign text.
    pub(super) fn quoted(&mut self, text: &str) -> io::Result<()> {
        let bar = if self.terminal.utf8 { "│" } else { "|" };
        let text = clean(&text.replace('\t', "    "));
        let text = self.terminal.cut(&text, self.columns() - INDENT - 2);
        writeln!(self.out, "{:INDENT$}{DIM}{bar}{DIM:#} {text}", "")
    }

    /// A text after a word, on several lines if needed, up to a limit.
    pub(super) fn wrapped(&mut self, word: &str, style: Style, text: &str) -> io::Result<()> {
        let word = clean(word);
        let begin = match word.is_empty() {
            true => 0,
            false => width(&word).max(WORD) + 1,
        };
        let room = self.columns().saturating_sub(INDENT + begin).max(20);
        let mut lines = wrap(&clean(text), room);
        if lines.len() > LINES_MAX {
            let rest = lines.split_off(LINES_MAX - 1).join(" ");
            lines.push(self.terminal.cut(&rest, room));
        }
        for (n, line) in lines.iter().enumerate() {
            let word = if n == 0 { word.as_str() } else { "" };
            let pad = begin - width(word).min(begin);
            writeln!(
                self.out,
                "{:INDENT$}{style}{word}{style:#}{:pad$}{line}",
                "", ""
            )?;
        }
        Ok(())
    }

    /// A command, which is never truncated, and its reason.
    pub(super) fn step(&mut self, command: &str, why: &str) -> io::Result<()> {
        let command = clean(command);
        let taken = INDENT + STEP.max(width(&command)) + 2 + width(why);
        let why = format!("{DIM}{why}{DIM:#}");
        if taken <= self.columns() {
            return writeln!(
                self.out,
                "{:INDENT$}{BOLD}{command:<STEP$}{BOLD:#}  {why}",
                ""
            );
        }
        writeln!(self.out, "{:INDENT$}{BOLD}{command}{BOLD:#}", "")?;
        writeln!(self.out, "{:INDENT$}{:INDENT$}{why}", "", "")
    }

    /// Prints how many are omitted.
    pub(super) fn more(&mut self, all: usize, told: usize) -> io::Result<()> {
        match all.saturating_sub(told) {
            0 => Ok(()),
            more => self.line(&format!("{DIM}and {more} more{DIM:#}")),
        }
    }

    fn columns(&self) -> usize {
        self.terminal.columns.unwrap_or(COLUMNS)
    }

    /// Truncates a text with styles at a column; what follows has none.
    fn cut_styled(&self, text: &str, columns: usize) -> String {
        let bare = anstream::adapter::strip_str(text).to_string();
        if width(&bare) <= columns {
            return text.to_owned();
        }
        let kept = self.terminal.cut(&bare, columns);
        // Styles are kept in place: all of them precede the truncated part.
        let (mut out, mut left) = (String::new(), kept.chars().count());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if c == '\u{1b}' {
                let end = rest.find('m').map_or(rest.len(), |end| end + 1);
                out.push_str(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            if left > 0 {
                let at = kept.chars().count() - left;
                out.extend(kept.chars().nth(at));
                left -= 1;
            }
            rest = &rest[c.len_utf8()..];
        }
        out
    }
}

/// Wraps a text into lines of a width; a longer word is broken too.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    // Text beyond a screen is not printed, and measuring it takes long.
    let text: String = text.chars().take(columns * (LINES_MAX + 1)).collect();
    for word in text.split(' ') {
        let mut word = word.to_owned();
        let space = usize::from(!line.is_empty());
        if !line.is_empty() && width(&line) + space + width(&word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        while width(&word) > columns {
            // A column needs at least one character, so the rest need not be measured.
            let at = word.char_indices().map(|(at, _)| at).take(columns + 1);
            let fits = |at: &usize| width(&word[..*at]) <= columns;
            let at = at.skip(1).take_while(fits).last().unwrap_or(word.len());
            let rest = word.split_off(at);
            lines.push(std::mem::replace(&mut word, rest));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_wrapped_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one", 7), ["one"]);
        assert_eq!(wrap("a 0123456789 b", 4), ["a", "0123", "4567", "89 b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn a_line_with_styles_is_truncated_by_its_visible_width() {
        let mut out = Vec::new();
        let terminal = Terminal {
            columns: Some(40),
            utf8: true,
        };
        let mut sheet = Sheet::new(&mut out, terminal);
        sheet
            .line(&format!("{BOLD}bold{BOLD:#} {}", "x".repeat(60)))
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(&format!("{BOLD}bold{BOLD:#} xx")), "{text:?}");
        let seen = anstream::adapter::strip_str(text.trim_end()).to_string();
        assert_eq!((width(&seen), seen.ends_with('…')), (40, true));
    }
}
