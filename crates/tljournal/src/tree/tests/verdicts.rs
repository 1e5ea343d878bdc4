use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn planted() -> (Yard, Built) {
    let yard = Yard::new();
    let listed = vec![
        dir("."),
        dir("d"),
        file("d/f", "content"),
        SourceEntry::hard_link("d/h", "d/f"),
        SourceEntry::link("d/l", "f", time(1, 2)),
        file("other", "else"),
    ];
    let built = yard.build(entries(listed)).unwrap();
    tick_over();
    (yard, built)
}

fn set_mtime(yard: &Yard, path: &str, mtime: Timestamp) {
    yard.root.set_mtime(path, mtime).unwrap();
}

#[test]
fn g4_an_unchanged_tree_is_verified_without_reading() {
    let (yard, built) = planted();
    let verdict = yard.verify(&built);
    assert!(verdict.differences.is_empty() && verdict.refreshed.is_none());
    assert_eq!(verdict.hashed_bytes, 0);
    let full = verify(
        &yard.root,
        &built.manifest,
        Some(&built.signature),
        Depth::Full,
        &|_| {},
    );
    assert_eq!(full.unwrap().hashed_bytes, 11);
}

#[test]
fn g4_a_touched_signature_is_refreshed_when_the_content_is_equal() {
    let (yard, built) = planted();
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(yard.at("other"), mode).unwrap();
    let verdict = yard.verify(&built);
    assert_eq!((verdict.differences.len(), verdict.hashed_bytes), (0, 4));
    let refreshed = Built {
        signature: verdict.refreshed.unwrap(),
        ..built
    };
    assert_eq!(yard.verify(&refreshed).hashed_bytes, 0);
    let without = verify(
        &yard.root,
        &refreshed.manifest,
        None,
        Depth::Signature,
        &|_| {},
    )
    .unwrap();
    assert_eq!(without.refreshed, Some(refreshed.signature));
}

#[test]
fn a_renamed_tree_still_matches_its_signature() {
    let (yard, built) = planted();
    std::fs::rename(yard.path.join("root"), yard.path.join("moved")).unwrap();
    let verdict = yard.verify(&built);
    assert!(verdict.differences.is_empty() && verdict.refreshed.is_none());
}

#[test]
fn g4_an_edit_with_the_mtime_put_back_is_found() {
    let (yard, built) = planted();
    std::fs::write(yard.at("other"), "ELSE").unwrap();
    set_mtime(&yard, "other", time(7, 8));
    assert_eq!(yard.differences(&built), ["`other` has other content"]);
}

#[test]
fn every_kind_of_change_is_reported_as_its_kind() {
    type Change = fn(&Yard);
    let cases: [(Change, &[&str]); 9] = [
        (
            |yard| std::fs::write(yard.at("d/extra\n"), "").unwrap(),
            &["`d` has mtime", "`d/extra\\n` does not belong there"],
        ),
        (
            |yard| std::fs::create_dir(yard.at("extra")).unwrap(),
            &["`.` has mtime", "`extra` does not belong there"],
        ),
        (
            |yard| std::fs::remove_file(yard.at("other")).unwrap(),
            &["`.` has mtime", "`other` is missing"],
        ),
        (
            |yard| std::fs::write(yard.at("other"), "longer").unwrap(),
            &["`other` has mtime", "`other` has 6 bytes instead of 4"],
        ),
        (
            |yard| set_mtime(yard, "other", time(1, 1)),
            &["`other` has mtime 1.000000001 instead of 7.000000008"],
        ),
        (
            |yard| {
                let mode = std::fs::Permissions::from_mode(0o4600);
                std::fs::set_permissions(yard.at("other"), mode).unwrap();
            },
            &["`other` has mode 4600 instead of 0644"],
        ),
        (
            |yard| {
                std::fs::remove_file(yard.at("d/l")).unwrap();
                symlink("elsewhere", yard.at("d/l")).unwrap();
                set_mtime(yard, "d/l", time(1, 2));
                set_mtime(yard, "d", time(5, 6));
            },
            &["`d/l` points to `elsewhere` instead of `f`"],
        ),
        (
            |yard| {
                std::fs::remove_file(yard.at("d/h")).unwrap();
                std::fs::copy(yard.at("d/f"), yard.at("d/h")).unwrap();
                set_mtime(yard, "d/h", time(7, 8));
                set_mtime(yard, "d", time(5, 6));
            },
            &["`d/h` is not a hard link"],
        ),
        (
            |yard| {
                std::fs::rename(yard.at("d"), yard.path.join("away")).unwrap();
                symlink(yard.path.join("away"), yard.at("d")).unwrap();
                yard.root.set_mtime(".", time(5, 6)).unwrap();
            },
            // Content behind the link is not in the tree, however similar it is.
            &[
                "`d` is a link instead of a directory",
                "`d/f` is missing",
                "`d/h` is missing",
                "`d/l` is missing",
            ],
        ),
    ];
    for (change, told) in cases {
        let (yard, built) = planted();
        change(&yard);
        let found = yard.differences(&built);
        assert_eq!(found.len(), told.len(), "{found:?} for {told:?}");
        for (found, told) in found.iter().zip(told) {
            assert!(found.starts_with(told), "{found} for {told}");
        }
    }
}

#[test]
fn extra_entries_are_found_although_the_mtime_of_their_directory_was_put_back() {
    use std::os::unix::ffi::OsStrExt;
    let (yard, built) = planted();
    let name = std::ffi::OsStr::from_bytes(b"d/caf\xe9");
    std::fs::create_dir(yard.path.join("root").as_std_path().join(name)).unwrap();
    std::fs::write(yard.at("extra"), "").unwrap();
    set_mtime(&yard, "d", time(5, 6));
    yard.root.set_mtime(".", time(5, 6)).unwrap();
    let found = yard.differences(&built);
    assert_eq!(
        found,
        [
            "`extra` does not belong there",
            "`d/caf\\xe9` does not belong there"
        ]
    );
}
