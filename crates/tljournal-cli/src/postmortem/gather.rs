use tljournal::{Inspection, RunFilter, RunRecord};

use super::report::{Report, RunStory};
use super::{locks, next, project, runs};
use crate::ending::End;
use crate::failure::Failure;
use crate::session::Session;
use crate::time;

/// How many runs around a run are told, from the inside.
const PARENTS_MAX: usize = 8;
/// How many other runs are told.
const NEIGHBOURS_MAX: usize = 30;

/// Looks up all that can be told of a run, with so many lines of its output.
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

/// The runs around one, the outermost first.
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

/// The other runs that lived at the time of one, the earliest first; and whether there were more.
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
    // One without an end may have begun long before.
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
    // Of a run that died long before nobody may have taken notice.
    stories.retain(|other| {
        other
            .ended_at()
            .is_none_or(|ended| ended >= of.run.started_at)
    });
    stories.reverse();
    Ok((stories, more))
}

/// What cannot be told, and why.
fn untold(inspection: &Inspection, run: &RunStory, no_output: bool) -> Vec<String> {
    let mut why = Vec::new();
    let mut say = |text: &str| why.push(text.to_owned());
    if !inspection.has_files() {
        say(
            "the project is not here: what it had staged, and what its files are now, cannot be told",
        );
    }
    if !inspection.has_files() && no_output {
        say(
            "its output is not here; nor is what was still in the log of the database (-wal), if only `.state.db` was copied",
        );
    } else if no_output && run.run.log.is_some() {
        say("its output was kept, and has been cleared since");
    } else if no_output && run.run.label.is_some() {
        say(
            "it has no output: its command did not start, or wrote to a terminal, or --no-log was given",
        );
    }
    if !inspection.is_at_home() {
        say(
            "this is a copy: who is alive, and who holds what now, can be told only where it was written",
        );
    }
    if run.end == End::Unknown {
        say("whether the run had ended when the copy was made is not known");
    }
    why
}
