//! One use of the command: its project, and how its journal is opened.

use std::cell::RefCell;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::{
    Error, Inspection, Journal, KeyMaterial, NamedPath, Options, Recovery, RelPath, UsageError,
};

use twoliter_state::State;

use crate::args::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::output::{GOOD, Output, WARN};
use crate::text::{count, quoted};

/// The file by which a journal is recognized.
const DATABASE: &str = ".state.db";

/// The global options.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) output: Output,
    global: Global,
    /// The journal that is open for work, so that a failure can be recorded.
    opened: RefCell<Option<Journal>>,
}

impl Session {
    pub(crate) fn new(global: Global) -> Self {
        let output = Output {
            json: global.json,
            quiet: global.quiet,
        };
        Self {
            output,
            global,
            opened: RefCell::default(),
        }
    }

    /// Opens the journal for work; creates it if the home exists without one.
    pub(crate) fn work(&self) -> Result<Journal, Failure> {
        let root = self.root()?;
        let home = root.join(&self.global.home);
        if !files::exists(&home) {
            let path = home.as_str().escape_debug().to_string();
            return Err(Error::from(UsageError::NoJournal { path }).into());
        }
        self.open(self.options(root)?)
    }

    /// The same, with waits that are cancelled when this returns true.
    pub(crate) fn work_until(
        &self,
        gives_up: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Journal, Failure> {
        self.open(self.options(self.root()?)?.gives_up(gives_up))
    }

    /// Opens the journal for work in a directory that may have no home yet. Returns whether it had a database.
    pub(crate) fn make(&self) -> Result<(Journal, Utf8PathBuf, bool), Failure> {
        let root = match &self.global.root {
            Some(root) => existing(root)?,
            None => current_dir()?,
        };
        let home = root.join(&self.global.home);
        let known = files::exists(&home.join(DATABASE));
        Ok((self.open(self.options(root)?)?, home, known))
    }

    /// Opens the journal for inspection; works on a read-only copy too.
    pub(crate) fn inspect(&self) -> Result<Inspection, Failure> {
        let inspection = self.options(self.root()?)?.inspect()?;
        if !inspection.is_at_home() {
            tracing::info!("this journal is a copy, or was moved here");
        }
        if inspection.reads_a_copy() {
            tracing::debug!("a private copy of the database is read, because its log is not empty");
        }
        Ok(inspection)
    }

    /// Opens the journal for inspection to show a plan, and reports if the result may differ because a real run
    /// recovers first.
    pub(crate) fn plan(&self) -> Result<Inspection, Failure> {
        let inspection = self.inspect()?;
        let status = inspection.history().status()?;
        if !status.unfinished.is_empty() || status.unsettled_trees > 0 {
            let text = "unfinished transactions will be finished first: `tljournal recover`";
            self.output.note(WARN, "note", text);
        }
        if !inspection.has_files() {
            let text = "only the database is here: the files and the retained content are unknown";
            self.output.note(WARN, "note", text);
        }
        Ok(inspection)
    }

    /// The options for opening the journal.
    pub(crate) fn journal_options(&self) -> Result<Options, Failure> {
        self.options(self.root()?)
    }

    /// The limit for lock waits, if the command does not set one.
    pub(crate) fn lock_wait(&self) -> Option<Duration> {
        self.global.lock_wait
    }

    /// The path below the root for a path of the command line.
    pub(crate) fn below_root(&self, path: &NamedPath) -> Result<RelPath, Failure> {
        match path {
            NamedPath::Below(path) => Ok(path.clone()),
            NamedPath::Absolute(_) => Ok(tljournal::below_root(&self.root()?, path)?),
        }
    }

    /// The same for several.
    pub(crate) fn all_below_root(&self, paths: &[NamedPath]) -> Result<Vec<RelPath>, Failure> {
        paths.iter().map(|path| self.below_root(path)).collect()
    }

    /// The path of a change, for display.
    pub(crate) fn shown(&self, path: &str, in_home: bool) -> String {
        match in_home {
            true => self.global.home.join(path).to_string(),
            false => path.to_owned(),
        }
    }

    /// A path below the home, relative to the current directory.
    pub(crate) fn in_home(&self, path: &str) -> String {
        let home = self.home_if_found().unwrap_or_default();
        home.join(path).into_string()
    }

    /// The journal's home, if the project is found.
    pub(crate) fn home_if_found(&self) -> Option<Utf8PathBuf> {
        Some(self.root().ok()?.join(&self.global.home))
    }

    /// Closes a journal. An error here does not affect what was committed.
    pub(crate) fn close(&self, journal: Journal) {
        self.close_with(journal, "ok");
    }

    /// The same, with another outcome of the run.
    pub(crate) fn close_with(&self, journal: Journal, outcome: &str) {
        // This handle would prevent the run from ending.
        self.opened.take();
        if let Err(error) = journal.close_with(outcome) {
            let failure = Failure::from(error);
            let causes = failure.causes().join(": ");
            let text = format!(
                "everything is in place, but recording the end of the run failed: {failure}: {causes}"
            );
            self.output.note(WARN, "warning", &text);
        }
    }

    /// Closes a state.
    pub(crate) fn close_state(&self, state: State) {
        self.close(state.into_journal());
    }

    /// Prints why a command failed, and records it if the journal was open for work.
    pub(crate) fn fail(&self, failure: &Failure) -> Exit {
        self.fail_as(failure, Exit::of(failure))
    }

    /// The same, for a command that ends with another code.
    pub(crate) fn fail_as(&self, failure: &Failure, exit: Exit) -> Exit {
        let run = self.opened.take().and_then(|journal| {
            let run = self.record_failure(&journal, failure);
            if let Err(error) = journal.close_with("failed") {
                tracing::debug!(%error, "failed to record the end of the run");
            }
            run
        });
        let home = self.home_if_found();
        let look_into = run.map(|run| self.look_into(run));
        self.output.fail(failure, exit, home.as_deref(), look_into)
    }

    /// The number of the run for which the failure was recorded. A usage error is not recorded.
    pub(crate) fn record_failure(&self, journal: &Journal, failure: &Failure) -> Option<i64> {
        if matches!(Exit::of(failure), Exit::Usage | Exit::Nothing) {
            return None;
        }
        let recorded = journal.fail(&failure.in_full());
        let untold = |error: &Error| tracing::debug!(%error, "failed to record the failure");
        Some(recorded.inspect_err(untold).ok()?.number)
    }

    /// The command that investigates a run of this project.
    pub(crate) fn look_into(&self, run: i64) -> String {
        self.own_command(&format!("postmortem {run}"))
    }

    /// A command line for this project, for the current directory.
    pub(crate) fn own_command(&self, rest: &str) -> String {
        let mut words = vec!["tljournal".to_owned()];
        if let Some(root) = &self.global.root {
            words.extend(["--root".to_owned(), quoted(root.as_str())]);
        }
        if self.global.home != "build" {
            words.extend(["--home".to_owned(), quoted(self.global.home.as_str())]);
        }
        words.push(rest.to_owned());
        words.join(" ")
    }

    fn open(&self, options: Options) -> Result<Journal, Failure> {
        let journal = options.work()?;
        self.opened.replace(Some(journal.clone()));
        self.tell_recovery(journal.recovery());
        Ok(journal)
    }

    /// Reports a recovery. What was set aside or rolled back has been logged by the engine as a warning.
    fn tell_recovery(&self, found: &Recovery) {
        let told = [
            (found.finished, "finished"),
            (found.rolled_back, "rolled back"),
        ];
        let told: Vec<_> = told
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{} {what}", count(*number as usize, "transaction")))
            .collect();
        if !told.is_empty() && self.output.shows_progress() {
            let text = format!("{} that had been interrupted", told.join(", "));
            self.output.note(GOOD, "recovered", &text);
        }
    }

    fn options(&self, root: Utf8PathBuf) -> Result<Options, Failure> {
        let mut options = Options::new(&root).home(self.global.home.clone());
        for path in &self.global.territory {
            options = options.territory(tljournal::below_root(&root, path)?);
        }
        let never_keep = self.global.never_keep.iter();
        let keys = never_keep.fold(KeyMaterial::default(), |keys, pattern| keys.and(pattern));
        options = options.key_material(keys);
        Ok(match self.global.lock_wait {
            Some(limit) => options.lock_wait(limit),
            None => options,
        })
    }

    /// The project root: the named one, or the nearest upward with a journal, or else with a home.
    fn root(&self) -> Result<Utf8PathBuf, Failure> {
        if let Some(root) = &self.global.root {
            return existing(root);
        }
        let home = &self.global.home;
        if home.is_absolute() {
            let text = "an absolute --home does not identify the project; name it with --root";
            return Err(Failure::Usage(text.to_owned()));
        }
        let here = current_dir()?;
        let nearest = |has: &dyn Fn(&Utf8Path) -> bool| {
            here.ancestors()
                .find(|dir| has(&dir.join(home)))
                .map(Utf8Path::to_owned)
        };
        nearest(&|home| files::exists(&home.join(DATABASE)))
            .or_else(|| nearest(&files::is_dir))
            .ok_or_else(|| {
                Failure::Usage(format!(
                    "there is no journal in `{}/` here or in any directory above `{}`; `tljournal init` creates one, and --root names another project",
                    home.as_str().escape_debug(),
                    here.as_str().escape_debug(),
                ))
            })
    }
}

fn existing(root: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    if !files::is_dir(root) {
        let shown = root.as_str().escape_debug();
        return Err(Failure::Usage(format!("`{shown}` is not a directory")));
    }
    Ok(root.to_owned())
}

fn current_dir() -> Result<Utf8PathBuf, Failure> {
    let here = std::env::current_dir()
        .map_err(|source| Failure::io("find the current directory", source))?;
    Utf8PathBuf::from_path_buf(here).map_err(|here| {
        let shown = here.as_os_str().as_encoded_bytes().escape_ascii();
        Failure::Usage(format!(
            "the path of the current directory, `{shown}`, is not UTF-8"
        ))
    })
}
