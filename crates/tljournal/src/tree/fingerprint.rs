use super::source::Opened;
use super::walk::walk;
use super::{Forbidden, TreeError, TreeSource};
use crate::disk::Disk;
use crate::model::{Anchor, Digest, Hasher, Kind, Place, Stat, Timestamp};

/// The fingerprint of a source that can be read again, from metadata only.
///
/// Equal fingerprints mean equal content, unless the source changed so shortly before the first one was taken that
/// the filesystem's clock had not advanced: compare `newest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) digest: Digest,
    /// The newest ctime of all entries.
    pub(crate) newest: Timestamp,
    /// The device of `newest`.
    pub(crate) dev: u64,
    /// The bytes of all files, or of the archive.
    pub(crate) total_bytes: u64,
}

impl Fingerprint {
    /// The fingerprint of a source with a key. It is valid for one place, because sources with the same key need not
    /// produce the same tree twice.
    pub(crate) fn of_key(key: Digest, place: &Place) -> Self {
        let mut sum = Sum::default();
        sum.text("key");
        sum.text(&key.hex());
        sum.number(u64::from(place.anchor == Anchor::Home));
        sum.text(place.path.as_str());
        sum.flush();
        Self {
            digest: sum.hasher.finish(),
            newest: Timestamp::default(),
            dev: 0,
            total_bytes: 0,
        }
    }
}

/// The fingerprint of a source, without reading content; `None` for a source that can be read once.
pub(crate) fn fingerprint(
    source: &TreeSource,
    disk: &Disk,
    forbidden: Forbidden,
) -> Result<Option<Fingerprint>, TreeError> {
    if !source.is_repeatable() {
        return Ok(None);
    }
    let mut sum = Sum::default();
    sum.number(source.mode_mask().into());
    if !source.carries_attributes() {
        sum.text("without attributes");
    }
    match source.open_path(disk)? {
        Opened::Dir(dir) => {
            for seen in walk(&dir, Some(forbidden))? {
                sum.text(&seen.path);
                sum.stat(&seen.stat);
                sum.text(seen.target.as_deref().unwrap_or_default());
                sum.flush();
            }
        }
        Opened::File(file) => {
            let stat = disk.stat_open(&file, &source.describe())?;
            if stat.kind != Kind::File {
                return Ok(None);
            }
            sum.stat(&stat);
            sum.flush();
        }
        Opened::Pipe
        | Opened::Stream(_)
        | Opened::Entries(_)
        | Opened::Fill(_)
        | Opened::Layers(_) => {
            return Ok(None);
        }
    }
    Ok(Some(Fingerprint {
        digest: sum.hasher.finish(),
        newest: sum.newest.unwrap_or_default(),
        dev: sum.dev,
        total_bytes: sum.total_bytes,
    }))
}

#[derive(Default)]
struct Sum {
    hasher: Hasher,
    /// Buffered input of the hasher: many small pieces cost more than one large one.
    bytes: Vec<u8>,
    newest: Option<Timestamp>,
    dev: u64,
    total_bytes: u64,
}

impl Sum {
    fn flush(&mut self) {
        self.hasher.update(&self.bytes);
        self.bytes.clear();
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.bytes.extend(number.to_le_bytes());
    }

    fn time(&mut self, time: Timestamp) {
        self.bytes.extend(time.secs().to_le_bytes());
        self.bytes.extend(time.nanos().to_le_bytes());
    }

    fn stat(&mut self, stat: &Stat) {
        // The root comes first, and its device is recorded.
        if self.newest.is_none() {
            self.dev = stat.dev;
        }
        self.newest = self.newest.max(Some(stat.ctime));
        self.text(stat.kind.as_str());
        self.number(stat.dev);
        self.number(stat.identity.ino);
        self.number(stat.mode.into());
        self.time(stat.identity.born);
        self.time(stat.mtime);
        self.time(stat.ctime);
        if stat.kind == Kind::File {
            self.number(stat.size);
            self.total_bytes += stat.size;
        }
    }
}
