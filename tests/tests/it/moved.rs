//! Files that are moved in: the old name is removed exactly when the new one is in place.

use std::sync::Arc;

use tljournal::disk::{Call, Verb};
use tljournal::{Error, Expect, Journal, Payload};
use tljournal_testkit::{When, World};
use tljournal_tests::Hook;

fn move_in(world: &World, journal: &Journal, from: &str) -> Result<bool, Error> {
    let mut txn = journal.begin("move");
    let payload = Payload::moved(world.path(from));
    txn.put("build/a", payload, Expect::Any)?;
    Ok(txn.prepare()?.commit()?.changed("build/a"))
}

#[test]
fn g9_a_file_that_is_moved_onto_itself_stays() {
    let world = World::new();
    let journal = world.open();
    world.write("build/a", "text");
    for _ in 0..2 {
        move_in(&world, &journal, "build/a").unwrap();
        assert_eq!(world.read("build/a"), "text");
    }
    // By another hard link too: that one stays, because it is the same file.
    std::fs::hard_link(world.path("build/a"), world.path("build/b")).unwrap();
    move_in(&world, &journal, "build/b").unwrap();
    assert_eq!(world.read("build/a"), "text");
}

/// Opens the journal with a witness that puts another file under the name of the source at a call.
fn with_another(world: &World, when: When, verb: Verb) -> Journal {
    world.open().close().unwrap();
    world.write("source", "ours");
    world.write("another", "theirs");
    let (source, another) = (world.path("source"), world.path("another"));
    let hook = move |now: When, call: &Call<'_>| {
        if (now, call.verb) == (when, verb) && another.exists() {
            std::fs::rename(&another, &source)?;
        }
        Ok(())
    };
    world.open_witnessed(&Arc::new(Hook(hook))).unwrap()
}

/// The checked file is not the one that would be linked: the other file is read from its beginning.
#[test]
fn g9_a_file_that_replaced_the_source_is_the_one_that_is_recorded() {
    let world = World::new();
    let journal = with_another(&world, When::Before, Verb::HardLink);
    assert!(move_in(&world, &journal, "source").unwrap());
    assert_eq!(world.read("build/a"), "theirs");
    assert!(!world.exists("source"));
}

#[test]
fn g9_a_file_that_replaced_the_source_afterwards_is_not_removed() {
    let world = World::new();
    let journal = with_another(&world, When::After, Verb::RenameNew);
    assert!(move_in(&world, &journal, "source").unwrap());
    assert_eq!(world.read("build/a"), "ours");
    assert_eq!(world.read("source"), "theirs");
}
