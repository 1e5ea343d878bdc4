use super::Repairs;
use super::entry::Content;
use crate::error::Error;
use crate::model::{Digest, Kind, RelPath};

impl Repairs<'_> {
    /// The file with this content in the named source: the source itself, or its entry at the path.
    pub(super) fn source_file(
        &self,
        path: &RelPath,
        digest: &Digest,
    ) -> Result<Option<Content>, Error> {
        let Some(source) = &self.options.source else {
            return Ok(None);
        };
        let disk = self.engine.home.dir.disk();
        for at in [
            source.clone(),
            source.join(path.as_str()),
            source.join(path.name()),
        ] {
            let is_file = disk
                .stat_at(&at)?
                .is_some_and(|stat| stat.kind == Kind::File);
            if !is_file {
                continue;
            }
            let file = disk.open_source_at_once(&at)?;
            if disk.hash(&file, &at)? == *digest {
                let origin = format!("`{at}`");
                return Ok(Some(Content { file, origin }));
            }
        }
        Ok(None)
    }
}
