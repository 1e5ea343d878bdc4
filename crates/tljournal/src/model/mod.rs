//! The data types of the engine: plain data, no I/O.

mod access;
mod attributes;
mod change;
mod digest;
mod event_kind;
mod expect;
mod id;
mod image;
mod key_material;
mod manifest;
mod named_path;
mod path;
mod place;
mod private_key;
mod retention;
pub(crate) mod signature;
mod time;
mod version;

pub use access::Access;
pub use attributes::{
    ACL, Attribute, Attributes, CAPABILITY, DEFAULT_ACL, group_by_acl, mode_by_acl,
    with_all_for_owner,
};
pub use change::{Change, Durability, Op, Spot, TxnState};
pub use digest::{Digest, Hasher, ParseDigestError};
pub use event_kind::EventKind;
pub use expect::{Expect, ParseExpectError};
pub use id::{ParseIdError, RunId, TxnId};
pub use image::{Identity, Image, Kind, Stat};
pub use key_material::KeyMaterial;
pub use manifest::{Entry, EntryKind, Manifest, ManifestError};
pub use named_path::NamedPath;
pub use path::{PathError, RelPath};
pub use place::{Anchor, Place};
pub use private_key::holds_private_key;
pub use retention::{Limits, Retention};
pub use signature::{EntrySignature, Facts, Signature};
pub use time::{ParseTimestampError, Timestamp};
pub use version::Version;
