use std::collections::BTreeMap;

use super::Home;
use super::layout::LOG;
use crate::ambient;
use crate::disk::Dir;
use crate::error::Error;
use crate::model::Limits;
use crate::model::RunId;

impl Home {
    /// Removes the oldest logs of runs that have ended, so far that as many and as much remain as there
    /// may be; or only says which those are. What is not named as a log is not touched.
    pub(crate) fn thin_logs(
        &self,
        limits: &Limits,
        is_alive: impl Fn(RunId) -> Result<bool, crate::disk::DiskError>,
        dry_run: bool,
    ) -> Result<Vec<(RunId, u64)>, Error> {
        let dir = match self.state.open_dir(LOG) {
            Err(error) if error.io().kind() == std::io::ErrorKind::NotFound => {
                return Ok(Vec::new());
            }
            opened => opened?,
        };
        let (mut runs, mut bytes) = (0, 0_u64);
        let (mut failed, mut gone) = (None, Vec::new());
        let oldest = ambient::now().as_nanos() - limits.age.as_nanos().cast_signed();
        // Ids are ordered by time: the latest first.
        for (run, names) in by_run(&dir)?.into_iter().rev() {
            if is_alive(run)? {
                continue;
            }
            runs += 1;
            let (mut own, mut newest) = (0, i128::MIN);
            for stat in names.iter().filter_map(|name| dir.stat(name).transpose()) {
                let stat = stat?;
                (own, newest) = (own + stat.size, newest.max(stat.mtime.as_nanos()));
            }
            bytes = bytes.saturating_add(own);
            // The latest is why anybody looks here, however long it is.
            let within = runs <= limits.count && bytes <= limits.bytes && newest >= oldest;
            if runs == 1 && limits.count > 0 || within {
                continue;
            }
            gone.push((run, own));
            for name in names.iter().filter(|_| !dry_run) {
                match dir.remove_file(name) {
                    // Somebody else thins them too.
                    Err(error) if error.io().kind() == std::io::ErrorKind::NotFound => {}
                    // What is no file, say: the others go all the same.
                    Err(error) => failed = failed.or(Some(error)),
                    Ok(()) => {}
                }
            }
        }
        failed.map_or(Ok(gone), |error| Err(error.into()))
    }
}

fn by_run(dir: &Dir) -> Result<BTreeMap<RunId, Vec<String>>, Error> {
    let mut runs: BTreeMap<RunId, Vec<String>> = BTreeMap::new();
    for name in dir.names()? {
        let Ok(name) = name.into_string() else {
            continue;
        };
        let id = name.split('.').next().unwrap_or_default();
        if let Ok(run) = id.parse() {
            runs.entry(run).or_default().push(name);
        }
    }
    Ok(runs)
}
