use tljournal::{Inspection, RunFilter, RunRecord};

use super::report::{Report, RunStory};
use super::{locks, next, project, runs};
use crate::ending::End;
use crate::failure::Failure;
use crate::session::Session;
use crate::time;

/// The number of runs around a run that are shown, from the inside.
const PARENTS_MAX: usize = 8;
/// The number of concurrent runs that are shown.
const NEIGHBOURS_MAX: usize = 30;

/// Collects all facts about a run, with this many lines of its output.
pub(crate) fn gather(
    session: &Session,
    inspection: &Inspection,
    run: RunRecord,
    lines: usize,
) -> Result<Report, Failure> {
    let mut story = runs::story(inspection, run, Some(session))?;
    let parents = parents(inspection, &story.run)?;
    let (neighbours, more_neighbours) = neighbours(inspection, &story, &parents)?;
    locks::connect(&mut story, &neighbours);
    let around: Vec<_> = std::iter::once(&story)
        .chain(parents.iter().rev())
        .collect();
    let output = project::output(session, inspection, &around, lines)?;
    let (differences, more_differences) = project::differences(inspection, &story)?;
    let mut tags = inspection.history().vouchers()?;
    tags.retain(|tag| tag.run == story.run.id);
    let mut report = Report {
        home: session.home_if_found().unwrap_or_default().into_string(),
        at_home: inspection.is_at_home(),
        made_at: time::now(),
        kept: project::kept(session, inspection, &story)?,
        untold: untold(inspection, &story, output.is_empty()),
        run: story,
        parents,
        neighbours,
        more_neighbours,
        output,
        differences,
        more_differences,
        tags,
        next: Vec::new(),
    };
    report.next = next::steps(session, &report);
    Ok(report)
}

/// The runs around one, outermost first.
fn parents(inspection: &Inspection, run: &RunRecord) -> Result<Vec<RunStory>, Failure> {
    let (mut found, mut next) = (Vec::new(), run.parent);
    while let Some(id) = next.filter(|_| found.len() < PARENTS_MAX) {
        let Some(parent) = inspection.history().run(&id.to_string())? else {
            break;
        };
        next = parent.parent;
        found.push(runs::story(inspection, parent, None)?);
    }
    found.reverse();
    Ok(found)
}

/// The runs concurrent with one, earliest first; and whether there were more.
fn neighbours(
    inspection: &Inspection,
    of: &RunStory,
    parents: &[RunStory],
) -> Result<(Vec<RunStory>, bool), Failure> {
    let history = inspection.history();
    let mut filter = RunFilter {
        limit: Some(NEIGHBOURS_MAX as u32 + 1),
        since: Some(of.run.started_at),
        until: of.ended_at(),
        ..RunFilter::default()
    };
    let mut found = history.runs(&filter)?;
    let more = found.len() > NEIGHBOURS_MAX;
    // A run without an end may have begun long before.
    filter.open = true;
    filter.since = None;
    found.extend(history.runs(&filter)?);
    found.sort_by_key(|run| run.number);
    found.dedup_by_key(|run| run.number);
    let known = |run: &RunRecord| {
        run.number == of.run.number || parents.iter().any(|parent| parent.run.number == run.number)
    };
    found.retain(|run| !known(run));
    let told = found.into_iter().rev().take(NEIGHBOURS_MAX);
    let stories = told.map(|run| runs::story(inspection, run, None));
    let mut stories = stories.collect::<Result<Vec<_>, _>>()?;
    // A run that was killed long before may not be recorded as ended.
    stories.retain(|other| {
        other
            .ended_at()
            .is_none_or(|ended| ended >= of.run.started_at)
    });
    stories.reverse();
    Ok((stories, more))
}

/// What is unknown, and why.
fn untold(inspection: &Inspection, run: &RunStory, no_output: bool) -> Vec<String> {
    let mut why = Vec::new();
    let mut say = |text: &str| why.push(text.to_owned());
    if !inspection.has_files() {
        say("the project is not here: staged content and the current files are unknown");
    }
    if !inspection.has_files() && no_output {
        say(
            "its output is not here; if only `.state.db` was copied, rows in the log of the database (-wal) are missing too",
        );
    } else if no_output && run.run.log.is_some() {
        say("its output was stored, but has been deleted since");
    } else if no_output && run.run.label.is_some() {
        say(
            "it has no output: its command did not start, or wrote to a terminal, or --no-log was given",
        );
    }
    if !inspection.is_at_home() {
        say(
            "this is a copy: running processes and lock holders are known only where it was written",
        );
    }
    if run.end == End::Unknown {
        say("it is unknown whether the run had ended when the copy was made");
    }
    why
}
