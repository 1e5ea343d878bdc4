//! A tokenizer for the text of a schema, to tell additions from damage.

/// A token of SQL. Names and keywords are in lower case and without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    /// A literal: a string, with its quotes, or a number.
    Value(String),
    Sign(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }

    fn is_sign(&self, sign: char) -> bool {
        *self == Self::Sign(sign)
    }
}

/// Splits a text into tokens, without comments and blanks.
pub(super) fn tokens(sql: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(comment) = rest.strip_prefix("--") {
            2 + comment.find('\n').unwrap_or(comment.len())
        } else if let Some(comment) = rest.strip_prefix("/*") {
            2 + comment.find("*/").map_or(comment.len(), |at| at + 2)
        } else if let Some(end) = [('"', '"'), ('`', '`'), ('[', ']'), ('\'', '\'')]
            .into_iter()
            .find_map(|(begin, end)| (begin == first).then_some(end))
        {
            let length = quoted_length(rest, end);
            let text = &rest[..length];
            found.push(match first {
                '\'' => Token::Value(text.to_owned()),
                _ => Token::Word(text.trim_matches([first, end]).to_lowercase()),
            });
            length
        } else if first.is_alphanumeric() || first == '_' {
            let is_part = |c: char| c.is_alphanumeric() || "_$.".contains(c);
            let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let text = rest[..length].to_lowercase();
            found.push(match first.is_ascii_digit() {
                true => Token::Value(text),
                false => Token::Word(text),
            });
            length
        } else {
            if !first.is_whitespace() {
                found.push(Token::Sign(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// The length of a quoted token at the start of a text; a doubled quote does not end it.
fn quoted_length(text: &str, end: char) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == end {
            match chars.peek() {
                Some((_, next)) if *next == end => drop(chars.next()),
                _ => return at + c.len_utf8(),
            }
        }
    }
    text.len()
}

/// A parsed `CREATE TABLE`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Its columns and constraints.
    parts: Vec<Vec<Token>>,
    /// The options after them, such as `STRICT`.
    options: Vec<Token>,
}

impl Table {
    /// `None` unless it is a plain `CREATE TABLE` with columns.
    pub(super) fn parse(sql: &str) -> Option<Self> {
        let tokens = tokens(sql);
        let [create, table, _, open, rest @ ..] = &tokens[..] else {
            return None;
        };
        if !create.is("create") || !table.is("table") || !open.is_sign('(') {
            return None;
        }
        let (mut parts, mut depth) = (vec![Vec::new()], 0_u32);
        for (at, token) in rest.iter().enumerate() {
            match token {
                Token::Sign(')') if depth == 0 => {
                    let options = rest[at + 1..].to_vec();
                    return Some(Self { parts, options });
                }
                Token::Sign(',') if depth == 0 => {
                    parts.push(Vec::new());
                    continue;
                }
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth -= 1,
                _ => {}
            }
            parts.last_mut()?.push(token.clone());
        }
        None
    }

    /// Whether it has a column of the last known table that this known one lacks.
    pub(super) fn has_more_of(&self, known: &Self, last: &Self) -> bool {
        let is_later = |part: &&Vec<Token>| !known.parts.contains(part);
        let mut later = last.parts.iter().filter(is_later);
        later.any(|part| self.parts.contains(part))
    }

    /// Whether this is the known table, possibly with added columns that this version can ignore.
    pub(super) fn extends(&self, known: &Self) -> bool {
        let mut missing = known.parts.iter().peekable();
        for part in &self.parts {
            if missing.peek() == Some(&part) {
                missing.next();
            } else if !is_plain_column(part) {
                return false;
            }
        }
        missing.peek().is_none() && self.options == known.options
    }
}

/// Whether a part of a table is a column that need not be written and computes nothing.
fn is_plain_column(part: &[Token]) -> bool {
    let constraints = ["constraint", "primary", "unique", "check", "foreign"];
    let heavy = ["generated", "as", "check", "unique", "primary", "collate"];
    let has = |word: &str| part.iter().any(|token| token.is(word));
    let is_constraint = part
        .first()
        .is_none_or(|first| constraints.iter().any(|word| first.is(word)));
    let is_null = part
        .windows(2)
        .any(|two| two[0].is("default") && two[1].is("null"));
    let is_given = has("default") && !is_null;
    !is_constraint
        && !heavy.iter().any(|word| has(word))
        && !calls(part)
        && (!has("not") || is_given)
}

/// Whether an unknown table or index computes nothing, so that it can be ignored.
pub(super) fn is_plain(sql: &str) -> bool {
    let tokens = tokens(sql);
    let heavy = ["as", "generated", "select", "virtual"];
    let first = [tokens.first(), tokens.get(1)];
    let creates = matches!(first, [Some(create), Some(_)] if create.is("create"));
    // What follows the name of what is created is no call.
    let open = tokens.iter().position(|token| token.is_sign('('));
    let body = open.map_or(&[][..], |open| &tokens[open + 1..]);
    creates
        && !heavy
            .iter()
            .any(|word| tokens.iter().any(|token| token.is(word)))
        && !calls(body)
}

/// Whether the tokens may contain a call: a word before an opening parenthesis that is neither a keyword nor a type
/// with a size.
fn calls(tokens: &[Token]) -> bool {
    let keywords = [
        "varchar",
        "char",
        "decimal",
        "numeric",
        "key",
        "in",
        "and",
        "or",
        "not",
        "where",
        "references",
        "default",
        "check",
        "unique",
    ];
    tokens.windows(2).enumerate().any(|(at, two)| {
        let named = at > 0 && tokens[at - 1].is("references");
        let word = matches!(&two[0], Token::Word(word) if !keywords.contains(&word.as_str()));
        two[1].is_sign('(') && word && !named
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, -- the, number\n a TEXT NOT NULL, UNIQUE (a)) STRICT";

    fn extends(sql: &str) -> bool {
        let known = Table::parse(KNOWN).unwrap();
        Table::parse(sql).is_some_and(|table| table.extends(&known))
    }

    #[test]
    fn additions_to_a_table_are_told_from_changes() {
        let own = "id INTEGER PRIMARY KEY, a TEXT NOT NULL";
        for added in [
            "",
            ", b",
            ", b TEXT",
            ", \"b\" varchar(20) DEFAULT 'x, y'",
            ", b TEXT NOT NULL DEFAULT ''",
            ", b INTEGER REFERENCES t (id)",
            ", b INT DEFAULT -1, c BLOB",
        ] {
            assert!(
                extends(&format!(
                    "create table \"T\"({own}{added}, UNIQUE(a))strict"
                )),
                "{added}"
            );
        }
        for changed in [
            ", b TEXT NOT NULL",
            ", b TEXT NOT NULL DEFAULT NULL",
            ", b TEXT AS (hex(zeroblob(9))) VIRTUAL",
            ", b TEXT GENERATED ALWAYS AS (a)",
            ", b TEXT DEFAULT (randomblob(9))",
            ", b TEXT CHECK (b > 1)",
            ", b TEXT UNIQUE",
            ", UNIQUE (id)",
        ] {
            assert!(
                !extends(&format!(
                    "CREATE TABLE t ({own}{changed}, UNIQUE (a)) STRICT"
                )),
                "{changed}"
            );
        }
        for other in [
            "CREATE TABLE t (id INTEGER PRIMARY KEY, UNIQUE (a)) STRICT",
            "CREATE TABLE t (a TEXT NOT NULL, id INTEGER PRIMARY KEY, UNIQUE (a)) STRICT",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, UNIQUE (a)) STRICT",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL) STRICT",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, UNIQUE (a))",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, UNIQUE (a)) STRICT, WITHOUT ROWID",
            "CREATE TABLE t AS SELECT 1",
            "CREATE VIEW t (id, a) AS SELECT 1, 2",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, UNIQUE (a)",
            "",
        ] {
            assert!(!extends(other), "{other}");
        }
    }

    #[test]
    fn an_object_that_computes_something_is_not_plain() {
        for plain in [
            "CREATE INDEX i ON t (a, b DESC)",
            "CREATE INDEX i ON t (a) WHERE b IS NOT NULL AND a IN ('x', 'y(') -- f(",
            "CREATE TABLE other (a CHECK (a IN (1, 2)), b VARCHAR(20), UNIQUE (a), FOREIGN KEY (b) REFERENCES t (id))",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for heavy in [
            "CREATE INDEX i ON t (abs(a))",
            "CREATE UNIQUE INDEX i ON t (a) WHERE x (a)",
            "CREATE INDEX i ON t (a) WHERE length(b) > 1",
            "CREATE TABLE other (a AS (zeroblob(9)))",
            "CREATE TABLE other (a CHECK (a > abs(1)))",
            "CREATE VIRTUAL TABLE other USING fts5 (a)",
            "DROP TABLE t",
        ] {
            assert!(!is_plain(heavy), "{heavy}");
        }
    }
}
