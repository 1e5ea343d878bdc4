use tljournal::{Digest, Timestamp};
use tljournal_testkit::{Model, Snapshot, Steps, TreeSpec, World};

use crate::play::small;

/// The path of the shared tree.
pub(crate) const TREE: &str = "build/tools";

/// The two files that always have the same content.
pub(crate) const PAIR: [&str; 2] = ["build/state/left", "lock"];

/// The link that always has a valid target.
pub(crate) const LINK: &str = "build/latest";

const FILES: usize = 24;

/// One of the two trees that are installed alternately: the same names, with different content everywhere.
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

/// The expected content of a tree.
pub(crate) fn expected(tree: &TreeSpec) -> Snapshot {
    let mut model = Model::default();
    model.commit(&Steps::new("tree").tree(TREE, tree.clone()));
    model.snapshot().below(TREE)
}

/// The differences from both variants; `None` if it is one of them.
pub(super) fn is_no_tree(found: &Snapshot) -> Option<Vec<String>> {
    let wanted = [0, 1].map(|variant| expected(&storm_tree(variant)));
    let one = wanted.iter().any(|wanted| found.matches(wanted));
    (!one).then(|| found.differences(&wanted[0]))
}

/// A text with a checksum.
pub(super) fn sealed(text: &str) -> String {
    format!("{text}\n{}", Digest::of(text.as_bytes()))
}

pub(crate) fn is_whole(text: &str) -> bool {
    text.split_once('\n')
        .is_some_and(|(text, seal)| Digest::of(text.as_bytes()).to_string() == seal)
}

/// The file in which a role counts its commits.
pub(super) fn counter(role: &str) -> String {
    format!("build/state/{role}")
}

/// The path of something that only one role changes.
fn own(role: &str, name: &str) -> String {
    format!("build/own/{role}/{name}")
}

/// The role's own tree at a number.
fn own_tree(number: u64) -> Option<TreeSpec> {
    match number % 3 {
        0 => None,
        variant => Some(small(&format!("variant {variant}"))),
    }
}

/// Changes what belongs to a role from a number to the next: a file of that name is added and the previous one
/// removed, and a tree is added, changed or removed.
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

/// Problems of what belongs to a role at a number.
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
