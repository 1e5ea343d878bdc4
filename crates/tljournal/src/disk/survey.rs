use std::ffi::OsStr;

use super::{Dir, DiskError, LEVELS_MAX};
use crate::model::{Kind, Stat};

/// Everything below a directory, of any kind and with any name, as far as it is accessible.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Paths below it; a directory comes before its entries.
    pub(crate) entries: Vec<(String, Stat)>,
    /// Paths that are not UTF-8, lossily converted.
    pub(crate) unnamed: Vec<(String, Stat)>,
    /// Directories that cannot be listed, with their owners.
    pub(crate) closed: Vec<(String, u32)>,
}

impl Survey {
    /// All paths, UTF-8 or not.
    pub(crate) fn all(&self) -> impl Iterator<Item = &(String, Stat)> {
        self.entries.iter().chain(&self.unnamed)
    }

    /// The number of bytes in files.
    pub(crate) fn bytes(&self) -> u64 {
        let files = self.all().filter(|(_, stat)| stat.kind == Kind::File);
        files.map(|(_, stat)| stat.content_bytes()).sum()
    }
}

/// Receives each file whose name is not UTF-8, because no text path leads to it.
pub(crate) type OnUnnamed<'a> = &'a mut dyn FnMut(&Dir, &OsStr);

impl Dir {
    /// Lists everything below a directory in one thread, and continues after what cannot be listed. A mount point is
    /// listed but not entered.
    ///
    /// [`DiskError`] when the directory itself cannot be read.
    /// [`DiskError`] when the system cannot say what it is.
    pub(crate) fn survey(
        &self,
        name: impl AsRef<OsStr>,
        on_unnamed: OnUnnamed<'_>,
    ) -> Result<Survey, DiskError> {
        let mut survey = Survey::default();
        if let Some(stat) = self.stat(name.as_ref())? {
            let at = (String::new(), true, stat.uid);
            self.survey_down_to(name.as_ref(), at, LEVELS_MAX, (&mut survey, on_unnamed));
        }
        Ok(survey)
    }

    fn survey_down_to(
        &self,
        name: &OsStr,
        (path, is_named, uid): (String, bool, u32),
        levels: u32,
        (survey, on_unnamed): (&mut Survey, OnUnnamed<'_>),
    ) {
        let listed = self.open_child(name).and_then(|dir| {
            let (own, names) = (dir.own_stat()?, dir.names()?);
            Ok((dir, own, names))
        });
        let Some((dir, own, mut names)) = listed.ok().filter(|_| levels > 0) else {
            survey.closed.push((path, uid));
            return;
        };
        names.sort();
        for entry in names {
            let Ok(Some(stat)) = dir.stat(&entry) else {
                // The directory can be listed, but its entries are inaccessible.
                survey.closed.push((path.clone(), uid));
                continue;
            };
            let shown = entry.to_string_lossy();
            let below = match path.is_empty() {
                true => shown.into_owned(),
                false => format!("{path}/{shown}"),
            };
            let is_named = is_named && entry.to_str().is_some();
            let (kind, uid) = (stat.kind, stat.uid);
            let is_mounted = (stat.dev, stat.mount) != (own.dev, own.mount);
            match is_named {
                true => survey.entries.push((below.clone(), stat)),
                false => survey.unnamed.push((below.clone(), stat)),
            }
            if is_mounted {
                continue;
            }
            if kind == Kind::File && !is_named {
                on_unnamed(&dir, &entry);
            }
            if kind == Kind::Dir {
                let at = (below, is_named, uid);
                dir.survey_down_to(&entry, at, levels - 1, (survey, on_unnamed));
            }
        }
    }
}
