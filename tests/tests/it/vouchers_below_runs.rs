//! Claims of nested runs, as with twoliter, cargo-make and its tasks.

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

/// Waits for its end.
fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

fn has_tags(world: &World) -> bool {
    [".sdk-verified", ".kits-verified"]
        .iter()
        .all(|tag| world.exists(&format!("{EXTERNAL_KITS_DIR}/{tag}")))
}

/// All processes below one `tljournal exec` claimed tags as its run: a cleanup of one removed the other's tags, as
/// without a journal.
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
    // No claim is left, so the next cleanup removes them.
    end(below(&parent, &world, "clear"));
    assert!(!has_tags(&world));
}

#[test]
fn a_process_may_rely_on_claims_of_its_ancestors_only() {
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

/// A claimed tag counted as valid with any content: an older program that wrote its own tag, or was killed while
/// writing, changed it.
#[test]
fn g9_a_tag_written_by_another_program_is_not_valid() {
    let world = World::new();
    let parent = State::with(world.open());
    let verified = Verified::sdk(Digest::of(b"lock file"), "sdk").kits(["kit"]);
    parent.write_tags(EXTERNAL_KITS_DIR, &verified).unwrap();
    world.write("build/external-kits/.sdk-verified", "[\"another sdk\"]");
    let mut child = below(parent.journal(), &world, "check");
    assert_eq!(line_of(&mut child), "not mine");
    end(child);
}
