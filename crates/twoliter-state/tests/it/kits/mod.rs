//! Kits, pulled and unpacked as twoliter and other programs do.

mod images;
mod partial;
mod pulled;
mod rubbish;
mod unpacked;

use camino::Utf8PathBuf;
use tljournal_testkit::World;
use twoliter_state::State;

const CACHE: &str = "build/external-kits/cache/sha256-1";
const KIT: &str = "build/external-kits/bottlerocket/core-kit/x86_64";

/// A project, with a directory for images next to it.
fn project() -> (World, State, Utf8PathBuf) {
    let world = World::new();
    let state = State::with(world.open());
    let outside = world.outside();
    (world, state, outside)
}

/// An error with its causes.
fn told(error: &twoliter_state::Error) -> String {
    tljournal_testkit::explain(error)
}
