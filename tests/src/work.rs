use std::fs;
use std::io::{self, Read};
use std::time::Instant;

use camino::Utf8PathBuf;
use tljournal::{Digest, Error, Journal, Timestamp};
use tljournal_testkit::{Random, Snapshot, Steps, Tell, TreeSpec, World, tell};

/// Where the storm's tree is.
pub(crate) const TREE: &str = "build/tools";

/// The two files that always have one content.
pub(crate) const PAIR: [&str; 2] = ["build/state/left", "lock"];

/// The link that always leads somewhere.
pub(crate) const LINK: &str = "build/latest";

const FILES: usize = 24;

/// A process of a storm.
#[derive(Debug)]
pub struct Worker {
    world: World,
    role: String,
    last: u64,
    random: Random,
}

type Done = Result<(), Box<dyn std::error::Error>>;

/// One of the two trees that are installed in turns: the same names, with other content everywhere.
#[must_use]
pub fn storm_tree(variant: u64) -> TreeSpec {
    let at = |nanos: usize| Timestamp::new(1_700_000_000 + variant as i64, nanos as u32);
    let mut tree = TreeSpec::new(0o755, at(1)).dir("sub", 0o555, at(2));
    for file in 0..FILES {
        let content = format!("variant {variant} file {file}\n").repeat(1 + file * 40);
        let dir = ["", "sub/"][file % 2];
        tree = tree.file(&format!("{dir}{file:02}"), 0o644, at(file), content);
    }
    tree
}

impl Worker {
    /// A process that works for a role on a project.
    #[must_use]
    pub fn new(root: Utf8PathBuf, role: String, last: u64, seed: u64) -> Self {
        let (world, random) = (World::at(root), Random::new(seed));
        Self {
            world,
            role,
            last,
            random,
        }
    }

    /// Changes things until it is killed.
    ///
    /// # Errors
    /// When the journal refuses, or nobody listens any more.
    pub fn work(&mut self) -> Done {
        loop {
            let journal = self.open()?;
            self.check_promise()?;
            for _ in 0..self.random.below(10) + 1 {
                match self.random.below(8) {
                    0 | 1 => self.install(&journal)?,
                    2 => self.roll_back(&journal)?,
                    _ => self.write(&journal)?,
                }
            }
            journal.close()?;
        }
    }

    fn open(&self) -> Result<Journal, Box<dyn std::error::Error>> {
        let journal = self.world.try_open()?;
        let (finished, rolled_back) = (journal.recovery().finished, journal.recovery().rolled_back);
        if finished + rolled_back > 0 {
            tell(&Tell::Recovered {
                finished,
                rolled_back,
            })?;
        }
        if let Some(kept) = &journal.recovery().database_set_aside {
            tell(&Tell::Violation(format!(
                "a good database was set aside: {kept}"
            )))?;
        }
        Ok(journal)
    }

    fn counter(&self) -> String {
        format!("build/state/{}", self.role)
    }

    /// What was promised is there: this number, or the next, which nobody lived to tell.
    fn check_promise(&mut self) -> Done {
        let text = fs::read_to_string(self.world.path(&self.counter())).unwrap_or_default();
        let found = text.parse().unwrap_or(0);
        if found != self.last && found != self.last + 1 {
            let text = format!("G2: {} was promised, {found} is there", self.last);
            tell(&Tell::Violation(text))?;
        }
        self.last = found;
        // The next one counts from here, whether this one lives to tell of a commit or not.
        Ok(tell(&Tell::Found { number: found })?)
    }

    fn install(&mut self, journal: &Journal) -> Done {
        let tree = storm_tree(self.random.below(2));
        let steps = match self.random.chance(1, 2) {
            true => Steps::new("tree").tree(TREE, tree),
            false => Steps::new("tree").rebuildable(TREE, tree),
        };
        self.commit(journal, &steps)
    }

    /// Two files, the own number and the link, in one transaction.
    fn write(&mut self, journal: &Journal) -> Done {
        let number = self.last + 1;
        let text = format!("{} {number}", self.role);
        let text = format!("{text}\n{}", Digest::of(text.as_bytes()));
        let steps = Steps::new("tags")
            .put(PAIR[0], text.as_str())
            .put(PAIR[1], text.as_str())
            .put(&self.counter(), number.to_string())
            .link(LINK, &format!("{number}"));
        self.commit(journal, &steps)?;
        self.last = number;
        let (took, bytes) = (std::time::Duration::ZERO, 0);
        Ok(tell(&Tell::Committed {
            number,
            took,
            bytes,
        })?)
    }

    fn roll_back(&mut self, journal: &Journal) -> Done {
        let steps = Steps::new("never")
            .put(PAIR[0], "never")
            .tree(TREE, storm_tree(7))
            .put("build/never/there", "never");
        Ok(steps.prepare(journal)?.rollback()?)
    }

    fn commit(&self, journal: &Journal, steps: &Steps) -> Done {
        let begun = Instant::now();
        let receipt = steps.try_commit(journal)?;
        let took = begun.elapsed();
        if !receipt.changed_anything() {
            tell(&Tell::Unchanged { took })?;
        }
        Ok(tell(&Tell::Waited(took))?)
    }

    /// Checks all the time what others do.
    ///
    /// # Errors
    /// When the journal refuses, or nobody listens any more.
    pub fn read(&mut self) -> Done {
        let journal = self.open()?;
        let wanted = [0, 1].map(|variant| expected(&storm_tree(variant)));
        let mut were_there = [false; 4];
        loop {
            if let Some(what) = pair_differs(&journal)? {
                tell(&Tell::Violation(what))?;
            }
            for (at, path) in PAIR.iter().enumerate() {
                match fs::read_to_string(self.world.path(path)) {
                    Ok(text) if is_whole(&text) => were_there[at] = true,
                    Err(error) if error.kind() == io::ErrorKind::NotFound && !were_there[at] => {}
                    found => tell(&Tell::Violation(format!("G3: `{path}`: {found:?}")))?,
                }
            }
            for (at, path) in [(2, LINK), (3, TREE)] {
                match self.world.exists(path) {
                    true => were_there[at] = true,
                    false if were_there[at] => {
                        tell(&Tell::Violation(format!("G3: `{path}` is missing")))?;
                    }
                    false => {}
                }
            }
            if let Some(pin) = journal.pin(TREE)? {
                let found = Snapshot::of(pin.path().as_str().into());
                if !wanted.iter().any(|wanted| found.matches(wanted)) {
                    let text = format!(
                        "G3, G7: a pinned tree is {:?}",
                        found.differences(&wanted[0])
                    );
                    tell(&Tell::Violation(text))?;
                }
            }
            tell(&Tell::Read)?;
        }
    }
}

/// What a tree looks like from its root.
pub(crate) fn expected(tree: &TreeSpec) -> Snapshot {
    let mut model = tljournal_testkit::Model::default();
    model.commit(&Steps::new("tree").tree("build/tools", tree.clone()));
    model.snapshot().below(TREE)
}

pub(crate) fn is_whole(text: &str) -> bool {
    text.split_once('\n')
        .is_some_and(|(text, seal)| Digest::of(text.as_bytes()).to_string() == seal)
}

pub(crate) fn pair_differs(journal: &Journal) -> Result<Option<String>, Error> {
    let reading = journal.read()?;
    let read = |path| -> Result<Option<String>, Error> {
        let file = reading.open(path)?;
        Ok(file.map(|mut file| {
            let mut text = String::new();
            match file.read_to_string(&mut text) {
                Ok(_) => text,
                Err(error) => error.to_string(),
            }
        }))
    };
    let (left, right) = (read(PAIR[0])?, read(PAIR[1])?);
    Ok((left != right).then(|| format!("G1: the pair disagrees: {left:?} and {right:?}")))
}

/// Whether everything is right when the storm is over: one line for each thing that is not.
///
/// # Panics
/// When the journal cannot be opened.
#[must_use]
pub fn check_after_storm(world: &World) -> Vec<String> {
    let journal = world.open();
    journal.recover().expect("a recovery");
    let mut wrong = Vec::new();
    wrong.extend(pair_differs(&journal).expect("a journal that can be read"));
    let found = world.snapshot().below(TREE);
    let wanted = [0, 1].map(|variant| expected(&storm_tree(variant)));
    if !wanted.iter().any(|wanted| found.matches(wanted)) {
        wrong.push(format!("the tree is {:?}", found.differences(&wanted[0])));
    }
    for difference in journal
        .verify(TREE, true)
        .expect("a tree that can be verified")
    {
        wrong.push(format!("the catalog does not agree: {difference}"));
    }
    drop(journal);
    wrong.extend(tljournal_testkit::check_at_rest(world));
    wrong
}
