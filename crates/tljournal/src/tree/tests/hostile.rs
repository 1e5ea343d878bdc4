use super::*;

fn refused(listed: Vec<SourceEntry>, told: &str) {
    let words = Yard::new().refusal(entries(listed));
    assert!(words.contains(told), "{words}");
}

#[test]
fn g8_entries_that_leave_the_tree_are_refused_by_name() {
    refused(
        vec![file("../x", "")],
        "`../x`: it leaves the tree: it climbs",
    );
    refused(
        vec![file("a/../../x", "")],
        "`a/../../x`: it leaves the tree",
    );
    refused(
        vec![file("/etc/x", "")],
        "`/etc/x`: it leaves the tree: it is absolute",
    );
    refused(vec![file("a\0", "")], "`a\\0`: its name contains a NUL");
    let through = vec![SourceEntry::link("l", "/tmp", time(0, 0)), file("l/x", "")];
    refused(
        through,
        "`l/x`: it leaves the tree: it lies below a symbolic link",
    );
}

#[test]
fn g8_hard_links_to_anything_but_an_earlier_file_of_the_tree_are_refused() {
    let hard = |target: &str| SourceEntry::hard_link("h", target);
    refused(
        vec![hard("later"), file("later", "")],
        "`later` is not an earlier file",
    );
    refused(vec![hard("../x")], "`../x`: it leaves the tree");
    refused(vec![hard("/etc/passwd")], "it is absolute");
    refused(vec![dir("d"), hard("d")], "`d` is not an earlier file");
}

#[test]
fn directories_and_other_kinds_do_not_replace_each_other() {
    refused(
        vec![dir("x"), file("x", "")],
        "a file or link and a directory",
    );
    refused(
        vec![file("x", ""), dir("x")],
        "a directory and a file or link",
    );
    refused(
        vec![file("x", ""), file("x/y", "")],
        "`x/y`: it lies below a file",
    );
    refused(
        vec![file("./", "")],
        "`.`: it is a file or link and a directory",
    );
}

#[test]
fn errors_of_the_iterator_or_of_a_reader_are_returned() {
    let fail = || std::io::Error::other("the wire broke");
    let words = Yard::new().refusal(TreeSource::entries([Err(fail())]));
    assert_eq!(
        words,
        "failed to read `the list of entries`: the wire broke"
    );
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the wire broke"))
        }
    }
    let broken = SourceEntry::file("a/b", 0o644, time(0, 0), Broken);
    refused(vec![broken], "failed to read `a/b`: the wire broke");
}

/// An archive of a directory with two hard links to one symbolic link was refused, although the directory itself is
/// accepted. The link is never followed.
#[test]
fn a_hard_link_to_a_symbolic_link_becomes_another_link() {
    let link = SourceEntry::link("l", "/etc/passwd", time(3, 4));
    let (own, other) = (
        SourceEntry::hard_link("l", "l"),
        SourceEntry::hard_link("h", "l"),
    );
    let yard = Yard::new();
    let built = yard.build(entries(vec![link, own, other])).unwrap();
    assert_eq!(
        words(&built.manifest)[1..],
        [
            "h 0 3.000000004 link to /etc/passwd",
            "l 0 3.000000004 link to /etc/passwd"
        ]
    );
    assert_eq!(yard.differences(&built), [""; 0]);
}
