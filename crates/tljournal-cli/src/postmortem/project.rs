//! What became of a run's changes.

use std::collections::BTreeMap;

use tljournal::{Inspection, Op, RelPath, TxnState};

use super::report::{Difference, Kept, RunStory, Tail};
use crate::failure::Failure;
use crate::session::Session;
use crate::text::count;

/// The largest number of paths compared.
const PATHS_MAX: usize = 100;
/// The largest number of differences shown for one tree.
const NAMED_MAX: usize = 2;
/// How much of a log is read.
const LOG_BYTES_MAX: u64 = 64 << 10;

/// What has changed since a run; and whether there may be more.
pub(super) fn differences(
    inspection: &Inspection,
    run: &RunStory,
) -> Result<(Vec<Difference>, bool), Failure> {
    let mut left = BTreeMap::new();
    let in_place = |state| matches!(state, TxnState::Applied | TxnState::Committed);
    for story in run.txns.iter().filter(|story| in_place(story.txn.state)) {
        for (_, path) in &story.changes {
            left.insert(path.as_str(), story.txn.number);
        }
    }
    let told = |story: &super::report::TxnStory| story.changes.len() == story.changes_count;
    let more = left.len() > PATHS_MAX || run.more_txns || !run.txns.iter().all(told);
    let mut found = Vec::new();
    for (path, txn) in left.into_iter().take(PATHS_MAX) {
        found.extend(difference(inspection, path, txn)?);
    }
    Ok((found, more))
}

fn difference(
    inspection: &Inspection,
    path: &str,
    txn: i64,
) -> Result<Option<Difference>, Failure> {
    // Paths in a home outside of the root cannot be queried from here.
    let Ok(rel) = RelPath::new(path) else {
        return Ok(None);
    };
    let Some(latest) = inspection.history().blame(&rel, 1)?.into_iter().next() else {
        return Ok(None);
    };
    let differs = |by, what| Difference {
        path: path.to_owned(),
        by,
        what,
    };
    if latest.txn.number > txn {
        let what = match (&latest.left, latest.op) {
            (None, _) => "removed since",
            (Some(_), Op::Adopt) => "replaced by another program, and adopted since",
            (Some(_), _) => "replaced since",
        };
        return Ok(Some(differs(Some(latest.txn), what.to_owned())));
    }
    if !inspection.has_files() {
        return Ok(None);
    }
    let what = match inspection.drift(&rel, latest.left.as_ref()) {
        Ok(found) if found.is_empty() => return Ok(None),
        Ok(found) => {
            let named =
                found
                    .iter()
                    .take(NAMED_MAX)
                    .map(|difference| match difference.path.as_str() {
                        "." => difference.what.to_string(),
                        _ => difference.to_string(),
                    });
            let mut named: Vec<_> = named.collect();
            match found.len().saturating_sub(NAMED_MAX) {
                0 => {}
                more => named.push(count(more, "more difference")),
            }
            named.join(", ")
        }
        Err(error) => format!("cannot be read: {error}"),
    };
    Ok(Some(differs(None, what)))
}

/// The content of a run's transactions that is still on disk.
pub(super) fn kept(
    session: &Session,
    inspection: &Inspection,
    run: &RunStory,
) -> Result<Vec<Kept>, Failure> {
    let mut found = Vec::new();
    for story in &run.txns {
        let txn = &story.txn;
        if let Some(path) = inspection.left_by(txn.id)? {
            found.push(Kept {
                txn: txn.number,
                path: session.in_home(path.as_str()),
                bytes: txn.kept,
                staged: txn.commit_no.is_none(),
            });
        }
    }
    Ok(found)
}

/// The ends of the logs of the first of these runs that has any.
pub(super) fn output(
    session: &Session,
    inspection: &Inspection,
    runs: &[&RunStory],
    lines_max: usize,
) -> Result<Vec<Tail>, Failure> {
    for story in runs {
        let ends = inspection.log_ends(story.run.id, LOG_BYTES_MAX)?;
        if ends.is_empty() {
            continue;
        }
        let tails = ends.into_iter().map(|end| {
            let (lines, cut) = last_lines(&end.bytes, lines_max);
            Tail {
                run: story.run.number,
                path: session.in_home(&end.path),
                lines,
                cut: cut || end.cut,
            }
        });
        return Ok(tails.collect());
    }
    Ok(Vec::new())
}

/// The last lines of a log, without terminal control; and whether there are more.
fn last_lines(bytes: &[u8], most: usize) -> (Vec<String>, bool) {
    let text = String::from_utf8_lossy(bytes);
    let text = anstream::adapter::strip_str(&text).to_string();
    let shown = |line: &str| {
        // Overwritten text was not visible on the terminal.
        let line = line.trim_end_matches('\r');
        line.rsplit('\r').next().unwrap_or_default().to_owned()
    };
    let all: Vec<_> = text.lines().map(shown).collect();
    let from = all.len().saturating_sub(most);
    (all[from..].to_vec(), from > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown_as_on_a_terminal() {
        let log = b"a\nb\x1b[31mred\x1b[0m\r\n10%\r20%\r100%\nend";
        let (lines, cut) = last_lines(log, 3);
        assert_eq!(
            (lines, cut),
            (
                vec!["bred".to_owned(), "100%".to_owned(), "end".to_owned()],
                true
            )
        );
        assert_eq!(last_lines(b"", 3), (vec![], false));
    }
}
