use std::fs;

use tljournal_testkit::{Steps, World, check_at_rest, check_clean, explain};

use super::material::{PAIR, TREE, check_own, counter, is_no_tree};

/// Checks everything after a storm, and returns one line for each problem.
///
/// # Panics
/// When the journal cannot be opened.
#[must_use]
pub fn check_after_storm(world: &World) -> Vec<String> {
    let journal = world.open();
    journal.recover().expect("a recovery");
    let mut wrong = Vec::new();
    let [left, right] = PAIR.map(|path| fs::read_to_string(world.path(path)).ok());
    if left != right {
        wrong.push(format!("G1: the pair disagrees: {left:?} and {right:?}"));
    }
    if let Some(differences) = is_no_tree(&world.snapshot().below(TREE)) {
        wrong.push(format!("the tree is {differences:?}"));
    }
    for difference in journal
        .verify(TREE, true)
        .expect("a tree that can be verified")
    {
        wrong.push(format!("the catalog does not agree: {difference}"));
    }
    let owners = fs::read_dir(world.path("build/own")).into_iter().flatten();
    for owner in owners.flatten() {
        let role = owner.file_name().to_string_lossy().into_owned();
        let number = fs::read_to_string(world.path(&counter(&role))).unwrap_or_default();
        for difference in check_own(world, &role, number.parse().unwrap_or(0)) {
            wrong.push(format!("G1: {role} at {number}: {difference}"));
        }
    }
    drop(journal);
    wrong.extend(check_at_rest(world));
    wrong.extend(check_clean(world));
    wrong
}

/// Checks that a project works after the vandal has stopped, and returns one line for each problem.
#[must_use]
pub fn check_after_vandal(world: &World) -> Vec<String> {
    let again = Steps::new("again")
        .put(PAIR[0], "again")
        .put(PAIR[1], "again")
        .tree(TREE, super::storm_tree(0));
    let tried = || {
        let journal = world.try_open()?;
        again.try_commit(&journal)?;
        let differences = journal.verify(TREE, true)?;
        journal.recover()?;
        journal.close().map(|()| differences)
    };
    let mut wrong = match tried() {
        Ok(differences) => differences.iter().map(ToString::to_string).collect(),
        Err(error) => vec![explain(&error)],
    };
    if PAIR.iter().any(|path| world.read(path) != "again") {
        wrong.push("the last committed file is missing".to_owned());
    }
    wrong.extend(check_at_rest(world));
    wrong
}
