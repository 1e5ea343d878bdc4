//! The guarantees of a storm at the time of a power cut, and whether they were kept.

use std::collections::BTreeMap;
use std::io;

use tljournal::Recovery;
use tljournal_testkit::{Account, Snapshot, World, check_at_rest, check_clean, explain};

use crate::storm::{LINK, PAIR, TREE, expected, is_whole, storm_tree};

/// The guarantees of a storm at some time.
#[derive(Debug, Clone)]
pub struct Promised {
    last: BTreeMap<String, u64>,
    tree: bool,
}

impl Promised {
    /// The reports so far. With `tree` there was a durable tree from the beginning.
    #[must_use]
    pub fn by(account: &Account, tree: bool) -> Self {
        let last = account.last.clone();
        Self { last, tree }
    }

    /// Whether any commit of a file has returned.
    #[must_use]
    pub fn anything(&self) -> bool {
        self.last.values().any(|number| *number > 0)
    }

    /// Problems for readers without a journal, before any recovery: durable paths must exist and be complete.
    #[must_use]
    pub fn check_unrecovered(&self, world: &World) -> Vec<String> {
        let mut wrong = self.check_numbers(world);
        for path in PAIR {
            match std::fs::read_to_string(world.path(path)) {
                Ok(text) if is_whole(&text) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.anything() => {}
                found => wrong.push(format!("G3: `{path}` is {found:?}")),
            }
        }
        match std::fs::read_link(world.path(LINK)) {
            Ok(to) if number(&to.to_string_lossy()).is_some() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.anything() => {}
            found => wrong.push(format!("G3: `{LINK}` is {found:?}")),
        }
        if self.tree && !world.path(TREE).is_dir() {
            wrong.push(format!("G3: `{TREE}` is missing"));
        }
        before_recovery(wrong)
    }

    /// Recovers, adds the result to `total`, and returns the problems afterwards.
    #[must_use]
    pub fn check_recovered(&self, world: &World, total: &mut Recovery) -> Vec<String> {
        let journal = match world.try_open() {
            Ok(journal) => journal,
            Err(error) => return vec![format!("it cannot be opened: {}", explain(&error))],
        };
        let did = journal.recovery().clone();
        total.finished += did.finished;
        total.rolled_back += did.rolled_back;
        total.taken_back += did.taken_back;
        total.dead_runs += did.dead_runs;
        total.trees_put_back += did.trees_put_back;
        let mut wrong = Vec::new();
        if did.stuck > 0 || did.database_set_aside.is_some() {
            wrong.push(format!("G1, G9: the recovery was {did:?}"));
        }
        if let Err(error) = journal.recover() {
            wrong.push(format!("it cannot be recovered: {}", explain(&error)));
        }
        wrong.extend(self.check_numbers(world));
        let [left, right] = PAIR.map(|path| std::fs::read_to_string(world.path(path)).ok());
        if left != right {
            wrong.push(format!("G1: the pair disagrees: {left:?} and {right:?}"));
        }
        wrong.extend(last_write_is_torn(world));
        let tree = self.check_tree(world);
        match (tree, journal.verify(TREE, true)) {
            (Tree::Wrong(what), _) => wrong.push(what),
            (Tree::Whole, Ok(differences)) => {
                let line = |difference| format!("G9: the catalog does not agree: {difference}");
                wrong.extend(differences.into_iter().map(line));
            }
            // A missing tree is not known.
            (Tree::Absent, Err(tljournal::Error::Usage(_))) => {}
            (tree, verified) => wrong.push(format!("G9: {tree:?} is known as {verified:?}")),
        }
        drop(journal);
        wrong.extend(check_at_rest(world));
        wrong.extend(check_clean(world));
        wrong
    }

    /// Each number that was made durable exists, or a later one.
    fn check_numbers(&self, world: &World) -> Vec<String> {
        let mut wrong = Vec::new();
        for (role, last) in &self.last {
            let found = std::fs::read_to_string(world.path(&format!("build/state/{role}")));
            match found {
                Ok(text) if number(&text).is_some_and(|found| found >= *last) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound && *last == 0 => {}
                found => wrong.push(format!(
                    "G2: {role} was promised {last}, {found:?} is there"
                )),
            }
        }
        wrong
    }

    fn check_tree(&self, world: &World) -> Tree {
        if !world.exists(TREE) && !self.tree {
            return Tree::Absent;
        }
        let found = match world.path(TREE).is_dir() {
            true => Snapshot::of(&world.path(TREE)),
            false => Snapshot::default(),
        };
        let wanted = [0, 1].map(|variant| expected(&storm_tree(variant)));
        match wanted.iter().any(|wanted| found.matches(wanted)) {
            true => Tree::Whole,
            false => {
                let differences = found.differences(&wanted[0]);
                Tree::Wrong(format!("G1: the tree is {differences:?}"))
            }
        }
    }
}

#[derive(Debug)]
enum Tree {
    Whole,
    Absent,
    Wrong(String),
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn before_recovery(wrong: Vec<String>) -> Vec<String> {
    let line = |what| format!("before recovery: {what}");
    wrong.into_iter().map(line).collect()
}

/// Whether the paths of the last transaction are not all from the same one.
fn last_write_is_torn(world: &World) -> Option<String> {
    let pair = std::fs::read_to_string(world.path(PAIR[0])).ok()?;
    let said = pair.lines().next().and_then(|said| said.split_once(' '));
    let (role, number) = said.unwrap_or_default();
    let counted = std::fs::read_to_string(world.path(&format!("build/state/{role}")));
    let linked = std::fs::read_link(world.path(LINK)).unwrap_or_default();
    let whole =
        counted.as_deref().is_ok_and(|counted| counted == number) && linked.as_os_str() == number;
    (!whole).then(|| {
        format!("G1: {role} wrote {number}; it counted {counted:?}, and the link is {linked:?}")
    })
}
