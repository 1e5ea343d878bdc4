use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn furnish(yard: &Yard) {
    let source = yard.source();
    write(&source.join("bin/tool"), "tool");
    write(&source.join("name with\nbreak"), "x");
    std::fs::hard_link(source.join("bin/tool"), source.join("twin")).unwrap();
    std::fs::hard_link(source.join("bin/tool"), yard.path.join("outside")).unwrap();
    std::fs::create_dir(source.join("empty")).unwrap();
    symlink("/nowhere", source.join("bin/link")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o4555);
    std::fs::set_permissions(source.join("name with\nbreak"), mode).unwrap();
}

#[test]
fn a_directory_is_copied_with_hard_links_and_times_and_reads_the_same() {
    let yard = Yard::new();
    furnish(&yard);
    let built = yard.build(TreeSource::dir(yard.source())).unwrap();
    let source = Dir::open(&yard.source(), Disk::default()).unwrap();
    let there = read(&source, &|_| {}).unwrap().manifest;
    let copied = words(&built.manifest);
    let expected: Vec<_> = words(&there)
        .iter()
        .map(|word| word.replace(" 4555 ", " 555 "))
        .collect();
    assert_eq!(copied, expected);
    assert!(
        copied
            .iter()
            .any(|word| word.starts_with("twin") && word.ends_with("same as 3")),
        "{copied:?}"
    );
    assert_eq!(yard.differences(&built), [""; 0]);
}

#[test]
fn the_path_of_a_source_may_be_a_link_and_its_kind_is_detected() {
    let yard = Yard::new();
    furnish(&yard);
    symlink(yard.source(), yard.path.join("to source")).unwrap();
    assert!(
        yard.build(TreeSource::at(yard.path.join("to source")))
            .is_ok()
    );
    let gone = Yard::new();
    let words = gone.refusal(TreeSource::at(gone.path.join("gone")));
    assert!(
        words.contains("failed to open the directory") && words.contains("No such file"),
        "{words}"
    );
}

#[test]
fn special_files_and_names_that_are_not_utf8_are_refused_by_name() {
    use std::os::unix::ffi::OsStrExt;
    let yard = Yard::new();
    let _socket = std::os::unix::net::UnixListener::bind(yard.source().join("sock")).unwrap();
    let words = yard.refusal(TreeSource::dir(yard.source()));
    assert!(
        words.contains("failed to stage `sock`: it is a device, fifo or socket"),
        "{words}"
    );
    let yard = Yard::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    std::fs::create_dir(yard.source().join("d")).unwrap();
    std::fs::write(yard.source().join("d").as_std_path().join(name), "x").unwrap();
    let words = yard.refusal(TreeSource::dir(yard.source()));
    assert_eq!(words, "failed to stage `d/caf\\xe9`: its name is not UTF-8");
}

#[test]
fn g8_a_source_that_contains_the_journal_is_refused() {
    let yard = Yard::new();
    std::fs::create_dir(yard.source().join(".state")).unwrap();
    let state = Dir::open(&yard.source().join(".state"), Disk::default()).unwrap();
    let state = state.own_stat().unwrap();
    let forbidden = (state.dev, state.identity);
    let mut source = TreeSource::dir(yard.source());
    let told = fingerprint(&source, &Disk::default(), forbidden).unwrap_err();
    assert!(
        told.to_string()
            .ends_with("contains the journal at `.state`"),
        "{told}"
    );
    assert!(build(&mut source, &yard.root, forbidden, &|_| {}).is_err());
}

#[test]
fn a_file_that_changes_while_it_is_read_fails_the_build() {
    let yard = Yard::new();
    let path = yard.source().join("log");
    write(&path, &"x".repeat(1_000_000));
    tick_over();
    let grow = |_| {
        use std::io::Write;
        let mut log = std::fs::File::options().append(true).open(&path).unwrap();
        log.write_all(b"more").unwrap();
    };
    let mut source = TreeSource::dir(yard.source());
    let error = build(&mut source, &yard.root, nowhere(), &grow).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to read `log`: it changed in the meantime"
    );
}

#[test]
fn an_entry_that_appears_while_a_directory_is_read_fails_the_build() {
    let yard = Yard::new();
    write(&yard.source().join("d/a"), "x");
    tick_over();
    let add = |_| write(&yard.source().join("d/b"), "y");
    let mut source = TreeSource::dir(yard.source());
    let error = build(&mut source, &yard.root, nowhere(), &add).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to read `d`: it changed in the meantime"
    );
}

#[test]
fn trees_deeper_than_256_levels_are_refused() {
    let yard = Yard::new();
    let deep = yard.source().join("d/".repeat(257));
    std::fs::create_dir_all(deep).unwrap();
    let words = yard.refusal(TreeSource::dir(yard.source()));
    assert!(words.ends_with("it lies deeper than 256 levels"), "{words}");
}

#[test]
fn a_fingerprint_changes_exactly_when_the_source_does() {
    let yard = Yard::new();
    furnish(&yard);
    let source = yard.source();
    let look = |at: TreeSource| fingerprint(&at, &Disk::default(), nowhere()).unwrap();
    let take = || look(TreeSource::dir(&source)).unwrap();
    let first = take();
    assert_eq!(first, take());
    assert_ne!(
        first,
        look(TreeSource::dir(&source).keep_special_bits()).unwrap()
    );
    assert_eq!(first.total_bytes, 4 + 4 + 1);
    let steps: [&dyn Fn(); 4] = [
        &|| write(&source.join("empty/new"), ""),
        &|| write(&source.join("empty/new"), "longer"),
        &|| std::fs::rename(source.join("twin"), source.join("twain")).unwrap(),
        &|| std::fs::remove_file(source.join("bin/link")).unwrap(),
    ];
    let mut last = first;
    for step in steps {
        tick_over();
        step();
        assert_ne!(take().digest, last.digest);
        last = take();
    }
    assert_eq!(look(TreeSource::stream(&b""[..])), None);
}
