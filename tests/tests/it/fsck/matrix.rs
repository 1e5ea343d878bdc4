use std::collections::BTreeSet;

use tljournal::{Code, FsckDepth, Severity};

use super::damage::{After, Damage, all};
use super::scene::{look, repair, scene, wrong};

#[test]
fn an_undamaged_journal_is_clean_at_every_depth() {
    let world = scene();
    for depth in [FsckDepth::Quick, FsckDepth::Default, FsckDepth::Full] {
        let before = world.snapshot();
        let (found, report) = look(&world, depth);
        assert_eq!(wrong(&found), [], "{depth:?}");
        assert_eq!(report.unchecked, [""; 0], "{depth:?}");
        assert_eq!(world.snapshot().differences(&before), [""; 0]);
    }
}

/// Checks, repairs, and checks again.
fn check(damage: &Damage) {
    let name = damage.name;
    let world = scene();
    (damage.make)(&world);
    let (found, _) = look(&world, FsckDepth::Full);
    let is_it = |code: &Code| *code == damage.code;
    let codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
    assert!(codes.iter().any(is_it), "{name}: {codes:?}");
    // Exactly this damage is reported.
    let others: Vec<_> = wrong(&found)
        .into_iter()
        .filter(|(code, _)| !is_it(code))
        .collect();
    assert_eq!(others, [], "{name}");
    let (quick, _) = look(&world, FsckDepth::Quick);
    let seen = quick.iter().any(|finding| is_it(&finding.code));
    assert_eq!(seen, !damage.hidden, "{name}: {quick:?}");
    if damage.after == After::Beyond {
        return;
    }
    let repairs = repair(&world, &found, &[]);
    let (again, _) = look(&world, FsckDepth::Full);
    let is_left = again.iter().any(|finding| is_it(&finding.code));
    assert_eq!(
        is_left,
        damage.after == After::Left,
        "{name}: {repairs:?}, then {again:?}"
    );
    if damage.after == After::Mended {
        assert_eq!(wrong(&again), [], "{name}");
    }
    // A second repair has nothing left to do.
    let second = repair(&world, &again, &[]);
    assert!(
        second.iter().all(|repair| !repair.mended),
        "{name}: {second:?}"
    );
}

#[test]
fn g9_every_damage_is_found_by_its_code_and_repaired_if_possible() {
    let failed = |damage: &Damage| std::panic::catch_unwind(|| check(damage)).is_err();
    let failed: Vec<_> = all()
        .iter()
        .filter(|damage| failed(damage))
        .map(|it| it.name)
        .collect();
    assert_eq!(failed, [""; 0]);
}

/// Codes that need another running process, filesystem or user have tests of their own.
#[test]
fn no_code_is_forgotten() {
    let elsewhere = [
        Code::DatabaseOlder,
        Code::BesideLeftover,
        Code::LeftBehind,
        Code::KeptPinned,
        Code::Owner,
        Code::Aside,
        Code::TreePinned,
        Code::TreeUnsettled,
        Code::TagMissing,
        Code::TagUnvouched,
        Code::VoucherRevoked,
        Code::Overlaid,
        Code::WrongOwner,
        Code::WrongAttributes,
        Code::Unreadable,
    ];
    let made: BTreeSet<_> = all()
        .iter()
        .map(|damage| damage.code)
        .chain(elsewhere)
        .collect();
    let all: BTreeSet<_> = Code::ALL.iter().copied().collect();
    assert_eq!(made, all);
}

#[test]
fn g9_a_changed_file_is_restored_only_if_its_path_is_named() {
    let world = scene();
    world.write("build/kept.txt", "an edit");
    let (found, report) = look(&world, FsckDepth::Default);
    assert_eq!(wrong(&found), [(Code::Changed, "build/kept.txt")]);
    assert!(report.is_clean());
    let repairs = repair(&world, &found, &[]);
    assert!(
        !repairs[0].mended && repairs[0].text.contains("name its path"),
        "{repairs:?}"
    );
    assert_eq!(world.read("build/kept.txt"), "an edit");
    let repairs = repair(&world, &found, &["build/kept.txt"]);
    assert!(repairs[0].mended, "{repairs:?}");
    assert_eq!(world.read("build/kept.txt"), "same");
    let (found, _) = look(&world, FsckDepth::Full);
    let aside: Vec<_> = found
        .iter()
        .filter(|finding| finding.code == Code::Aside)
        .collect();
    assert_eq!(aside.len(), 1, "{found:?}");
    // Below the transaction that replaced it.
    let of_repair = std::fs::read_dir(world.path(&aside[0].path)).unwrap();
    let of_txn: Vec<_> = of_repair.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(of_txn.len(), 1, "{of_txn:?}");
    let edit = std::fs::read_to_string(of_txn[0].join("build/kept.txt"));
    assert_eq!(edit.unwrap(), "an edit");
}

#[test]
fn a_finding_names_the_transaction_and_the_run_that_wrote_it_last() {
    let world = scene();
    world.write("build/tools/more", "more");
    let (found, _) = look(&world, FsckDepth::Default);
    let extra = found
        .iter()
        .find(|finding| finding.code == Code::Extra)
        .unwrap();
    let txn = extra.txn.as_ref().unwrap();
    assert_eq!((txn.number, txn.label.as_str()), (4, "kept"));
    assert_eq!(txn.run.pid, std::process::id());
    assert_eq!(extra.severity(), Severity::Error);
}
