use std::collections::BTreeMap;

use super::Home;
use super::layout::LOG;
use crate::ambient;
use crate::disk::unless_gone;
use crate::disk::{Dir, DiskError};
use crate::error::Error;
use crate::model::{Limits, RunId};

/// The log of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcLog {
    /// The run.
    pub run: RunId,
    /// The size of its log in bytes.
    pub bytes: u64,
}

impl Home {
    /// Removes the oldest logs of ended runs until the limits hold. Files without the name of a log are not touched,
    /// and what cannot be removed stays. `number` maps a run to its row.
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

/// The logs beyond the limits, with their names.
fn surplus(
    dir: &Dir,
    limits: &Limits,
    number: impl Fn(RunId) -> Result<Option<i64>, Error>,
    is_alive: impl Fn(RunId) -> Result<bool, DiskError>,
) -> Result<Vec<(GcLog, Vec<String>)>, Error> {
    let (mut runs, mut all_bytes) = (0, 0_u64);
    let mut surplus = Vec::new();
    let oldest = ambient::now().as_nanos() - limits.age.as_nanos().cast_signed();
    // Latest first, in the order of the rows, because ids contain the time and the clock may be wrong. A run without
    // a row counts as older than all others.
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
        // The latest log is the one that people look for, so it is kept whatever its size.
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
