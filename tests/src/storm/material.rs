use tljournal::{Digest, Timestamp};
use tljournal_testkit::{Model, Snapshot, Steps, TreeSpec, World};

use crate::play::small;

/// Where the tree is that everybody installs.
pub(crate) const TREE: &str = "build/tools";

/// The two files that always have one content.
pub(crate) const PAIR: [&str; 2] = ["build/state/left", "lock"];

/// The link that always leads somewhere.
pub(crate) const LINK: &str = "build/latest";

const FILES: usize = 24;

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

/// What a tree looks like from its root.
pub(crate) fn expected(tree: &TreeSpec) -> Snapshot {
    let mut model = Model::default();
    model.commit(&Steps::new("tree").tree(TREE, tree.clone()));
    model.snapshot().below(TREE)
}

/// What is different from both of the trees that everybody installs; nothing, if it is one of them.
pub(super) fn is_no_tree(found: &Snapshot) -> Option<Vec<String>> {
    let wanted = [0, 1].map(|variant| expected(&storm_tree(variant)));
    let one = wanted.iter().any(|wanted| found.matches(wanted));
    (!one).then(|| found.differences(&wanted[0]))
}

/// A text that can be seen to be whole.
pub(super) fn sealed(text: &str) -> String {
    format!("{text}\n{}", Digest::of(text.as_bytes()))
}

pub(crate) fn is_whole(text: &str) -> bool {
    text.split_once('\n')
        .is_some_and(|(text, seal)| Digest::of(text.as_bytes()).to_string() == seal)
}

/// Where a role counts what it has committed.
pub(super) fn counter(role: &str) -> String {
    format!("build/state/{role}")
}

/// What belongs to one role alone.
fn own(role: &str, name: &str) -> String {
    format!("build/own/{role}/{name}")
}

/// Which tree a role has of its own at a number.
fn own_tree(number: u64) -> Option<TreeSpec> {
    match number % 3 {
        0 => None,
        variant => Some(small(&format!("variant {variant}"))),
    }
}

/// Brings what belongs to a role from a number to the next: a file of that name comes and the one before
/// goes, a tree comes, changes, and goes.
pub(super) fn step_own(steps: Steps, role: &str, number: u64, rebuildable: bool) -> Steps {
    let tree = own(role, "tree");
    let steps = steps
        .put(&counter(role), number.to_string())
        .put(&own(role, &number.to_string()), number.to_string())
        .remove(&own(role, &(number - 1).to_string()));
    match own_tree(number) {
        None => steps.remove(&tree),
        Some(spec) if rebuildable => steps.rebuildable(&tree, spec),
        Some(spec) => steps.tree(&tree, spec),
    }
}

/// What is wrong with what belongs to a role at a number.
pub(super) fn check_own(world: &World, role: &str, number: u64) -> Vec<String> {
    if number == 0 {
        return Vec::new();
    }
    let mut model = Model::default();
    model.commit(&step_own(Steps::new("own"), role, number, false));
    let wanted = model.snapshot().below(&format!("build/own/{role}"));
    let found = Snapshot::of(&world.path(&format!("build/own/{role}")));
    found.differences(&wanted)
}
