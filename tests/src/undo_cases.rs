use tljournal::{Limits, RelPath, Retention, TxnFilter, TxnRecord, UndoOptions};
use tljournal_testkit::{Steps, TreeSpec};
use twoliter_state::State;

use crate::cases::{Act, Case, few};
use crate::trees::{tools, tools_like};

/// Undo, restore, and deletion of retained content.
pub(crate) fn undo_cases(small: &TreeSpec) -> Vec<Case> {
    let undo: Act = |state| {
        let done = state
            .journal()
            .undo(&last(state, 0), &UndoOptions::default())?;
        assert!(!done.is_refused(), "{done:?}");
        Ok(())
    };
    let restore: Act = |state| {
        let path = RelPath::new("build/tools").expect("a path");
        let at = last(state, 1);
        let done = state
            .journal()
            .restore(&path, &at, &UndoOptions::default())?;
        assert!(!done.is_refused(), "{done:?}");
        Ok(())
    };
    let gc: Act = |state| {
        let nothing = Retention {
            kept: Limits::NOTHING,
            ..Retention::default()
        };
        state.journal().gc(&nothing)?;
        Ok(())
    };
    let with_small =
        |case: Case| case.after(Steps::new("tools").tree("build/tools", small.clone()));
    let taken_back = Steps::new("taken back")
        .remove("build/deep/file")
        .put("build/old.txt", "old")
        .link("build/latest", "1.0.0")
        .put("build/dir/bystander", "bystander")
        .tree("build/tools", small.clone());
    let versions = |case: Case| {
        case.after(Steps::new("one").tree("build/tools", tools()))
            .after(Steps::new("two").tree("build/tools", tools_like("two", 0o555)))
    };
    let back = |name| Case::new(name, Steps::new(name).tree("build/tools", tools()));
    vec![
        with_small(Case::new("undo", taken_back))
            .after(few("few"))
            .made_by(undo),
        versions(back("restore")).made_by(restore),
        versions(Case::new("gc", Steps::new("gc"))).made_by(gc),
    ]
}

/// The transaction this many before the latest.
fn last(state: &State, before: usize) -> TxnRecord {
    let history = state.journal().history();
    let found = history.transactions(&TxnFilter::latest(before as u32 + 1));
    let found = found.expect("a history").into_iter().nth(before);
    found.expect("a transaction")
}
