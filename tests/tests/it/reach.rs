//! The coverage of kills and failures: a report of each kind of call in each kind of transaction, without gaps.

use std::collections::BTreeMap;
use std::sync::Arc;

use tljournal::disk::{Call, Verb, Witness};
use tljournal_testkit::{Count, World};
use tljournal_tests::{Case, WITHOUT_CALLS, all_cases};

/// The calls that no case makes.
const UNREACHED: [Verb; 3] = [Verb::RenameOver, Verb::SetOwner, Verb::SetAttribute];

/// A shared witness, which is checked afterwards.
#[derive(Debug)]
struct Shared(Arc<Count>);

impl Witness for Shared {
    fn before(&self, call: &Call<'_>) -> std::io::Result<()> {
        self.0.before(call)
    }
}

/// How often each kind of call is made by a case, from the opening to the end of the run.
fn reached(case: &Case) -> BTreeMap<String, usize> {
    let world = World::new();
    case.prepare(&world);
    let count = Arc::new(Count::default());
    let journal = case.open(&world, Shared(count.clone())).unwrap();
    case.run(&journal).unwrap();
    journal.close().unwrap();
    let mut reached = BTreeMap::new();
    for (verb, _) in count.calls() {
        *reached.entry(format!("{verb:?}")).or_default() += 1;
    }
    reached
}

#[test]
fn g1_every_kind_of_call_is_killed_and_failed_in_some_transaction() {
    // No transaction renames over anything. The cases have neither owners nor attributes of their own.
    let mut unreached: Vec<_> = Verb::ALL
        .into_iter()
        .filter(|verb| !UNREACHED.contains(verb))
        .map(|verb| format!("{verb:?}"))
        .collect();
    for case in all_cases() {
        let reached = reached(&case);
        println!("{}: {reached:?}", case.name);
        // All others are killed and failed at every call.
        let without_calls = WITHOUT_CALLS.contains(&case.name);
        assert_eq!(reached.is_empty(), without_calls, "{}", case.name);
        unreached.retain(|verb| !reached.contains_key(verb));
    }
    assert_eq!(unreached, [""; 0], "no case makes these calls");
}
