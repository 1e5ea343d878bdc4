//! The JSON description that `apply` reads.
//!
//! Every change is parsed with all fields that any change may have, and then validated as a whole, so that an error
//! names the line.

use camino::Utf8PathBuf;
use serde::Deserialize;
use tljournal::{Durability, Expect, NamedPath, OnPinned, Timestamp};

use crate::time;

/// The description of a transaction.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Its label.
    pub label: Option<String>,
    /// Its changes.
    pub changes: Vec<Described>,
}

/// One change.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Described {
    /// Its path.
    pub path: NamedPath,
    /// The precondition.
    pub expect: Expect,
    /// The operation.
    pub action: Action,
}

/// The operation of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Put a file.
    Put {
        /// The source of its content.
        content: Content,
        /// Permission bits.
        mode: Option<u32>,
        /// The mtime.
        mtime: Option<Timestamp>,
    },
    /// Remove the path.
    Remove,
    /// Make a symbolic link.
    Link {
        /// The target.
        target: String,
    },
    /// Install a tree.
    Tree {
        /// A directory or archive.
        from: Utf8PathBuf,
        /// What must be durable when the transaction is committed.
        durability: Durability,
        /// What to do if the replaced tree is pinned.
        on_pinned: OnPinned,
        /// Whether setuid, setgid and sticky bits are kept.
        keep_special_bits: bool,
    },
}

/// The source of a file's content.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// The text is in the description.
    Text(String),
    /// The content of this file.
    File(Utf8PathBuf),
}

/// A text is not a valid description, with the reason and position.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DescribeError(String);

impl Action {
    /// The word for the receipt.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Put { .. } => "put",
            Self::Remove => "rm",
            Self::Link { .. } => "link",
            Self::Tree { .. } => "install",
        }
    }
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// [`DescribeError`] with the line and column.
    pub fn parse(text: &[u8]) -> Result<Self, DescribeError> {
        let text = match text {
            // A byte order mark, as some editors and shells write it.
            [0xef, 0xbb, 0xbf, text @ ..] => text,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                let what =
                    "the description is in UTF-16, by its byte order mark; write it in UTF-8";
                return Err(DescribeError(what.to_owned()));
            }
            text => text,
        };
        let read: Self = serde_json::from_slice(text)
            .map_err(|error| DescribeError(format!("the description is invalid: {error}")))?;
        if read.changes.is_empty() {
            return Err(DescribeError("the description has no changes".to_owned()));
        }
        Ok(read)
    }
}

/// A change with all possible fields.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    put: Option<String>,
    remove: Option<String>,
    link: Option<String>,
    tree: Option<String>,
    content: Option<String>,
    from: Option<String>,
    mode: Option<String>,
    mtime: Option<String>,
    target: Option<String>,
    durability: Option<String>,
    on_pinned: Option<String>,
    keep_special_bits: Option<bool>,
    expect: Option<String>,
}

impl TryFrom<Raw> for Described {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let named = [
            ("put", &raw.put),
            ("remove", &raw.remove),
            ("link", &raw.link),
            ("tree", &raw.tree),
        ];
        let mut named = named
            .iter()
            .filter_map(|(verb, path)| path.as_deref().map(|path| (*verb, path)));
        let (verb, path) = named
            .next()
            .ok_or("a change needs one of `put`, `remove`, `link` and `tree`")?;
        if let Some((other, _)) = named.next() {
            return Err(format!("`{verb}` and `{other}` cannot be one change"));
        }
        let path = NamedPath::new(path).map_err(|error| format!("field `{verb}`: {error}"))?;
        raw.refuse_strangers(verb, &path)?;
        let expect = match &raw.expect {
            None => Expect::Any,
            Some(text) => text.parse().map_err(|error| at("expect", &path, error))?,
        };
        let action = raw.action(verb, &path)?;
        Ok(Self {
            path,
            expect,
            action,
        })
    }
}

impl Raw {
    /// Refuses fields that do not apply to this kind of change.
    fn refuse_strangers(&self, verb: &str, path: &NamedPath) -> Result<(), String> {
        let fields: [(&str, bool, &[&str]); 8] = [
            ("content", self.content.is_some(), &["put"]),
            ("from", self.from.is_some(), &["put", "tree"]),
            ("mode", self.mode.is_some(), &["put"]),
            ("mtime", self.mtime.is_some(), &["put"]),
            ("target", self.target.is_some(), &["link"]),
            ("durability", self.durability.is_some(), &["tree"]),
            ("on_pinned", self.on_pinned.is_some(), &["tree"]),
            (
                "keep_special_bits",
                self.keep_special_bits.is_some(),
                &["tree"],
            ),
        ];
        match fields
            .iter()
            .find(|(_, given, verbs)| *given && !verbs.contains(&verb))
        {
            Some((field, ..)) => Err(format!(
                "field `{field}` does not apply to `{verb}`, in the change of `{}`",
                shown(path)
            )),
            None => Ok(()),
        }
    }

    fn action(self, verb: &str, path: &NamedPath) -> Result<Action, String> {
        let lacks = |what: &str| format!("the {verb} of `{}` lacks {what}", shown(path));
        Ok(match verb {
            "put" => Action::Put {
                content: match (self.content, self.from) {
                    (Some(text), None) => Content::Text(text),
                    (None, Some(from)) => Content::File(source(from, path)?),
                    (None, None) => return Err(lacks("`content` or `from`")),
                    (Some(_), Some(_)) => {
                        return Err(format!(
                            "`content` and `from` exclude each other, in the change of `{}`",
                            shown(path)
                        ));
                    }
                },
                mode: read(self.mode, "mode", path, parse_mode)?,
                mtime: read(self.mtime, "mtime", path, time::parse)?,
            },
            "link" => match self.target {
                Some(target) if !target.is_empty() => Action::Link { target },
                _ => return Err(lacks("a `target`")),
            },
            "tree" => Action::Tree {
                from: source(self.from.ok_or_else(|| lacks("`from`"))?, path)?,
                durability: read(self.durability, "durability", path, durability)?
                    .unwrap_or_default(),
                on_pinned: read(self.on_pinned, "on_pinned", path, on_pinned)?.unwrap_or_default(),
                keep_special_bits: self.keep_special_bits.unwrap_or(false),
            },
            _ => Action::Remove,
        })
    }
}

/// Reads permission bits in octal.
///
/// # Errors
/// The reason and the expected form.
pub fn parse_mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let bits = u32::from_str_radix(digits, 8).ok();
    bits.filter(|bits| octal && *bits <= 0o7777).ok_or_else(|| {
        let text = text.escape_debug();
        format!("`{text}` is not a mode: use octal digits up to 7777, such as 0644")
    })
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "durable" => Ok(Durability::Durable),
        "rebuildable" => Ok(Durability::Rebuildable),
        _ => Err(none_of(text, "`durable` and `rebuildable`")),
    }
}

fn on_pinned(text: &str) -> Result<OnPinned, String> {
    match text {
        "exchange" => Ok(OnPinned::Exchange),
        "wait" => Ok(OnPinned::Wait),
        "fail" => Ok(OnPinned::Fail),
        _ => Err(none_of(text, "`exchange`, `wait` and `fail`")),
    }
}

fn none_of(text: &str, words: &str) -> String {
    format!("`{}` is none of {words}", text.escape_debug())
}

/// Standard input may be the description itself, so a change cannot use it.
fn source(from: String, path: &NamedPath) -> Result<Utf8PathBuf, String> {
    match from.as_str() {
        "" => Err(at("from", path, "the path is empty")),
        "-" => Err(at(
            "from",
            path,
            "standard input cannot be used here; a file of that name is `./-`",
        )),
        _ => Ok(from.into()),
    }
}

fn read<T>(
    text: Option<String>,
    field: &str,
    path: &NamedPath,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    text.map(|text| parse(&text).map_err(|error| at(field, path, error)))
        .transpose()
}

fn at(field: &str, path: &NamedPath, error: impl std::fmt::Display) -> String {
    format!(
        "field `{field}` of the change of `{}`: {error}",
        shown(path)
    )
}

fn shown(path: &NamedPath) -> String {
    path.to_string().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Description::parse(text.as_bytes()).unwrap_err().to_string()
    }

    fn error_of_change(change: &str) -> String {
        error(&format!("{{\"changes\": [\n{change}]}}"))
    }

    /// A description that an editor had saved with a byte order mark was rejected at line 1, column 1.
    #[test]
    fn a_byte_order_mark_is_skipped_and_utf_16_is_named() {
        let text = "\u{feff}{\"changes\": [{\"remove\": \"a\"}]}";
        assert_eq!(
            Description::parse(text.as_bytes()).unwrap().changes.len(),
            1
        );
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let text: Vec<u8> = text.encode_utf16().flat_map(order).collect();
            let told = Description::parse(&text).unwrap_err().to_string();
            assert!(told.contains("UTF-16"), "{told}");
        }
    }

    #[test]
    fn every_kind_of_change_is_parsed() {
        let text = r#"{"label": "x", "changes": [
            {"put": "build/a", "content": "text", "mode": "0644", "mtime": "@5.5", "expect": "absent"},
            {"put": "build/b", "from": "f"},
            {"remove": "build/old", "expect": "present"},
            {"link": "build/l", "target": "1"},
            {"tree": "build/t", "from": "d", "durability": "rebuildable", "on_pinned": "fail",
             "keep_special_bits": true}]}"#;
        let read = Description::parse(text.as_bytes()).unwrap();
        assert_eq!(read.label.as_deref(), Some("x"));
        let verbs: Vec<_> = read
            .changes
            .iter()
            .map(|change| change.action.verb())
            .collect();
        assert_eq!(verbs, ["put", "put", "rm", "link", "install"]);
        assert_eq!(
            read.changes[0].action,
            Action::Put {
                content: Content::Text("text".to_owned()),
                mode: Some(0o644),
                mtime: Some(Timestamp::new(5, 500_000_000)),
            }
        );
        assert_eq!(read.changes[2].expect, Expect::Present);
    }

    #[test]
    fn errors_name_their_line() {
        let said = error_of_change(r#"{"put": "build/a", "content": "x", "modee": "0644"}"#);
        assert!(said.contains("modee") && said.contains("line 2"), "{said}");
        let said = error_of_change(r#"{"put": "build/a", "content": "x", "from": "y"}"#);
        assert!(
            said.contains("exclude") && said.contains("build/a"),
            "{said}"
        );
        assert!(said.contains("line 2"), "{said}");
    }

    #[test]
    fn impossible_changes_are_refused() {
        for (change, word) in [
            (r#"{}"#, "needs one of"),
            (
                r#"{"put": "a", "remove": "b", "content": ""}"#,
                "one change",
            ),
            (r#"{"put": "a"}"#, "lacks"),
            (r#"{"put": "../a", "content": ""}"#, "climbs"),
            (
                r#"{"put": "a", "content": "", "mode": "8"}"#,
                "field `mode`",
            ),
            (
                r#"{"put": "a", "content": "", "mode": "17777"}"#,
                "field `mode`",
            ),
            (
                r#"{"put": "a", "content": "", "mode": 420}"#,
                "invalid type",
            ),
            (
                r#"{"put": "a", "content": "", "mtime": "now"}"#,
                "field `mtime`",
            ),
            (
                r#"{"put": "a", "content": "", "expect": "new"}"#,
                "field `expect`",
            ),
            (
                r#"{"put": "a", "content": "", "durability": "durable"}"#,
                "does not apply",
            ),
            (r#"{"put": "a", "from": "-"}"#, "standard input"),
            (r#"{"remove": "a", "from": "b"}"#, "does not apply"),
            (r#"{"link": "a"}"#, "lacks a `target`"),
            (r#"{"link": "a", "target": ""}"#, "lacks a `target`"),
            (
                r#"{"link": "a", "target": "b", "mode": "0777"}"#,
                "does not apply",
            ),
            (r#"{"tree": "a"}"#, "lacks `from`"),
            (
                r#"{"tree": "a", "from": "b", "content": ""}"#,
                "does not apply",
            ),
            (
                r#"{"tree": "a", "from": "b", "durability": "best"}"#,
                "none of",
            ),
            (
                r#"{"tree": "a", "from": "b", "on_pinned": "kill"}"#,
                "none of",
            ),
            (r#"{"put": "a", "put": "b", "content": ""}"#, "duplicate"),
        ] {
            let said = error_of_change(change);
            assert!(said.contains(word), "{change}: {said}");
        }
    }

    #[test]
    fn other_json_is_refused() {
        for text in [
            "",
            "[]",
            "{",
            "{\"changes\": []}",
            "{\"label\": \"x\"}",
            "null",
            "{\"changes\": [1]}",
        ] {
            assert!(!error(text).is_empty(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(error(&format!("{{\"changes\": {deep}")).contains("invalid type"));
        assert!(error("{\"changes\": [], \"x\": 1}").contains("unknown field"));
    }
}
