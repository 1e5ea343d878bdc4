//! One process of a storm: `storm-one ROOT ROLE LAST SEED`.

use tljournal_tests::Worker;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("storm-one ROOT ROLE LAST SEED");
    let (root, role) = (next()?, next()?);
    let (last, seed) = (next()?.parse()?, next()?.parse()?);
    let mut worker = Worker::new(root.into(), role.clone(), last, seed);
    match role.starts_with("reader") {
        true => worker.read(),
        false => worker.work(),
    }
}
