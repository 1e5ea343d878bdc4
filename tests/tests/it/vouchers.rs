//! Claims: which claim keeps a tag, who waits for whom, and the reports.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::channel;
use std::time::Duration;

use tljournal::{
    Conflict, ConflictKind, Digest, Error, EventKind, Expect, Journal, LockError, LockMode,
    RelPath, Voucher,
};
use tljournal_testkit::World;
use tljournal_tests::{events, within};

const SDK: &str = "build/kits/.sdk";
const KITS: &str = "build/kits/.kits";

fn paths() -> [RelPath; 2] {
    [SDK, KITS].map(|path| RelPath::new(path).unwrap())
}

fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

/// Claims these tags, whose content is derived from the digest.
fn vouch(journal: &Journal, of: &str, tags: &[&str]) -> Result<bool, Error> {
    let files: BTreeMap<_, _> = tags
        .iter()
        .map(|path| (RelPath::new(path).unwrap(), of.as_bytes().to_vec()))
        .collect();
    journal.tags(paths())?.vouch(digest(of), &files)
}

fn withdraw(journal: &Journal) -> bool {
    journal.tags(paths()).unwrap().withdraw().unwrap()
}

fn revoke(journal: &Journal, of: &str, reason: &str) -> bool {
    let tags = journal.tags(paths()).unwrap();
    tags.revoke(digest(of), reason).unwrap()
}

fn vouchers(journal: &Journal) -> Vec<Voucher> {
    journal.tags(paths()).unwrap().vouchers().unwrap()
}

/// Everything that any write would change.
fn untouchable(world: &World, path: &str) -> (u64, i64, i64, i64, i64) {
    let meta = world.path(path).metadata().unwrap();
    let (mtime, ctime) = (meta.mtime_nsec(), meta.ctime_nsec());
    (meta.ino(), meta.mtime(), mtime, meta.ctime(), ctime)
}

#[test]
fn the_clean_up_of_one_run_does_not_harm_another() {
    let world = World::new();
    let (one, two) = (world.open(), world.open());
    assert!(vouch(&one, "a", &[SDK, KITS]).unwrap());
    let before = untouchable(&world, KITS);
    assert!(!withdraw(&two), "it had nothing to withdraw");
    assert!(vouch(&two, "a", &[SDK]).unwrap());
    assert!(withdraw(&two));
    assert_eq!(untouchable(&world, KITS), before);
    assert_eq!(world.read(SDK), "a");
    assert!(withdraw(&one));
    assert!(!world.exists(SDK) && !world.exists(KITS));
}

#[test]
fn fewer_tags_of_the_same_run_remove_the_others() {
    let world = World::new();
    let (one, two) = (world.open(), world.open());
    vouch(&one, "a", &[SDK, KITS]).unwrap();
    vouch(&two, "a", &[SDK, KITS]).unwrap();
    vouch(&one, "a", &[SDK]).unwrap();
    assert!(world.exists(KITS), "the other run still claims it");
    vouch(&two, "a", &[SDK]).unwrap();
    assert!(world.exists(SDK) && !world.exists(KITS));
    vouch(&two, "a", &[]).unwrap();
    assert!(world.exists(SDK), "the first run still claims it");
}

#[test]
fn g4_the_same_again_writes_nothing() {
    let world = World::new();
    let journal = world.open();
    vouch(&journal, "a", &[SDK, KITS]).unwrap();
    let before = world.snapshot();
    let touched = [SDK, KITS, "build/kits", "build/.state.db-wal"];
    let stats = touched.map(|path| untouchable(&world, path));
    assert!(!vouch(&journal, "a", &[SDK, KITS]).unwrap());
    assert_eq!(touched.map(|path| untouchable(&world, path)), stats);
    assert_eq!(world.snapshot().differences(&before), [""; 0]);
    let other = world.open();
    assert!(vouch(&other, "a", &[SDK, KITS]).unwrap());
    assert_eq!(untouchable(&world, SDK), stats[0], "equal is not touched");
}

#[test]
fn unclaimed_tags_of_any_origin_are_removed() {
    let world = World::new();
    world.write(SDK, "an older version's");
    world.make_dir(KITS);
    let journal = world.open();
    assert!(withdraw(&journal));
    assert!(!world.exists(SDK) && !world.exists(KITS));
    assert!(!withdraw(&journal));
    world.link("nowhere", SDK);
    world.make_dir(KITS);
    assert!(vouch(&journal, "a", &[SDK, KITS]).unwrap());
    assert_eq!(
        (world.read(SDK), world.read(KITS)),
        ("a".into(), "a".into())
    );
}

#[test]
fn g9_tags_removed_or_edited_by_hand_are_written_again() {
    let world = World::new();
    let journal = world.open();
    vouch(&journal, "a", &[SDK, KITS]).unwrap();
    std::fs::remove_dir_all(world.path("build/kits")).unwrap();
    assert!(vouch(&journal, "a", &[SDK, KITS]).unwrap());
    world.write(KITS, "b");
    assert!(vouch(&journal, "a", &[SDK, KITS]).unwrap());
    assert_eq!(
        (world.read(SDK), world.read(KITS)),
        ("a".into(), "a".into())
    );
}

#[test]
fn another_digest_waits_until_the_run_has_withdrawn_or_ended() {
    let world = World::new();
    let (one, two) = (world.open(), world.open());
    for ends in [false, true] {
        let holder = world.open();
        vouch(&holder, "a", &[SDK, KITS]).unwrap();
        vouch(&one, "a", &[SDK, KITS]).unwrap();
        vouch(&two, "a", &[SDK]).unwrap();
        withdraw(&two);
        let (sender, done) = channel();
        let (waiter, other) = (one.clone(), two.clone());
        let thread = std::thread::spawn(move || {
            sender.send(()).unwrap();
            let first = vouch(&waiter, "b", &[SDK]);
            drop(sender);
            (first, withdraw(&other))
        });
        done.recv().unwrap();
        // Its own claim is withdrawn first, which shows that it waits.
        while vouchers(&two)
            .iter()
            .any(|one_of| one_of.run == one.run_id().unwrap())
        {
            std::thread::yield_now();
        }
        assert_eq!(world.read(KITS), "a", "waiting changes no tag of others");
        match ends {
            true => holder.close().unwrap(),
            false => assert!(withdraw(&holder)),
        }
        let (first, _) = within("a wait for vouchers", move || thread.join().unwrap());
        assert!(first.unwrap());
        assert_eq!(world.read(SDK), "b");
        assert!(!world.exists(KITS), "unclaimed tags are removed");
        withdraw(&one);
    }
}

#[test]
fn g10_a_limit_ends_the_wait_and_names_the_holder() {
    let world = World::new();
    let one = world.open();
    vouch(&one, "a", &[SDK]).unwrap();
    let two = world
        .options()
        .lock_wait(Duration::from_millis(5))
        .work()
        .unwrap();
    let error = vouch(&two, "b", &[SDK]).unwrap_err();
    assert!(
        matches!(error, Error::Lock(LockError::Timeout { .. })),
        "{error}"
    );
    let (text, pid) = (error.to_string(), std::process::id().to_string());
    assert!(text.contains(&pid) && text.contains(SDK), "{text}");
    assert_eq!(world.read(SDK), "a");
}

#[test]
fn a_holder_of_something_never_waits_for_a_claim() {
    let world = World::new();
    let (one, two) = (world.open(), world.open());
    vouch(&one, "a", &[SDK]).unwrap();
    let refused = |journal: &Journal| match vouch(journal, "b", &[SDK]) {
        Err(Error::Conflict(Conflict { kind, .. })) => matches!(kind, ConflictKind::WouldDeadlock),
        done => panic!("{done:?}"),
    };
    let lock = two.lock("any", LockMode::Shared, "test", None).unwrap();
    assert!(refused(&two), "a named lock");
    vouch(&two, "a", &[SDK]).unwrap();
    withdraw(&two);
    drop(lock);
    let reading = two.read().unwrap();
    assert!(refused(&two), "a share of the commit lock");
    drop(reading);
    let other = RelPath::new("build/other").unwrap();
    let elsewhere = two.tags([other.clone()]).unwrap();
    let files = BTreeMap::from([(other, b"x".to_vec())]);
    elsewhere.vouch(digest("x"), &files).unwrap();
    assert!(refused(&two), "a claim on something else");
    elsewhere.withdraw().unwrap();
}

#[test]
fn revoked_tags_are_removed_and_their_runs_see_the_reason() {
    let world = World::new();
    let (one, two) = (world.open(), world.open());
    vouch(&one, "a", &[SDK, KITS]).unwrap();
    vouch(&two, "a", &[SDK]).unwrap();
    assert!(!revoke(&one, "b", "not the same"));
    assert!(world.exists(SDK) && world.exists(KITS));
    assert!(revoke(&two, "a", "the digest of a kit is wrong"));
    assert!(!world.exists(SDK) && !world.exists(KITS));
    let told = vouchers(&one);
    assert_eq!(told.len(), 3);
    for voucher in told {
        assert!(!voucher.is_valid() && voucher.alive);
        assert_eq!(
            voucher.revoked.as_deref(),
            Some("the digest of a kit is wrong")
        );
    }
    assert_eq!(events(&one, &EventKind::VouchersRevoked).len(), 2);
    // A new verification makes a new claim, and another digest does not wait.
    assert!(vouch(&one, "b", &[SDK]).unwrap());
    assert_eq!(world.read(SDK), "b");
}

#[test]
fn g6_the_claim_of_an_ended_run_is_not_valid() {
    let world = World::new();
    let one = world.open();
    vouch(&one, "a", &[SDK, KITS]).unwrap();
    one.close().unwrap();
    let two = world.open();
    assert!(vouchers(&two).iter().all(|voucher| !voucher.is_valid()));
    assert!(vouch(&two, "b", &[SDK]).unwrap());
    assert!(!world.exists(KITS));
    let left = vouchers(&two);
    assert_eq!(
        left.len(),
        1,
        "the rows of ended runs are deleted by the next change"
    );
    let inspection = world.options().inspect().unwrap();
    let seen = inspection.history().vouchers().unwrap();
    assert!(seen[0].is_valid() && seen[0].process.is_some(), "{seen:?}");
    assert_eq!(seen[0].path, SDK);
    assert_eq!(seen[0].run, two.run_id().unwrap());
}

#[test]
fn tags_may_lie_outside_of_the_home() {
    let world = World::new();
    let journal = world.open();
    let path = RelPath::new("kits/.sdk").unwrap();
    let tags = journal.tags([path.clone()]).unwrap();
    let files = BTreeMap::from([(path, b"x".to_vec())]);
    assert!(tags.vouch(digest("x"), &files).unwrap());
    assert!(!tags.vouch(digest("x"), &files).unwrap());
    assert_eq!(world.read("kits/.sdk"), "x");
    assert!(tags.vouchers().unwrap()[0].is_valid());
    let stray = BTreeMap::from([(RelPath::new("kits/.other").unwrap(), Vec::new())]);
    assert!(matches!(
        tags.vouch(digest("x"), &stray),
        Err(Error::Usage(_))
    ));
    let mut txn = journal.begin("other work goes on");
    txn.put("build/x", "x", Expect::Any).unwrap();
    txn.prepare().unwrap().commit().unwrap();
}
