use std::ffi::OsStr;

use super::{Dir, DiskError, LEVELS_MAX};
use crate::model::{Kind, Stat};

/// What lies below a directory, as far as it can be looked at: whatever it is, and whatever it is called.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Paths below it, a directory before what is in it.
    pub(crate) entries: Vec<(String, Stat)>,
    /// Those that are not UTF-8, with what is not replaced.
    pub(crate) unnamed: Vec<(String, Stat)>,
    /// Directories that cannot be looked into, with their owners.
    pub(crate) closed: Vec<(String, u32)>,
}

impl Survey {
    /// All paths, whatever is in them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &(String, Stat)> {
        self.entries.iter().chain(&self.unnamed)
    }

    /// How much the files hold.
    pub(crate) fn bytes(&self) -> u64 {
        let files = self.all().filter(|(_, stat)| stat.kind == Kind::File);
        files.map(|(_, stat)| stat.content_bytes()).sum()
    }
}

/// Told of each file whose name is not UTF-8: no path of text leads to it.
pub(crate) type OnUnnamed<'a> = &'a mut dyn FnMut(&Dir, &OsStr);

impl Dir {
    /// Lists everything below a directory, by one thread, and goes on after what cannot be listed. What is mounted
    /// there is listed and not gone into.
    ///
    /// # Errors
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
                // The directory lists its names and lets nothing be looked at.
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
