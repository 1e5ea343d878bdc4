//! Undo of unknown content.

use tljournal::{Because, Journal, NotKept, Undo, UndoAction, UndoOptions};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{nothing_kept, only, small};

fn commit(journal: &Journal, steps: Steps) {
    steps.try_commit(journal).unwrap();
}

fn undo(journal: &Journal, number: i64) -> Undo {
    let txn = journal.history().transaction(&number.to_string());
    let txn = txn.unwrap().unwrap();
    journal.undo(&txn, &UndoOptions::default()).unwrap()
}

/// Any link was taken for the previous one, whose target was not looked up.
#[test]
fn a_link_is_restored_to_its_target_even_without_retained_content() {
    let world = World::new();
    let journal = world.open();
    for target in ["1.0", "2.0"] {
        commit(&journal, Steps::new(target).link("build/latest", target));
    }
    journal.gc(&nothing_kept()).unwrap();
    let [diff] = &journal.history().diff(2).unwrap()[..] else {
        panic!("one path was changed")
    };
    let before = diff.before.as_ref().unwrap();
    assert_eq!(before.target.as_deref(), Some("1.0"));
    assert_eq!(only(&undo(&journal, 2)).0, UndoAction::Restore);
    let pointed = std::fs::read_link(world.path("build/latest")).unwrap();
    assert_eq!(pointed.to_str(), Some("1.0"));
}

#[test]
fn g9_a_link_of_another_program_is_not_taken_for_the_installed_one() {
    let world = World::new();
    world.link("theirs", "build/latest");
    let journal = world.open();
    commit(&journal, Steps::new("ours").link("build/latest", "ours"));
    let (action, why) = only(&undo(&journal, 1));
    assert_eq!(action, UndoAction::Refuse);
    assert_eq!(why, Some(Because::NotKept(NotKept::Aside)));
}

/// The installed version was restored, and the replaced edit was not mentioned.
#[test]
fn g9_a_replaced_edited_tree_is_not_taken_for_the_installed_one() {
    for again in ["1", "2"] {
        let world = World::new();
        let journal = world.open();
        commit(&journal, Steps::new("1").tree("build/tools", small("1")));
        world.write("build/tools/sub/f1", "an edit");
        commit(&journal, Steps::new("2").tree("build/tools", small(again)));
        let diff = journal.history().diff(2).unwrap();
        assert!(diff[0].drift, "{diff:?}");
        let (action, why) = only(&undo(&journal, 2));
        assert_eq!(action, UndoAction::Refuse, "{again}");
        assert_eq!(why, Some(Because::NotKept(NotKept::Aside)), "{again}");
    }
}

/// A file installed with its tree was taken for an edit.
#[test]
fn g9_a_file_of_a_tree_is_restored_unless_it_had_been_edited() {
    for edited in [false, true] {
        let world = World::new();
        let journal = world.open();
        let tree = Steps::new("tree").tree("build/tree", small("one"));
        tree.try_commit(&journal).unwrap();
        let original = world.read("build/tree/sub/f1");
        if edited {
            world.write("build/tree/sub/f1", "an edit");
        }
        let put = Steps::new("put").put("build/tree/sub/f1", "put");
        put.try_commit(&journal).unwrap();
        let drift = tljournal_tests::events(&journal, &tljournal::EventKind::Drift);
        assert_eq!(drift.len(), usize::from(edited), "{drift:?}");
        let put = journal.history().transaction("2").unwrap().unwrap();
        let undone = journal.undo(&put, &UndoOptions::default());
        assert_eq!(undone.unwrap().is_refused(), edited);
        let expected = if edited { "put" } else { &original };
        assert_eq!(world.read("build/tree/sub/f1"), expected);
    }
}
