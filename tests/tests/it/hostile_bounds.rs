//! The cost of hostile input: memory that does not grow with claimed sizes, and bounded time.

use std::process::Command;

use tljournal_testkit::World;
use tljournal_tests::within;

use crate::ACTOR;

const MIB: u64 = 1 << 10;

/// The limit for any installation: buffered content, and the memory of a decompressor.
const ANY_KIB_MAX: u64 = 96 * MIB;

/// By how many KiB a process grows for an input, and its output.
fn meet(name: &'static str, number: u64) -> (u64, String) {
    within(name, move || {
        let world = World::new();
        let ran = Command::new(ACTOR)
            .args(["peak", world.root().as_str(), name, &number.to_string()])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success(), "{told} {ran:?}");
        let (kib, said) = told.split_once('\n').unwrap();
        (kib.parse().unwrap(), said.to_owned())
    })
}

#[test]
fn memory_does_not_grow_with_the_size_of_a_file() {
    let (kib, said) = meet("zeros", 192);
    assert_eq!(said, "\n");
    assert!(kib < ANY_KIB_MAX, "{kib} KiB");
}

#[test]
fn memory_grows_by_at_most_a_kib_for_each_entry() {
    let (few, many) = (meet("entries", 1000).0, meet("entries", 11_000).0);
    assert!(many.saturating_sub(few) < 10_000, "{few} and {many} KiB");
}

#[test]
fn extended_headers_of_gigabytes_are_refused() {
    for name in ["extended", "global"] {
        let (kib, said) = meet(name, 4);
        assert!(said.contains("more than 1 MiB"), "{name}: {said}");
        assert!(kib < ANY_KIB_MAX, "{name}: {kib} KiB");
    }
}

#[test]
fn windows_of_gigabytes_are_refused() {
    for name in ["window-zstd", "window-xz"] {
        let (kib, said) = meet(name, 0);
        assert!(said.contains("archive"), "{name}: {said}");
        assert!(kib < ANY_KIB_MAX, "{name}: {kib} KiB");
    }
}

#[test]
fn a_manifest_costs_as_much_as_it_has_and_not_what_it_claims() {
    let (kib, said) = meet("claim", 0);
    assert!(said.contains("not a manifest"), "{said}");
    // It claims gigabytes.
    assert!(kib < 2 * MIB, "{kib} KiB");
    let (kib, said) = meet("manifest", 100_000);
    assert_eq!(said, "\n");
    // One entry of 33 bytes is a few hundred in memory while it is checked.
    assert!(kib < 400 * 100, "{kib} KiB");
}

#[test]
fn descriptions_cost_no_more_than_a_multiple_of_their_length() {
    let (kib, said) = meet("nested", 0);
    assert!(said.contains("description"), "{said}");
    // The input itself has 4 MiB.
    assert!(kib < 2 * MIB, "{kib} KiB");
    let (kib, said) = meet("changes", 200_000);
    assert_eq!(said, "\n");
    assert!(kib < 512 * 200, "{kib} KiB");
}
