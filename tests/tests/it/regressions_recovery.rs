//! Regressions: the recovery of what a killed process has left.

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

/// Through another mount of the same home every edited rebuildable tree was considered torn by a power cut, and its
/// previous version was restored.
#[test]
fn g9_an_edit_in_a_tree_on_another_mount_is_not_a_power_cut() {
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

/// The same through a real second mount, while the first one is in use.
#[test]
fn g9_a_second_mount_of_the_home_restores_no_tree() {
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

/// A torn rebuildable tree on another filesystem could not be moved into the home, and every opening failed with that
/// error.
#[test]
fn a_torn_tree_on_another_filesystem_does_not_block_the_journal() {
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

/// A directory on the way to an unfinished change was replaced by a link: every opening and every commit failed with
/// a conflict there.
#[test]
fn a_link_on_the_way_to_an_unfinished_change_blocks_nothing() {
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
    // Once it is a directory again, the transaction is finished.
    std::fs::remove_file(world.path("out")).unwrap();
    std::fs::rename(world.path("real"), world.path("out")).unwrap();
    let journal = world.open();
    let now = world.read("out/f");
    assert!(now == "old" || now == "new", "{now}");
    commit(&journal, &Steps::new("else").put("build/else", "again"));
}

/// A permanent error at one path of an unfinished transaction (here: a file instead of a directory) prevented every
/// opening of the journal.
#[test]
fn a_file_on_the_way_to_an_unfinished_change_blocks_nothing() {
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

/// The same for the check of rebuildable trees: a link on the way to one failed every transaction, and after a reboot
/// every opening.
#[test]
fn a_link_on_the_way_to_an_unsynced_tree_blocks_nothing() {
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

/// A forged row alone was enough to have any directory moved away, and finally deleted.
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

/// The filesystem of a change was not mounted while its transaction was recovered: the change counted as done, and
/// old and new entries existed side by side forever.
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

/// `read` tried again and again to finish a transaction beyond its territory: it never returned.
#[test]
fn a_reader_does_not_wait_for_transactions_beyond_its_territory() {
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

/// An opening with a smaller territory deleted what a killed process had not set aside yet: a user's edit was lost,
/// although an event said that it was kept.
#[test]
fn g9_an_opening_with_a_smaller_territory_deletes_no_edit() {
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

/// A mount was identified by a number that the kernel reuses: a filesystem that was mounted again counted as the one
/// that was written to.
#[test]
fn a_repeated_mount_counts_as_another_one() {
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

/// A handle of a new project that was opened before anything was put outside of its home never read the row of its
/// root: an unfinished transaction of a killed process was beyond its reach.
#[test]
fn an_earlier_handle_finishes_a_later_transaction() {
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

/// The parent directories that a transaction creates are above a territory that names a target: the next process with
/// the same territory considered them out of reach, and the transaction was not applied.
#[test]
fn g1_a_territory_with_missing_parents_is_finished_by_the_same_territory() {
    let world = World::new();
    let strike = Strike::before(Verb::RenameNew, "deep/er/out/f");
    kill_at(ACTOR, &world, &strike, &["put=deep/er/out/f=new"]);
    let journal = open_in(&world, "deep/er/out");
    assert_eq!(journal.recovery().finished, 1);
    assert_eq!(world.read("deep/er/out/f"), "new");
}
