use std::ops::ControlFlow;

use tljournal::{FsckOptions, RepairOptions};
use tljournal_testkit::{Steps, World};
use twoliter_state::{Error, State};

use crate::cases::Case;
use crate::trees::{tools, tools_like};

/// Repairs of damaged files from retained content.
pub(crate) fn repair_cases() -> Vec<Case> {
    let kept = |text: &str, tree| {
        let steps = Steps::new("kept").put("build/kept.txt", text);
        steps.tree("build/tools", tree)
    };
    let case = |name, steps: Steps, damage: fn(&World)| {
        let mut case = Case::new(name, steps)
            .after(kept("same", tools()))
            .after(kept("other", tools_like("two", 0o755)))
            .after(kept("same", tools()))
            .made_by(repair);
        case.meddle = Some(damage);
        case
    };
    let tree = Steps::new("repair").tree("build/tools", tools());
    let file = Steps::new("repair").put("build/kept.txt", "same");
    vec![
        case("repair-tree", tree, |world| {
            world.write("build/tools/bin/run", "another edit");
            std::fs::remove_file(world.path("build/tools/bin/long")).expect("a file");
        }),
        case("repair-file", file, |world| {
            std::fs::remove_file(world.path("build/kept.txt")).expect("a file");
        }),
        case("repair-stray", Steps::new("repair"), |world| {
            world.write("build/.state/stray", "stray");
        }),
    ]
}

/// Checks everything, and repairs the findings.
fn repair(state: &State) -> Result<(), Error> {
    let journal = state.journal();
    let mut findings = Vec::new();
    let mut found = |finding| {
        findings.push(finding);
        ControlFlow::Continue(())
    };
    journal.fsck(&FsckOptions::default(), &mut found)?;
    let mut told = |_| ControlFlow::Continue(());
    journal.repair(&findings, &RepairOptions::default(), &mut told)?;
    Ok(())
}
