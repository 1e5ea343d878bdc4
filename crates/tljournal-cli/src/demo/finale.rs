//! The final check: one process recovers and checks everything.

use std::fs;

use camino::Utf8Path;
use tljournal::{Journal, Recovery, TxnFilter};
use tljournal_testkit::Account;

use super::plan::{PROJECT, Plan, TREE, sizes};
use super::tags::{PAIR, counter, unsealed};
use crate::failure::Failure;

/// Recovers and checks everything; problems go into the account.
pub(super) fn check(
    place: &Utf8Path,
    plan: &Plan,
    account: &mut Account,
) -> Result<Recovery, Failure> {
    let root = place.join(PROJECT);
    let journal = Journal::open(&root)?;
    let recovery = journal.recovery().clone();
    account.finished += u64::from(recovery.finished);
    account.rolled_back += u64::from(recovery.rolled_back);
    journal.recover()?;
    let mut wrong = Vec::new();
    check_tree(&journal, &root, plan, &mut wrong)?;
    check_tags(&root, account, &mut wrong);
    journal.close()?;
    check_rest(&root, &mut wrong)?;
    let wrong = wrong.into_iter().map(|text| format!("at the end {text}"));
    account.violations.extend(wrong);
    Ok(recovery)
}

/// Checks that the tree is exactly one of the two variants, and that the catalog records it.
fn check_tree(
    journal: &Journal,
    root: &Utf8Path,
    plan: &Plan,
    wrong: &mut Vec<String>,
) -> Result<(), Failure> {
    if journal.history().entry(TREE)?.is_none() {
        return Ok(());
    }
    for difference in journal.verify(TREE, true)? {
        wrong.push(format!("the tree is not as the catalog says: {difference}"));
    }
    let tree = root.join(TREE);
    let found = sizes(&tree).map_err(|source| Failure::io("list the tree", source))?;
    match plan
        .variants
        .iter()
        .find(|variant| variant.has_sizes(&found))
    {
        None => wrong.push("the tree is neither of the two".to_owned()),
        Some(variant) => wrong.extend(variant.check_content(&tree)),
    }
    Ok(())
}

/// Checks that the tag files are complete and agree, and that each worker's counter is at least the last durable one.
fn check_tags(root: &Utf8Path, account: &Account, wrong: &mut Vec<String>) {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let [left, right] = PAIR.map(read);
    let any_promised = account.last.values().any(|last| *last > 0);
    if left != right || (any_promised && unsealed(&left).is_none()) {
        wrong.push(format!("the tag files are {left:?} and {right:?}"));
    }
    for (role, last) in &account.last {
        let content = read(&counter(role));
        let found = unsealed(&content)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        if found != *last && found != last + 1 {
            wrong.push(format!(
                "{role} was promised commit {last}, and {found} is there"
            ));
        }
    }
}

/// Checks that nothing is left over, and that another recovery has nothing to do.
fn check_rest(root: &Utf8Path, wrong: &mut Vec<String>) -> Result<(), Failure> {
    let journal = Journal::open(root)?;
    if !journal.recovery().is_empty() {
        wrong.push(format!(
            "a second recovery had to do: {:?}",
            journal.recovery()
        ));
    }
    let status = journal.history().status()?;
    if !status.unfinished.is_empty() || !status.stuck.is_empty() || !status.staging.is_empty() {
        wrong.push(format!("the journal is not at rest: {status:?}"));
    }
    let kept = journal.history().transactions(&TxnFilter {
        kept: true,
        ..TxnFilter::default()
    })?;
    let is_kept = |name: &str| kept.iter().any(|txn| txn.id.to_string() == name);
    let mut left = root
        .join("build/.state/txn")
        .read_dir_utf8()
        .into_iter()
        .flatten();
    if left.any(|entry| entry.is_ok_and(|entry| !is_kept(entry.file_name()))) {
        wrong.push("something is left in staging".to_owned());
    }
    Ok(())
}
