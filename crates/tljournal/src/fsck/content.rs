//! The content of files, compared on every core.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use super::check::{Check, Stop};
use super::compare::{ToRead, Touched};
use super::finding::Subject;
use super::{Code, Finding, FsckWatch};
use crate::error::Error;
use crate::model::EntryKind;
use crate::tree::{DifferenceKind, Reader, TreeError, cores};
use crate::workers;

/// One file: the index of its group, and its own index in it.
type Job = (usize, usize);

/// A file that differs, or cannot be read.
type Told = (Job, Result<DifferenceKind, TreeError>);

impl Check<'_> {
    /// Compares content. The calling thread reports the findings while other threads read.
    pub(super) fn read(&mut self, all: Vec<ToRead>) -> Result<(), Stop> {
        let jobs = jobs(&all);
        let bytes = |job: &Job| size(&all[job.0], job.1);
        self.options.watch.expect(jobs.iter().map(bytes).sum());
        let next = AtomicUsize::new(0);
        let watch = self.options.watch.clone();
        let (sender, told) = channel();
        let work = || work(&all, &jobs, &next, &watch, &sender);
        let ended = workers::beside(cores().min(jobs.len()), work, |threads| {
            let _end = End(&next);
            if threads == 0 {
                work();
            }
            let mut ended = Ok(());
            // Each thread reports its end once.
            let mut working = threads.max(1);
            while working > 0
                && let Ok(one) = told.recv()
            {
                let Some((job, what)) = one else {
                    working -= 1;
                    continue;
                };
                ended = ended.and_then(|()| self.compared_content(&all[job.0], job.1, what));
                if ended.is_err() {
                    watch.stop();
                }
            }
            ended
        });
        self.report.hashed_bytes += self.options.watch.bytes().0;
        ended.and_then(|()| self.go_on())
    }

    fn compared_content(
        &mut self,
        of: &ToRead,
        index: usize,
        what: Result<DifferenceKind, TreeError>,
    ) -> Result<(), Stop> {
        let told = what
            .map_err(Error::from)
            .and_then(|_| self.read_again(of, index));
        match told {
            Ok(Some(finding)) if self.is_within_paths(&finding) => self.tell(finding),
            Ok(_) => Ok(()),
            Err(error) => {
                let path = self.shown_inside(of, index);
                self.tell_failure(&path, &error)
            }
        }
    }

    fn shown_inside(&self, of: &ToRead, index: usize) -> String {
        match of.touched {
            Touched::File(_) => self.look.shown(&of.place),
            Touched::Tree(_) => {
                format!("{}/{}", self.look.shown(&of.place), of.what[index].path)
            }
        }
    }

    /// Reads a file once more while no changes are being applied. A place that was recorded again since the check
    /// began is left to the next check.
    fn read_again(&self, of: &ToRead, index: usize) -> Result<Option<Finding>, Error> {
        let _moment = self.moment()?;
        let is_same = self
            .look
            .entry(&of.place)?
            .is_some_and(|now| now == of.entry);
        if !is_same || self.is_being_changed(&of.place)? {
            return Ok(None);
        }
        let entry = &of.what[index];
        // The open directory may have been renamed away meanwhile.
        let Some(what) = Reader::default().compare(&of.root, entry, &|_| {})? else {
            return Ok(None);
        };
        let Some(stat) = of.root.stat(&entry.path)? else {
            return Ok(None);
        };
        let touched = of.touched.is(index, entry, &stat);
        if let (Touched::Tree(_), true) = (&of.touched, touched) {
            let told = self
                .look
                .told_inside(&of.place, &of.entry, &entry.path, &what);
            return told.map(Some);
        }
        let code = match touched {
            true => Code::Changed,
            false => Code::Damaged,
        };
        let finding = Finding::new(code, self.shown_inside(of, index))
            .expected(digest(&entry.kind))
            .actual("other content")
            .written_by(self.look.txn(of.entry.txn))
            .about(Subject::Entry(of.place.clone()));
        Ok(Some(finding))
    }
}

impl ToRead {
    /// Reads everything, and returns whether it matches the record.
    pub(super) fn is_right(&self) -> bool {
        let mut reader = Reader::default();
        let mut compare = |index: &usize| reader.compare(&self.root, &self.what[*index], &|_| {});
        self.files
            .iter()
            .all(|index| matches!(compare(index), Ok(None)))
    }
}

/// All files, large ones first, so that no core is left with one at the end.
fn jobs(all: &[ToRead]) -> Vec<Job> {
    let each = all.iter().enumerate();
    let mut jobs: Vec<Job> = each
        .flat_map(|(number, of)| of.files.iter().map(move |index| (number, *index)))
        .collect();
    jobs.sort_by_key(|job| Reverse(size(&all[job.0], job.1) >> 20));
    jobs
}

fn size(of: &ToRead, index: usize) -> u64 {
    match of.what[index].kind {
        EntryKind::File { size, .. } => size,
        _ => 0,
    }
}

fn digest(kind: &EntryKind) -> String {
    match kind {
        EntryKind::File { digest, .. } => digest.to_string(),
        _ => String::new(),
    }
}

/// Stops the other threads from starting another file when this is dropped.
struct End<'a>(&'a AtomicUsize);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(usize::MAX / 2, Ordering::Relaxed);
    }
}

/// Reports the end of a worker, even if it panics.
struct Done<'a>(&'a Sender<Option<Told>>);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        // The receiver may have panicked.
        let _ = self.0.send(None);
    }
}

/// Reads files until there are no more.
fn work(
    all: &[ToRead],
    jobs: &[Job],
    next: &AtomicUsize,
    watch: &FsckWatch,
    told: &Sender<Option<Told>>,
) {
    let _done = Done(told);
    let mut reader = Reader::default();
    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
        let (of, index) = (&all[job.0], job.1);
        let tick = |bytes| watch.tick(bytes);
        let going = || !watch.is_stopped();
        match reader.compare_while(&of.root, &of.what[index], &tick, &going) {
            Ok(None) => {}
            Ok(Some(what)) => {
                // A receiver that is gone has ended the check.
                let _ = told.send(Some((*job, Ok(what))));
            }
            Err(error) => {
                let _ = told.send(Some((*job, Err(error))));
            }
        }
        if watch.is_stopped() {
            return;
        }
    }
}
