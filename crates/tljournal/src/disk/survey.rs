use std::ffi::OsStr;

use rustix::io::Errno;

use super::{Descent, Dir, DiskError, Step};
use crate::model::{Kind, Stat};

/// The longest path that the kernel resolves, in bytes.
const PATH_BYTES_MAX: usize = 4095;

/// The longest path that is listed, in bytes: directories may be nested without end.
const LISTED_BYTES_MAX: usize = 16 << 10;

/// Everything below a directory, of any kind and with any name, as far as it is accessible.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Paths below it; a directory comes before its entries.
    pub(crate) entries: Vec<(String, Stat)>,
    /// Paths that lead nowhere: those that are not UTF-8, lossily converted, and those that are too long.
    pub(crate) unnamed: Vec<(String, Stat)>,
    /// Directories that may not be listed or searched, with their owners.
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

/// Receives each file to which no text path leads.
pub(crate) type OnUnnamed<'a> = &'a mut dyn FnMut(&Dir, &OsStr);

impl Dir {
    /// Lists everything below a directory in one thread, and continues after what this user may not list. A mount
    /// point is listed but not entered.
    ///
    /// # Errors
    /// [`DiskError`] when anything else cannot be examined; `ENAMETOOLONG` when it is nested too deeply.
    pub(crate) fn survey(
        &self,
        name: impl AsRef<OsStr>,
        on_unnamed: OnUnnamed<'_>,
    ) -> Result<Survey, DiskError> {
        let (mut survey, name) = (Survey::default(), name.as_ref());
        let Some(stat) = self.stat(name)? else {
            return Ok(survey);
        };
        let mut walk = Descent::through(self, Vec::new())?;
        // The path of each directory down to the current one, and whether it leads there.
        let mut paths = Vec::new();
        let top = (String::new(), true);
        survey.enter(&mut walk, (name, stat.uid), (&mut paths, top))?;
        while let Some(step) = walk.step()? {
            let entry = match step {
                Step::Entry(entry) => entry,
                Step::Left(..) => {
                    paths.pop();
                    continue;
                }
            };
            let here = walk.here();
            let (Some((path, is_named)), Some(stat)) = (paths.last(), here.stat(&entry)?) else {
                continue;
            };
            let shown = entry.to_string_lossy();
            let below = match path.is_empty() {
                true => shown.into_owned(),
                false => format!("{path}/{shown}"),
            };
            if below.len() > LISTED_BYTES_MAX {
                return Err(here.error_at("look into", &entry, Errno::NAMETOOLONG));
            }
            let is_named = *is_named && entry.to_str().is_some() && below.len() <= PATH_BYTES_MAX;
            let (kind, uid, is_mounted) = (stat.kind, stat.uid, walk.is_mounted(&stat));
            match is_named {
                true => survey.entries.push((below.clone(), stat)),
                false => survey.unnamed.push((below.clone(), stat)),
            }
            match kind {
                _ if is_mounted => {}
                Kind::File if !is_named => on_unnamed(here, &entry),
                Kind::Dir => {
                    let at = (below, is_named);
                    survey.enter(&mut walk, (&entry, uid), (&mut paths, at))?;
                }
                _ => {}
            }
        }
        Ok(survey)
    }
}

impl Survey {
    /// Enters a directory, unless this user may not.
    fn enter(
        &mut self,
        walk: &mut Descent,
        (name, uid): (&OsStr, u32),
        (paths, at): (&mut Vec<(String, bool)>, (String, bool)),
    ) -> Result<(), DiskError> {
        match walk.enter(name) {
            Ok(()) => paths.push(at),
            Err(error) if error.is(Errno::ACCESS) => self.closed.push((at.0, uid)),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
