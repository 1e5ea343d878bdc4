use std::fmt;
use std::str::FromStr;

use super::Digest;

/// The precondition of a change: what must be at its path.
///
/// It is checked under the commit lock, so that the checked content is the content that is replaced. The idea is that
/// of `PreviousValue` in gix-ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expect {
    /// Anything or nothing may be there.
    #[default]
    Any,
    /// Nothing is there.
    Absent,
    /// Something is there.
    Present,
    /// A file with this content, or a tree with this manifest, is there.
    Digest(Digest),
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Absent => f.write_str("absent"),
            Self::Present => f.write_str("present"),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A text is not an expectation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of `any`, `absent`, `present`, `sha256:` and 64 digits")]
pub struct ParseExpectError(String);

impl FromStr for Expect {
    type Err = ParseExpectError;
    fn from_str(text: &str) -> Result<Self, ParseExpectError> {
        match text {
            "any" => Ok(Self::Any),
            "absent" => Ok(Self::Absent),
            "present" => Ok(Self::Present),
            digest => match digest.parse() {
                Ok(digest) => Ok(Self::Digest(digest)),
                Err(_) => Err(ParseExpectError(text.escape_debug().to_string())),
            },
        }
    }
}
