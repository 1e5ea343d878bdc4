//! Vouchers of processes that run below one another, as twoliter, cargo-make and its tasks do.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tljournal::{Digest, Journal};
use tljournal_testkit::World;
use twoliter_state::{EXTERNAL_KITS_DIR, State, Verified};

use crate::ACTOR;

/// A process with tags, below this run.
fn below(parent: &Journal, world: &World, word: &str) -> Child {
    let (name, value) = parent.environment().unwrap();
    Command::new(ACTOR)
        .args(["vouch", world.root().as_str(), word])
        .env(name, value)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn line_of(child: &mut Child) -> String {
    let mut line = String::new();
    let out = child.stdout.as_mut().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Lets it come to its end.
fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

fn has_tags(world: &World) -> bool {
    [".sdk-verified", ".kits-verified"]
        .iter()
        .all(|tag| world.exists(&format!("{EXTERNAL_KITS_DIR}/{tag}")))
}

/// All processes below one `tljournal exec` vouched as its run: what one of them cleaned up was the other's,
/// as it is without a journal.
#[test]
fn g7_two_processes_below_one_run_do_not_take_each_others_tags() {
    let world = World::new();
    let parent = world.open();
    let mut one = below(&parent, &world, "write");
    assert_eq!(line_of(&mut one), "vouched");
    let mut two = below(&parent, &world, "write");
    assert_eq!(line_of(&mut two), "vouched");
    end(below(&parent, &world, "clear"));
    assert!(has_tags(&world));
    end(two);
    assert!(has_tags(&world));
    end(one);
    // Nobody vouches any more, so the next clean-up removes them.
    end(below(&parent, &world, "clear"));
    assert!(!has_tags(&world));
}

#[test]
fn a_process_may_rely_on_what_a_run_around_it_vouches_for_and_on_nothing_else() {
    let world = World::new();
    let (parent, stranger) = (State::with(world.open()), world.open());
    let verified = Verified::sdk(Digest::of(b"lock file"), "sdk").kits(["kit"]);
    parent.write_tags(EXTERNAL_KITS_DIR, &verified).unwrap();
    let said = |parent: &Journal| {
        let mut child = below(parent, &world, "check");
        let line = line_of(&mut child);
        end(child);
        line
    };
    assert_eq!(said(parent.journal()), "mine");
    assert_eq!(said(&stranger), "not mine");
}

/// A tag that is vouched for counted, whatever was in it: an older program that wrote its own there, or one that
/// was killed in the middle of that, made it say something nobody had vouched for.
#[test]
fn g9_a_tag_that_somebody_else_wrote_may_not_be_relied_on() {
    let world = World::new();
    let parent = State::with(world.open());
    let verified = Verified::sdk(Digest::of(b"lock file"), "sdk").kits(["kit"]);
    parent.write_tags(EXTERNAL_KITS_DIR, &verified).unwrap();
    world.write("build/external-kits/.sdk-verified", "[\"another sdk\"]");
    let mut child = below(parent.journal(), &world, "check");
    assert_eq!(line_of(&mut child), "not mine");
    end(child);
}
