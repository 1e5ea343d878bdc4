use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a transaction or run")]
pub struct ParseIdError(String);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with this UUID.
            #[must_use]
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID behind the id.
            #[must_use]
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                // Only the canonical form is accepted, because file names are made from it.
                match Uuid::try_parse(text) {
                    Ok(uuid) if uuid.as_hyphenated().to_string() == text => Ok(Self(uuid)),
                    _ => Err(ParseIdError(text.escape_debug().to_string())),
                }
            }
        }
    };
}

id! {
    /// Names a transaction, and its directory below `.state/txn/`. Time-ordered (UUID version 7).
    TxnId
}

id! {
    /// Names a run: one process's use of a journal.
    RunId
}

impl RunId {
    /// The byte of `lock/runs` that the run keeps locked while it lives.
    ///
    /// These are the 62 random bits of the UUID: no slot table is needed and no byte is ever reused.
    #[must_use]
    pub fn lock_byte(&self) -> i64 {
        let low = self.as_uuid().as_u64_pair().1;
        i64::try_from(low & 0x3fff_ffff_ffff_ffff).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_text_is_an_id() {
        let id = TxnId::from_uuid(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(id.to_string().parse(), Ok(id));
        let simple = id.as_uuid().as_simple().to_string();
        for bad in [
            "",
            "../x",
            &simple,
            &id.to_string().to_uppercase().replace('1', "A"),
        ] {
            assert!(bad.parse::<TxnId>().is_err(), "{bad:?}");
        }
    }
}
