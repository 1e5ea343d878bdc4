use std::sync::Arc;

use tljournal::disk::{Verb, Witness};
use tljournal::{Durability, Error, Journal, Timestamp};
use tljournal_testkit::{
    Both, Count, Lack, Meddle, Model, Seen, Snapshot, Step, Steps, TreeSpec, World,
};

use twoliter_state::State;

use crate::population_cases::population_cases;
use crate::repair_cases::repair_cases;
use crate::trees::{tools, tools_like, tools_reshaped};
use crate::twoliter_cases::twoliter_cases;
use crate::undo_cases::undo_cases;

/// A kind of transaction, with its initial state.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What is committed before; if empty, not even a home exists.
    pub setup: Vec<Steps>,
    /// What another program does afterwards.
    pub meddle: Option<fn(&World)>,
    /// The transaction.
    pub steps: Steps,
    /// How it is made, if not by committing the steps; the steps then describe the result.
    pub act: Option<Act>,
    /// The expected end.
    pub end: End,
    /// The missing feature of the kernel or the filesystem.
    pub lack: Option<Lack>,
}

/// An operation of a user of the engine.
pub type Act = fn(&State) -> Result<(), twoliter_state::Error>;

/// How the transaction of a [`Case`] ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is committed.
    Commit,
    /// It is rolled back before the commit.
    RollBack,
    /// It is rolled back after its commit point, because another program saved a file meanwhile.
    Conflict,
}

/// The file that another program saves during a transaction that ends with a conflict, and its content.
pub const EDITED: (&str, &str) = ("build/old.txt", "an edit that must not be lost");

/// The cases that make no changing call, because nothing has to be changed: there is nothing to kill or to fail.
pub const WITHOUT_CALLS: [&str; 2] = ["put-unchanged", "remove-nothing"];

impl Case {
    pub(crate) fn new(name: &'static str, steps: Steps) -> Self {
        Self {
            name,
            setup: vec![before()],
            meddle: None,
            steps,
            act: None,
            end: End::Commit,
            lack: None,
        }
    }

    /// Makes the transaction this way. The steps describe the result.
    pub(crate) fn made_by(mut self, act: Act) -> Self {
        self.act = Some(act);
        self
    }

    pub(crate) fn after(mut self, steps: Steps) -> Self {
        self.setup.push(steps);
        self
    }

    /// Prepares a new world up to the start of the transaction.
    ///
    /// # Panics
    /// When that fails.
    pub fn prepare(&self, world: &World) {
        if self.setup.is_empty() {
            return;
        }
        let journal = self.reopen(world);
        for steps in &self.setup {
            steps.try_commit(&journal).expect("a setup that commits");
        }
        // Rebuildable trees are synced, so that the setup leaves no work.
        journal.recover().expect("a setup to rest");
        journal.close().expect("a setup that closes");
        if let Some(meddle) = self.meddle {
            meddle(world);
        }
    }

    /// The allowed states of the project afterwards; the last one is required if the call returned Ok.
    ///
    /// # Panics
    /// When the transaction could not be committed.
    #[must_use]
    pub fn allowed(&self, world: &World) -> Vec<Snapshot> {
        let mut model = Model::default();
        for steps in &self.setup {
            model.commit(steps);
        }
        let without_times = |mut snapshot: Snapshot| {
            for path in self.steps.paths() {
                snapshot = snapshot.ignoring_parents_of(path);
            }
            snapshot
        };
        let before = match self.setup.is_empty() {
            true => {
                model.commit(&Steps::new("nothing"));
                model.snapshot()
            }
            false => without_times(world.snapshot()),
        };
        model.commit(&self.steps);
        let mut after = model.snapshot();
        if self.act.is_some() {
            // Files written through twoliter's state have the current time.
            for path in self.steps.paths() {
                after = after.ignoring_time_of(path);
            }
        }
        match self.end {
            End::Commit => vec![before, after],
            End::RollBack => vec![before],
            End::Conflict => {
                let edited = before.clone().with(EDITED.0, Seen::file(EDITED.1));
                vec![before, after, edited]
            }
        }
    }

    /// Opens the journal for its transaction: with another program running, if the case includes one.
    ///
    /// # Errors
    /// The journal's error.
    pub fn open(&self, world: &World, witness: impl Witness + 'static) -> Result<Journal, Error> {
        if self.end != End::Conflict {
            return self.open_lacking(world, witness);
        }
        let (there, scratch) = (world.path(EDITED.0), world.outside().join("edit"));
        // As editors save: a new file is renamed over the old one.
        let save = move || {
            std::fs::write(&scratch, EDITED.1).expect("a saved file");
            std::fs::rename(&scratch, &there).expect("a replaced file");
        };
        let meddle = Meddle::before_first(Verb::Exchange, save);
        match self.lack {
            None => world.open_witnessed(&Arc::new(Both(witness, meddle))),
            // The exchange is refused after that, and the witness does not see it.
            Some(lack) => world.open_witnessed(&Arc::new(Both(meddle, Both(lack, witness)))),
        }
    }

    /// Opens the journal as the next process does, or to recover.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn reopen(&self, world: &World) -> Journal {
        let opened = self.open_lacking(world, Count::default());
        opened.expect("a journal that opens")
    }

    /// Opens the journal on a filesystem with the features of this case.
    ///
    /// # Errors
    /// The journal's error.
    pub fn open_lacking(
        &self,
        world: &World,
        witness: impl Witness + 'static,
    ) -> Result<Journal, Error> {
        match self.lack {
            None => world.open_witnessed(&Arc::new(witness)),
            Some(lack) => world.open_witnessed(&Arc::new(Both(lack, witness))),
        }
    }

    /// Runs the transaction to its end.
    ///
    /// # Errors
    /// The journal's error; an expected conflict is not an error.
    pub fn run(&self, journal: &Journal) -> Result<(), Error> {
        if let Some(act) = self.act {
            return act(&State::with(journal.clone())).map_err(|error| match error {
                twoliter_state::Error::Journal(error) => error,
                other => panic!("not the journal refused: {other}"),
            });
        }
        let prepared = self.steps.prepare(journal)?;
        match self.end {
            End::Commit => prepared.commit().map(drop),
            End::RollBack => prepared.rollback(),
            End::Conflict => match prepared.commit() {
                Err(Error::Conflict(_)) => Ok(()),
                Err(error) => Err(error),
                Ok(_) => panic!("an edit was overwritten"),
            },
        }
    }

    /// Whether a power cut may undo it after the commit: it installs a rebuildable tree.
    #[must_use]
    pub fn is_rebuildable(&self) -> bool {
        let rebuildable = |step: &Step| matches!(step, Step::Tree { durability, .. } if *durability == Durability::Rebuildable);
        self.steps.steps.iter().any(rebuildable)
    }

    /// Whether another program interferes.
    #[must_use]
    pub fn is_meddled_with(&self) -> bool {
        self.meddle.is_some() || self.end == End::Conflict
    }
}

/// The initial content of every case, which stays.
fn before() -> Steps {
    Steps::new("before")
        .put("build/old.txt", "old")
        .put("build/dir/bystander", "bystander")
        .put("Project.lock", "locked")
        .link("build/latest", "1.0.0")
}

fn at(nanos: u32) -> Timestamp {
    Timestamp::new(1_500_000_000, nanos)
}

/// A small change of each kind.
pub(crate) fn few(label: &str) -> Steps {
    let tree = TreeSpec::new(0o755, at(3)).file("only", 0o644, at(4), "two");
    Steps::new(label)
        .put("build/deep/file", "in a new directory")
        .put_as("build/old.txt", "new", 0o600, at(1))
        .link("build/latest", "1.1.0")
        .remove("build/dir/bystander")
        .tree("build/tools", tree)
}

/// More of everything, in the home and outside.
fn several(label: &str) -> Steps {
    few(label)
        .put("build/fresh.txt", "fresh")
        .put("Project.lock", "locked again")
        .put("docs/index/page", "beside the home")
}

/// All cases.
#[must_use]
pub fn all() -> Vec<Case> {
    let with_tools = |case: Case| case.after(Steps::new("tools").tree("build/tools", tools()));
    let tree = |name, tree| Case::new(name, Steps::new(name).tree("build/tools", tree));
    let quick = |name, tree| Case::new(name, Steps::new(name).rebuildable("build/tools", tree));
    let mut first = Case::new(
        "first-ever",
        Steps::new("first").put("build/a", "a").put("b/c", "c"),
    );
    first.setup.clear();
    let small = TreeSpec::new(0o755, at(3)).file("only", 0o644, at(4), "one");
    let with_small =
        |case: Case| case.after(Steps::new("tools").tree("build/tools", small.clone()));
    let mut rolled_back = with_small(Case::new("rollback", few("never")));
    rolled_back.end = End::RollBack;
    let mut edited = with_small(Case::new("conflict", few("too late")));
    edited.end = End::Conflict;
    let mut repaired = with_tools(tree("tree-repair", tools()));
    repaired.meddle = Some(|world| world.write("build/tools/bin/run", "another edit"));
    let mut adopted = Case::new(
        "adopt",
        Steps::new("adopt").put_as("build/theirs", "same", 0o644, at(2)),
    );
    adopted = adopted.after(Steps::new("theirs").put_as("build/theirs", "same", 0o644, at(2)));
    adopted.meddle = Some(|world| {
        // The same file, created by another program: the catalog must record it.
        let (from, to) = (world.path("build/theirs"), world.path("build/copy"));
        std::fs::copy(&from, &to).expect("a copy");
        let meta = from.metadata().expect("metadata");
        let file = std::fs::File::options().append(true).open(&to);
        let mtime = meta.modified().expect("an mtime");
        file.expect("a copy").set_modified(mtime).expect("an mtime");
        std::fs::rename(&to, &from).expect("a replaced file");
    });
    let plain = vec![
        first,
        Case::new("put-new", Steps::new("put").put("build/new.txt", "new")),
        Case::new(
            "put-replace",
            Steps::new("put").put_as("build/old.txt", "new", 0o755, at(3)),
        ),
        Case::new(
            "put-unchanged",
            Steps::new("put").put("build/old.txt", "old"),
        ),
        Case::new(
            "put-in-new-parents",
            Steps::new("put")
                .put("build/x/y/z.txt", "z")
                .put("x/y", "y"),
        ),
        Case::new(
            "put-beside-home",
            Steps::new("put").put("Project.lock", "2"),
        ),
        adopted,
        Case::new("remove-file", Steps::new("rm").remove("build/old.txt")),
        Case::new("remove-link", Steps::new("rm").remove("build/latest")),
        Case::new("remove-nothing", Steps::new("rm").remove("build/nothing")),
        with_tools(Case::new(
            "remove-tree",
            Steps::new("rm").remove("build/tools"),
        )),
        Case::new("link-new", Steps::new("ln").link("build/newest", "2.0.0")),
        Case::new("link-flip", Steps::new("ln").link("build/latest", "2.0.0")),
        tree("tree-new", tools()),
        with_tools(tree("tree-replace", tools_like("two", 0o555))),
        with_tools(tree("tree-reshape", tools_reshaped())),
        with_tools(tree("tree-unchanged", tools())),
        repaired,
        quick("rebuildable-new", tools()),
        with_tools(quick("rebuildable-replace", tools_like("two", 0o755))),
        with_small(Case::new("several", several("several"))),
        rolled_back,
        edited,
    ];
    let plain = plain.into_iter();
    plain
        .chain(twoliter_cases())
        .chain(population_cases())
        .chain(repair_cases())
        .chain(undo_cases(&small))
        .collect()
}

/// The case with this name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn named(name: &str) -> Case {
    // The suffix of the name is the missing feature.
    let without = |what, lack| Some((name.strip_suffix(what)?, lack));
    let lacking = without("-without-exchange", Lack::of_exchange())
        .or(without("-without-openat2", Lack::of_openat2()))
        .or(without("-without-birth-times", Lack::of_birth_times()))
        .or(without("-without-syncfs", Lack::of_syncfs()));
    let plain = lacking.map_or(name, |(plain, _)| plain);
    let found = all().into_iter().find(|case| case.name == plain);
    let mut case = found.unwrap_or_else(|| panic!("no case is called {name}"));
    case.lack = lacking.map(|(_, lack)| lack);
    case
}
