//! Bugs that an attack found, about what the next one who comes makes of what a dead process left.

use tljournal::disk::Verb;
use tljournal::{EventKind, Journal, RelPath};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{Mounted, Strike, aside, events, holding, kill_at, small, tear, within};

use crate::ACTOR;

fn commit(journal: &Journal, steps: &Steps) {
    steps.try_commit(journal).unwrap();
}

fn open_in(world: &World, territory: &str) -> Journal {
    let territory = RelPath::new(territory).unwrap();
    world.options().territory(territory).work().unwrap()
}

fn database(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.path("build/.state.db")).unwrap()
}

/// Through another mount of the same home every rebuildable tree was taken for one that a power cut had
/// torn as soon as a person edited it, and was put back in front of everybody.
#[test]
fn g9_an_edit_in_a_tree_that_is_seen_through_another_mount_is_no_power_cut() {
    for column in ["mount = mount + 1", "boot = 'earlier'"] {
        let world = World::new();
        let journal = world.open();
        commit(&journal, &Steps::new("one").tree("build/t", small("one")));
        let two = Steps::new("two").rebuildable("build/t", small("two"));
        commit(&journal, &two);
        journal.close().unwrap();
        world.write("build/t/sub/f1", "a person's edit");
        let sql = format!("UPDATE entry SET {column} WHERE unsettled = 1");
        assert_eq!(database(&world).execute(&sql, []).unwrap(), 1);
        let journal = world.open();
        assert_eq!(journal.recovery().trees_put_back, 0, "{column}");
        assert_eq!(world.read("build/t/sub/f1"), "a person's edit", "{column}");
        assert_eq!(world.read("build/t/sub/f2"), "two".repeat(1000), "{column}");
    }
}

/// The same through a real second mount, with the first one still in use.
#[test]
fn g9_a_second_view_of_the_home_puts_no_tree_back() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("one").tree("build/t", small("one")));
    let two = Steps::new("two").rebuildable("build/t", small("two"));
    commit(&journal, &two);
    world.write("build/t/sub/f1", "a person's edit");
    let view = world.outside().join("view");
    std::fs::create_dir(&view).unwrap();
    let Some(_mounted) = Mounted::bind(world.root(), view.clone()) else {
        return;
    };
    let other = Journal::open(view).unwrap();
    assert_eq!(other.recovery().trees_put_back, 0);
    assert_eq!(world.read("build/t/sub/f1"), "a person's edit");
    commit(&other, &Steps::new("other").put("build/other", "other"));
}

/// A rebuildable tree on another filesystem that failed its check could not be moved into the home, and
/// every opening failed with that.
#[test]
fn a_torn_tree_on_another_filesystem_does_not_brick_the_journal() {
    let world = World::new();
    world.make_dir("out");
    let Some(_mounted) = Mounted::tmpfs(world.path("out")) else {
        return;
    };
    let journal = world.open();
    commit(&journal, &Steps::new("one").tree("out/t", small("one")));
    let two = Steps::new("two").rebuildable("out/t", small("two"));
    commit(&journal, &two);
    journal.close().unwrap();
    tear(&world, "out/t");
    let sql = "UPDATE entry SET boot = 'earlier' WHERE unsettled = 1";
    assert_eq!(database(&world).execute(sql, []).unwrap(), 1);
    let journal = world.open();
    assert_eq!(journal.recovery().trees_put_back, 1);
    assert_eq!(world.read("out/t/sub/f1"), "one");
    commit(&journal, &Steps::new("more").put("build/more", "more"));
}

/// A directory on the way to an unfinished change was replaced by a link: every opening, and every commit
/// of everybody, failed with a conflict there.
#[test]
fn a_link_on_the_way_to_an_unfinished_change_bricks_nothing() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("old").put("out/f", "old"));
    journal.close().unwrap();
    let strike = Strike::before(Verb::Exchange, "out/f");
    kill_at(ACTOR, &world, &strike, &["put=out/f=new"]);
    std::fs::rename(world.path("out"), world.path("real")).unwrap();
    world.link("real", "out");
    let journal = world.open();
    commit(&journal, &Steps::new("else").put("build/else", "else"));
    assert_eq!(world.read("real/f"), "old");
    let overlapping = Steps::new("same").put("out/f", "newer");
    assert!(overlapping.try_commit(&journal).is_err());
    journal.close().unwrap();
    // As soon as it is a directory again, nothing is lost.
    std::fs::remove_file(world.path("out")).unwrap();
    std::fs::rename(world.path("real"), world.path("out")).unwrap();
    let journal = world.open();
    let now = world.read("out/f");
    assert!(now == "old" || now == "new", "{now}");
    commit(&journal, &Steps::new("else").put("build/else", "again"));
}

/// An error that stays at one path of an unfinished transaction (here: a file where a directory was) kept
/// the journal from being opened, by anybody, for anything.
#[test]
fn a_file_on_the_way_to_an_unfinished_change_bricks_nothing() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("old").put("out/f", "old"));
    journal.close().unwrap();
    let strike = Strike::before(Verb::Exchange, "out/f");
    kill_at(ACTOR, &world, &strike, &["put=out/f=new"]);
    std::fs::rename(world.path("out"), world.path("real")).unwrap();
    world.write("out", "a file");
    let journal = world.open();
    commit(&journal, &Steps::new("else").put("build/else", "else"));
    assert_eq!(world.read("real/f"), "old");
}

/// The same for the check of rebuildable trees: a link on the way to one failed every transaction, and
/// after a reboot every opening.
#[test]
fn a_link_on_the_way_to_an_unsettled_tree_bricks_nothing() {
    let world = World::new();
    let journal = world.open();
    commit(
        &journal,
        &Steps::new("quick").rebuildable("out/t", small("one")),
    );
    std::fs::rename(world.path("out"), world.path("real")).unwrap();
    world.link("real", "out");
    commit(&journal, &Steps::new("else").put("build/else", "else"));
    journal.close().unwrap();
    commit(
        &world.open(),
        &Steps::new("else").put("build/else", "again"),
    );
    database(&world)
        .execute(
            "UPDATE entry SET unsettled = 1, boot = 'earlier', mount = 1 WHERE path = 'out/t'",
            [],
        )
        .unwrap();
    let journal = world.open();
    commit(&journal, &Steps::new("else").put("build/else", "at last"));
    assert_eq!(world.read("real/t/sub/f1"), "one");
}

/// A row of the database alone was enough to have any directory moved away, and deleted in the end.
#[test]
fn g8_a_hostile_row_moves_nothing_outside_the_territory() {
    for also_change in [false, true] {
        let world = World::new();
        let journal = world.open();
        commit(&journal, &Steps::new("t").tree("victim", small("one")));
        journal.close().unwrap();
        let rows = database(&world);
        let sql = "UPDATE entry SET unsettled = 1, boot = 'earlier', mount = 1, digest = NULL
                   WHERE path = 'victim'";
        assert_eq!(rows.execute(sql, []).unwrap(), 1);
        if also_change {
            let sql = "UPDATE change SET rebuildable = 1 WHERE path = 'victim'";
            rows.execute(sql, []).unwrap();
        }
        drop(rows);
        tear(&world, "victim");
        let journal = open_in(&world, "build");
        assert_eq!(journal.recovery().trees_put_back, 0);
        assert!(world.exists("victim/sub/f1"));
        assert_eq!(aside(&world), [""; 0]);
        journal.recover().unwrap();
        assert!(world.exists("victim/sub/f1"));
    }
}

/// The filesystem of a change was not mounted while its transaction was recovered: that counted as done,
/// and old and new stood side by side for ever.
#[test]
fn g1_a_change_whose_filesystem_is_not_mounted_waits_for_it() {
    let world = World::new();
    let store = world.outside().join("store");
    std::fs::create_dir(&store).unwrap();
    world.make_dir("out");
    let Some(_store) = Mounted::tmpfs(store.clone()) else {
        return;
    };
    let mounted = Mounted::bind(&store, world.path("out")).unwrap();
    let journal = world.open();
    let old = Steps::new("old").put("out/f", "old").put("build/g", "old");
    commit(&journal, &old);
    journal.close().unwrap();
    let strike = Strike::before(Verb::Exchange, "out/f");
    kill_at(
        ACTOR,
        &world,
        &strike,
        &["put=out/f=new", "put=build/g=new"],
    );
    drop(mounted);
    let journal = world.open();
    assert_eq!(journal.recovery().finished, 0);
    commit(&journal, &Steps::new("else").put("build/else", "else"));
    journal.close().unwrap();
    let _mounted = Mounted::bind(&store, world.path("out")).unwrap();
    let journal = world.open();
    let both = world.read("out/f") + &world.read("build/g");
    assert!(
        both == "newnew" || both == "oldold",
        "{both}: {:?}",
        journal.recovery()
    );
}

/// `read` finished what was unfinished again and again while something beyond its territory was: it never
/// returned.
#[test]
fn a_reader_does_not_wait_for_what_is_beyond_its_territory() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("old").put("x.txt", "old"));
    journal.close().unwrap();
    let strike = Strike::before(Verb::Exchange, "x.txt");
    kill_at(ACTOR, &world, &strike, &["put=x.txt=new"]);
    let journal = open_in(&world, "build");
    within("read", move || drop(journal.read().unwrap()));
    world.open().close().unwrap();
    assert_eq!(world.read("x.txt"), "new");
}

/// Whoever opened with a smaller territory swept what a dead process had not yet set aside: the edit of a
/// person was gone, though the event said that it was kept.
#[test]
fn g9_an_opener_with_a_smaller_territory_sweeps_no_edit() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("old").put("x.txt", "old"));
    journal.close().unwrap();
    world.write("x.txt", "a person's edit");
    let strike = Strike::before(Verb::RenameNew, "/.state/aside/");
    kill_at(ACTOR, &world, &strike, &["put=x.txt=new"]);
    assert_eq!(world.read("x.txt"), "new");
    open_in(&world, "build").close().unwrap();
    let kept = holding(&world.path("build/.state"), "a person's edit");
    assert_eq!(kept.len(), 1, "swept");
    let journal = world.open();
    let kept = holding(&world.path("build/.state/aside"), "a person's edit");
    assert_eq!(kept.len(), 1);
    assert_eq!(events(&journal, &EventKind::Drift).len(), 1);
}

/// A mount was known by a number that the kernel hands out again: a filesystem that was taken away and came
/// back counted as the one that was written to.
#[test]
fn a_mount_that_came_again_is_another_one() {
    let world = World::new();
    let home = world.path("build");
    world.make_dir("build");
    let mut seen = Vec::new();
    for _ in 0..2 {
        let Some(_mounted) = Mounted::tmpfs(home.clone()) else {
            return;
        };
        let journal = world.open();
        commit(
            &journal,
            &Steps::new("t").rebuildable("build/t", small("one")),
        );
        let sql = "SELECT mount FROM entry WHERE path = 't'";
        let mount: i64 = database(&world)
            .query_row(sql, [], |row| row.get(0))
            .unwrap();
        seen.push(mount);
    }
    assert_ne!(seen[0], seen[1]);
}

/// Whoever opened a new project before anything had been put outside of its home never learnt under which
/// row such things were recorded: a transaction that a dead process had left half-way was beyond its reach.
#[test]
fn a_handle_that_was_there_first_finishes_what_was_begun_later() {
    let world = World::new();
    let first = world.open();
    let strike = Strike::before(Verb::RenameNew, "x.txt");
    kill_at(ACTOR, &world, &strike, &["put=x.txt=new"]);
    let reading = first.read().unwrap();
    let mut text = String::new();
    let mut file = reading.open("x.txt").unwrap().unwrap();
    std::io::Read::read_to_string(&mut file, &mut text).unwrap();
    assert_eq!(text, "new");
}

/// The directories that a transaction makes on the way to its targets lie above a territory that names a
/// target: whoever came next with the same territory took them for somebody else's, and what was committed
/// did not get into place.
#[test]
fn g1_a_territory_whose_parents_are_missing_is_finished_by_whoever_has_the_same() {
    let world = World::new();
    let strike = Strike::before(Verb::RenameNew, "deep/er/out/f");
    kill_at(ACTOR, &world, &strike, &["put=deep/er/out/f=new"]);
    let journal = open_in(&world, "deep/er/out");
    assert_eq!(journal.recovery().finished, 1);
    assert_eq!(world.read("deep/er/out/f"), "new");
}
