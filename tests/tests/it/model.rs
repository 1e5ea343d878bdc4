//! Random scripts have the same effects on disk as in the reference model: content, reports and refusals, including
//! rollbacks and reopening.

use proptest::prelude::*;
use tljournal::{Digest, Durability, Expect, Timestamp};
use tljournal_testkit::{
    Act, Model, Script, Step, Steps, TreeSpec, World, check_agreement, check_at_rest,
};

const PATHS: [&str; 10] = [
    "build/a",
    "build/b",
    "build/d",
    "build/d/x",
    "build/d/y z",
    "build/t",
    "build/t/file",
    "build/t/sub/new",
    "c",
    "e/f\n/g",
];
const CONTENTS: [&str; 4] = ["", "one", "two", "a longer one"];
const TARGETS: [&str; 3] = ["a", "../nowhere", "/dev/null"];

fn time() -> impl Strategy<Value = Timestamp> {
    (0i64..3, 0u32..3).prop_map(|(secs, nanos)| Timestamp::new(1_000 + secs, 999_999_997 + nanos))
}

fn tree() -> impl Strategy<Value = TreeSpec> {
    (time(), 0usize..4, prop::bool::ANY).prop_map(|(mtime, content, more)| {
        let tree = TreeSpec::new(0o755, mtime).file("file", 0o644, mtime, CONTENTS[content]);
        match more {
            true => tree
                .dir("sub", 0o700, mtime)
                .link("sub/link", "../file", mtime),
            false => tree,
        }
    })
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        8 => Just(Expect::Any),
        1 => Just(Expect::Absent),
        1 => Just(Expect::Present),
        1 => prop::sample::select(&CONTENTS[..])
            .prop_map(|content| Expect::Digest(Digest::of(content.as_bytes()))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let path = || prop::sample::select(&PATHS[..]).prop_map(str::to_owned);
    let mode = prop::sample::select(&[0o644u32, 0o600, 0o755][..]);
    let content = prop::sample::select(&CONTENTS[..]);
    prop_oneof![
        5 => (path(), content, mode, time(), expect()).prop_map(
            |(path, content, mode, mtime, expect)| Step::Put {
                path,
                content: content.into(),
                mode,
                mtime,
                expect,
            }
        ),
        2 => (path(), prop::sample::select(&TARGETS[..]), expect()).prop_map(
            |(path, target, expect)| Step::Link {
                path,
                target: target.to_owned(),
                expect,
            }
        ),
        2 => (path(), expect()).prop_map(|(path, expect)| Step::Remove { path, expect }),
        3 => (path(), tree(), prop::bool::ANY, expect()).prop_map(
            |(path, tree, rebuildable, expect)| Step::Tree {
                path,
                tree,
                durability: match rebuildable {
                    true => Durability::Rebuildable,
                    false => Durability::Durable,
                },
                expect,
            }
        ),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let steps = || {
        prop::collection::vec(step(), 1..5).prop_map(|steps| Steps {
            label: "random".to_owned(),
            steps,
        })
    };
    prop_oneof![
        6 => steps().prop_map(Act::Commit),
        2 => steps().prop_map(Act::RollBack),
        1 => Just(Act::Reopen),
    ]
}

fn check(script: &Script) -> Result<(), TestCaseError> {
    let world = World::new();
    let mut model = Model::default();
    // Opening creates the home.
    model.commit(&Steps::new("nothing"));
    let mut journal = world.open();
    for act in &script.0 {
        match act {
            Act::Commit(steps) => {
                let (predicted, outcome) = (model.commit(steps), steps.commit(&journal));
                let right = predicted.matches(&outcome);
                prop_assert!(right, "{act:?}: {predicted:?}, and it was {outcome:?}");
                if matches!(outcome, tljournal_testkit::Outcome::Committed(_)) {
                    let wrong = check_agreement(&world, &journal, steps);
                    prop_assert!(wrong.is_empty(), "{act:?}: {wrong:?}");
                }
            }
            Act::RollBack(steps) => {
                let (predicted, outcome) = (model.roll_back(steps), steps.roll_back(&journal));
                let right = predicted.matches(&outcome);
                prop_assert!(right, "{act:?}: {predicted:?}, and it was {outcome:?}");
            }
            Act::Reopen => {
                drop(journal);
                journal = world.open();
                let did = journal.recovery();
                prop_assert!(did.is_empty(), "recovery had to do: {did:?}");
            }
        }
        let wrong = world.snapshot().differences(&model.snapshot());
        prop_assert!(wrong.is_empty(), "after {act:?}:\n{}", wrong.join("\n"));
    }
    prop_assert!(journal.recover().is_ok());
    drop(journal);
    let wrong = check_at_rest(&world);
    prop_assert!(wrong.is_empty(), "{wrong:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(64, |text| text.parse().unwrap()),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn g1_g4_g5_random_scripts_do_what_the_model_says(
        acts in prop::collection::vec(act(), 1..12)
    ) {
        check(&Script(acts))?;
    }
}
