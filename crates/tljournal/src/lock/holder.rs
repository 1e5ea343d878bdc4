use std::fs::File;
use std::time::Duration;

use crate::ambient;
use crate::disk::{Dir, DiskError};
use crate::model::Timestamp;

/// Longest description that is read back, in bytes.
const TEXT_BYTES_MAX: u64 = 1024;

/// Writes into an exclusively held lock file who holds it.
pub(super) fn sign(dir: &Dir, name: &str, file: &File, purpose: &str) -> Result<(), DiskError> {
    let purpose: String = purpose.escape_debug().take(200).collect();
    let text = format!("{}\t{}\t{purpose}\n", std::process::id(), ambient::now());
    dir.overwrite(file, name, &text)
}

/// Says who holds a lock, for what, since when, and whether that process is stopped, as far as it can
/// be told from here.
pub(super) fn describe(dir: &Dir, name: &str) -> String {
    let ino = dir
        .stat(name)
        .ok()
        .flatten()
        .map_or(0, |stat| stat.identity.ino);
    let pids = ambient::lock_holders(ino);
    let text = dir
        .read_small(name, TEXT_BYTES_MAX)
        .ok()
        .flatten()
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let signed = text.trim_end().splitn(3, '\t').collect::<Vec<_>>();
    let mut said: Vec<String> = pids
        .iter()
        .filter_map(|pid| ambient::describe_process(*pid))
        .collect();
    if said.is_empty() {
        said.push("a process that is not visible from here".to_owned());
    }
    let mut said = said.join(" and ");
    if let [pid, since, purpose] = signed[..] {
        let exclusive = pids.is_empty() || pids.iter().any(|holder| holder.to_string() == pid);
        if let (true, Ok(since)) = (exclusive, since.parse::<Timestamp>()) {
            let held = ambient::now().as_nanos() - since.as_nanos();
            let held = Duration::from_nanos(u64::try_from(held).unwrap_or(0));
            said.push_str(&format!(
                ", for \"{purpose}\", for {:.1} s",
                held.as_secs_f64()
            ));
        }
    }
    said
}
