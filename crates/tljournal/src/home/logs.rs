use std::collections::BTreeMap;

use super::Home;
use super::layout::LOG;
use crate::ambient;
use crate::disk::unless_gone;
use crate::disk::{Dir, DiskError};
use crate::error::Error;
use crate::model::{Limits, RunId};

/// The output of a run's command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcLog {
    /// The run.
    pub run: RunId,
    /// How long its log is, in bytes.
    pub bytes: u64,
}

impl Home {
    /// Removes the oldest logs of runs that have ended, so far that as many and as much remain as there may be.
    /// What is not named as a log is not touched, and what cannot be removed stays. `number` tells the row of a run.
    pub(crate) fn thin_logs(
        &self,
        limits: &Limits,
        number: impl Fn(RunId) -> Result<Option<i64>, Error>,
        is_alive: impl Fn(RunId) -> Result<bool, DiskError>,
    ) -> Result<Vec<GcLog>, Error> {
        let mut gone = Vec::new();
        let Some(dir) = unless_gone(self.state.open_dir(LOG))? else {
            return Ok(gone);
        };
        for (log, names) in surplus(&dir, limits, number, is_alive)? {
            let mut all_gone = true;
            for name in names {
                let path = format!("{LOG}/{name}");
                if self.leftovers.is_tried(&path) {
                    all_gone = false;
                    continue;
                }
                let clear = || Ok(dir.remove_tree(&name)?);
                let at = (&dir, name.as_ref());
                all_gone &= self.leftovers.attempt(&path, at, clear)?.is_some();
            }
            gone.extend(all_gone.then_some(log));
        }
        Ok(gone)
    }
}

/// The logs that [`Home::thin_logs`] would remove.
pub(crate) fn surplus_logs(
    state: &Dir,
    limits: &Limits,
    number: impl Fn(RunId) -> Result<Option<i64>, Error>,
    is_alive: impl Fn(RunId) -> Result<bool, DiskError>,
) -> Result<Vec<GcLog>, Error> {
    let Some(dir) = unless_gone(state.open_dir(LOG))? else {
        return Ok(Vec::new());
    };
    let surplus = surplus(&dir, limits, number, is_alive)?;
    Ok(surplus.into_iter().map(|(log, _)| log).collect())
}

/// The logs that there are more of than there may be, with their names.
fn surplus(
    dir: &Dir,
    limits: &Limits,
    number: impl Fn(RunId) -> Result<Option<i64>, Error>,
    is_alive: impl Fn(RunId) -> Result<bool, DiskError>,
) -> Result<Vec<(GcLog, Vec<String>)>, Error> {
    let (mut runs, mut all_bytes) = (0, 0_u64);
    let mut surplus = Vec::new();
    let oldest = ambient::now().as_nanos() - limits.age.as_nanos().cast_signed();
    // The latest first. The order is that of the rows: ids are made of the clock, which may jump. A run without a row
    // is older than all that have one.
    let mut logs = Vec::new();
    for (run, names) in by_run(dir)? {
        logs.push((number(run)?, run, names));
    }
    logs.sort_by_key(|(number, ..)| *number);
    for (_, run, names) in logs.into_iter().rev() {
        if is_alive(run)? {
            continue;
        }
        runs += 1;
        let (mut bytes, mut newest) = (0, i128::MIN);
        for stat in names
            .iter()
            .filter_map(|name| dir.stat(name).ok().flatten())
        {
            (bytes, newest) = (bytes + stat.size, newest.max(stat.mtime.as_nanos()));
        }
        all_bytes = all_bytes.saturating_add(bytes);
        // The latest is why anybody looks here, however long it is.
        let is_latest = runs == 1 && limits.count > 0;
        let within = runs <= limits.count
            && all_bytes <= limits.bytes
            && (limits.spares_from_age(runs) || newest >= oldest);
        if !is_latest && !within {
            surplus.push((GcLog { run, bytes }, names));
        }
    }
    Ok(surplus)
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
