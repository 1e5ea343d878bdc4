use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::model::EntrySignature;

#[test]
fn listed_entries_are_kept_with_times_to_the_nanosecond() {
    let yard = Yard::new();
    let listed = vec![
        SourceEntry::dir("./", 0o750, time(1, 2)),
        SourceEntry::dir("empty dir", 0o555, time(-3, 4)),
        file("a b\n/ü", "content"),
        SourceEntry::hard_link("a b\n/twin", "a b\n/ü"),
        SourceEntry::link("link", "no/where", time(9, 999_999_999)),
        SourceEntry::file("read only", 0o400, time(-1, 1), &b""[..]),
    ];
    let built = yard.build(entries(listed)).unwrap();
    assert_eq!(
        words(&built.manifest),
        [
            ". 750 1.000000002 dir",
            "a b\n 755 7.000000008 dir",
            "a b\n/twin 644 7.000000008 file of 7",
            "a b\n/ü 644 7.000000008 file of 7, same as 2",
            "empty dir 555 -3.000000004 dir",
            "link 0 9.999999999 link to no/where",
            "read only 400 -1.000000001 file of 0",
        ]
    );
    assert_eq!(read(&yard.root, &|_| {}).unwrap().manifest, built.manifest);
    assert_eq!(yard.differences(&built), [""; 0]);
    assert_eq!(yard.at("empty dir").metadata().unwrap().mtime(), -3);
}

#[test]
fn signatures_match_the_disk_after_the_last_change() {
    let yard = Yard::new();
    let listed = vec![
        file("d/a", "x"),
        SourceEntry::link("d/l", "a", time(1, 0)),
        SourceEntry::hard_link("e/b", "d/a"),
    ];
    let built = yard.build(entries(listed)).unwrap();
    for (entry, signature) in built.manifest.entries()[1..]
        .iter()
        .zip(&built.signature.entries()[1..])
    {
        let stat = yard.root.stat(&entry.path).unwrap().unwrap();
        assert_eq!(*signature, EntrySignature::of(&stat), "{}", entry.path);
    }
}

#[test]
fn special_bits_are_dropped_unless_they_are_asked_for() {
    let set = || vec![SourceEntry::file("s", 0o6755, time(1, 0), &b"x"[..])];
    let mode = |yard: &Yard| yard.at("s").metadata().unwrap().permissions().mode() & 0o7777;
    let (plain, special) = (Yard::new(), Yard::new());
    plain.build(entries(set())).unwrap();
    assert_eq!(mode(&plain), 0o755);
    let built = special.build(entries(set()).keep_special_bits()).unwrap();
    assert_eq!(mode(&special), 0o6755);
    assert_eq!(special.differences(&built), [""; 0]);
}

#[test]
fn the_last_of_two_files_wins_and_the_last_of_two_directories_gives_the_mode() {
    let yard = Yard::new();
    let listed = vec![
        file("a", "old"),
        SourceEntry::hard_link("old", "a"),
        file("a", "newer"),
        SourceEntry::link("l", "x", time(1, 0)),
        file("l", "file"),
        dir("d"),
        SourceEntry::dir("d", 0o700, time(3, 0)),
        SourceEntry::hard_link("a", "a"),
    ];
    let built = yard.build(entries(listed)).unwrap();
    assert_eq!(
        words(&built.manifest)[1..],
        [
            "a 644 7.000000008 file of 5",
            "d 700 3.000000000 dir",
            "l 644 7.000000008 file of 4",
            "old 644 7.000000008 file of 3",
        ]
    );
    assert_eq!(std::fs::read(yard.at("old")).unwrap(), b"old");
    assert_eq!(yard.differences(&built), [""; 0]);
}

#[test]
fn implied_directories_have_the_mtime_of_the_newest_entry_below() {
    let yard = Yard::new();
    let listed = vec![
        SourceEntry::file("a/b/c", 0o644, time(10, 0), &b""[..]),
        SourceEntry::file("a/b/d", 0o644, time(30, 0), &b""[..]),
        SourceEntry::file("a b", 0o644, time(20, 0), &b""[..]),
    ];
    let built = yard.build(entries(listed)).unwrap();
    let words = words(&built.manifest);
    assert_eq!(words[0], ". 755 30.000000000 dir");
    assert_eq!(words[1], "a 755 30.000000000 dir");
    assert_eq!(words[3], "a/b 755 30.000000000 dir");
}

#[test]
fn large_files_are_complete_and_progress_is_exact() {
    let yard = Yard::new();
    let size = 40 * 1024 * 1024 + 17;
    let content = std::io::Read::take(std::io::repeat(3), size);
    let listed = vec![Ok(SourceEntry::file("big", 0o644, time(1, 0), content))];
    let told = std::sync::atomic::AtomicU64::new(0);
    let tick = |bytes| {
        told.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    };
    let mut source = TreeSource::entries(listed);
    let built = build(&mut source, &yard.root, nowhere(), &tick).unwrap();
    assert_eq!((built.manifest.bytes(), told.into_inner()), (size, size));
    assert_eq!(
        read(&yard.root, &|_| {}).unwrap().manifest.entries()[1],
        built.manifest.entries()[1]
    );
    let again = build(&mut source, &yard.root, nowhere(), &|_| {}).unwrap_err();
    assert!(again.to_string().contains("only once"), "{again}");
}

#[test]
fn a_full_disk_or_an_existing_name_is_reported_as_a_disk_error() {
    let yard = Yard::new();
    std::fs::write(yard.at("taken"), "x").unwrap();
    let error = yard.build(entries(vec![file("taken", "y")])).unwrap_err();
    assert!(matches!(error, TreeError::Disk(_)), "{error}");
}
