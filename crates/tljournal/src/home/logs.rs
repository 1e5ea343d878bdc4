use std::collections::BTreeMap;

use super::Home;
use super::layout::LOG;
use crate::disk::Dir;
use crate::error::Error;
use crate::model::RunId;

/// The logs of how many runs that have ended are kept: a day of builds, each of a few tasks.
const RUNS_MAX: usize = 50;

/// How many bytes the logs of runs that have ended may have together: what nobody minds in a build
/// directory, and enough for the whole output of a failed build.
const BYTES_MAX: u64 = 256 << 20;

impl Home {
    /// Removes the oldest logs of runs that have ended, so far that as many and as much remain as there
    /// may be. What is not named as a log is not touched.
    pub(crate) fn thin_logs(
        &self,
        is_alive: impl Fn(RunId) -> Result<bool, crate::disk::DiskError>,
    ) -> Result<(), Error> {
        let dir = match self.state.open_dir(LOG) {
            Err(error) if error.io().kind() == std::io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let (mut runs, mut bytes) = (0, 0);
        let mut failed = None;
        // Ids are ordered by time: the latest first.
        for (run, names) in by_run(&dir)?.into_iter().rev() {
            if is_alive(run)? {
                continue;
            }
            runs += 1;
            for name in &names {
                bytes += dir.stat(name)?.map_or(0, |stat| stat.size);
            }
            // The latest is why anybody looks here, however long it is.
            if runs == 1 || runs <= RUNS_MAX && bytes <= BYTES_MAX {
                continue;
            }
            for name in &names {
                match dir.remove_file(name) {
                    // Somebody else thins them too.
                    Err(error) if error.io().kind() == std::io::ErrorKind::NotFound => {}
                    // What is no file, say: the others go all the same.
                    Err(error) => failed = failed.or(Some(error)),
                    Ok(()) => {}
                }
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
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
