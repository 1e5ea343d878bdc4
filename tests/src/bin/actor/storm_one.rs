//! One process of a storm: `storm-one ROOT ROLE LAST SEED`.

use tljournal_tests::{Survivor, Vandal, Worker};

use crate::{Args, Played};

pub(crate) fn play(mut args: Args) -> Played {
    let mut next = || args.next().ok_or("storm-one ROOT ROLE LAST SEED");
    let (root, role) = (next()?.into(), next()?);
    let (last, seed) = (next()?.parse()?, next()?.parse()?);
    match role.split('-').next() {
        Some("reader") => Worker::new(root, role, last, seed).read(),
        Some("checker") => Worker::new(root, role, last, seed).check(),
        Some("mender") => Worker::new(root, role, last, seed).mend(),
        Some("regretter") => Worker::new(root, role, last, seed).regret(),
        Some("survivor") => Survivor::new(root, role, seed).work(),
        Some("vandal") => Vandal::new(root, seed).rage(),
        _ => Worker::new(root, role, last, seed).work(),
    }
}
