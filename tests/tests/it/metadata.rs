//! Owner, group, ACL, extended attributes and capabilities: what new content inherits, and what a check reports.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use camino::Utf8Path;
use rustix::fs::XattrFlags;
use tljournal::{
    Code, DifferenceKind, EventKind, Expect, FsckDepth, FsckOptions, Journal, Payload, TreeOptions,
    TreeSource,
};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{events, small};

const ACL: &str = "system.posix_acl_access";
const DEFAULT_ACL: &str = "system.posix_acl_default";
/// The owner may read and write, the user 65534 too, the group may read.
const LETS_NO_USER_WRITE: [(u8, u8, u32); 5] = [
    (0x01, 6, u32::MAX),
    (0x02, 6, 65534),
    (0x04, 4, u32::MAX),
    (0x10, 6, u32::MAX),
    (0x20, 0, u32::MAX),
];

fn acl() -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0];
    for (tag, permissions, id) in LETS_NO_USER_WRITE {
        bytes.extend([tag, 0, permissions, 0]);
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn set(path: impl AsRef<Path>, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path.as_ref(), name, value, XattrFlags::empty()).unwrap();
}

fn get(path: impl AsRef<Path>, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 1024];
    let count = rustix::fs::getxattr(path.as_ref(), name, &mut value).ok()?;
    value.truncate(count);
    Some(value)
}

/// Without a mode: the file inherits the mode of what it replaces.
fn put(journal: &Journal, path: &str, content: &str) {
    let mut txn = journal.begin("put");
    let payload = Payload::bytes(content.as_bytes().to_vec());
    txn.put(path, payload, Expect::Any).unwrap();
    txn.prepare().unwrap().commit().unwrap();
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn install(journal: &Journal, source: TreeSource) -> bool {
    let mut txn = journal.begin("install");
    txn.tree("build/tools", source, TreeOptions::default())
        .unwrap();
    !txn.prepare().unwrap().commit().unwrap().changed_anything()
}

fn found(journal: &Journal) -> Vec<(Code, String)> {
    let options = FsckOptions {
        depth: FsckDepth::Full,
        ..FsckOptions::default()
    };
    let mut found = Vec::new();
    let mut told = |finding: tljournal::Finding| {
        found.push((finding.code, finding.path));
        std::ops::ControlFlow::Continue(())
    };
    journal.fsck(&options, &mut told).unwrap();
    found
}

/// Attributes that users had set on a file were lost without a message when it was replaced.
#[test]
fn g9_new_content_has_the_attributes_and_the_acl_of_what_it_replaces() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/a", "one");
    let path = world.path("build/a");
    set(&path, "user.note", b"important");
    set(&path, ACL, &acl());
    if is_root() {
        std::os::unix::fs::chown(&path, None, Some(4321)).unwrap();
    }
    let group = fs::metadata(&path).unwrap().gid();
    put(&journal, "build/a", "two");
    assert_eq!(get(&path, "user.note").unwrap(), b"important");
    assert_eq!(get(&path, ACL).unwrap(), acl());
    assert_eq!(
        (mode(&path), fs::metadata(&path).unwrap().gid()),
        (0o660, group)
    );
    // A requested mode is the mask: the user of the ACL has at most the rights of the group.
    let mut txn = journal.begin("put");
    txn.put(
        "build/a",
        Payload::bytes(*b"three").mode(0o640),
        Expect::Any,
    )
    .unwrap();
    txn.prepare().unwrap().commit().unwrap();
    assert_eq!(mode(&path), 0o640);
    assert_eq!(get(&path, ACL).unwrap()[4 + 8 * 3 + 2], 4);
    // That is reported.
    assert_eq!(events(&journal, &EventKind::NotTakenOver).len(), 1);
    assert_eq!(found(&journal), []);
}

/// Content of one user in a program of another user must not keep its capabilities.
#[test]
fn g13_capabilities_stay_only_where_root_replaces_a_file_of_root() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let journal = world.open();
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (owner, stays) in [(0, true), (4321, false)] {
        put(&journal, "build/program", &format!("one {owner}"));
        let path = world.path("build/program");
        std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
        set(&path, "security.capability", &capability);
        put(&journal, "build/program", &format!("two {owner}"));
        assert_eq!(
            get(&path, "security.capability").is_some(),
            stays,
            "{owner}"
        );
    }
    let lost = events(&journal, &EventKind::NotTakenOver);
    assert!(
        lost.iter()
            .any(|event| event.detail.contains("capabilities")),
        "{lost:?}"
    );
}

#[test]
fn a_new_file_inherits_acl_and_group_of_its_directory_but_the_journals_files_do_not() {
    let world = World::new();
    fs::create_dir_all(world.path("build/shared")).unwrap();
    for dir in ["build", "build/shared"] {
        set(world.path(dir), DEFAULT_ACL, &acl());
    }
    if is_root() {
        std::os::unix::fs::chown(world.path("build/shared"), None, Some(4321)).unwrap();
        fs::set_permissions(
            world.path("build/shared"),
            fs::Permissions::from_mode(0o2755),
        )
        .unwrap();
    }
    let group = fs::metadata(world.path("build/shared")).unwrap().gid();
    let journal = world.open();
    put(&journal, "build/shared/a", "one");
    let a = world.path("build/shared/a");
    assert_eq!((get(&a, ACL).unwrap(), mode(&a)), (acl(), 0o660));
    assert_eq!(fs::metadata(&a).unwrap().gid(), group);
    Steps::new("tree")
        .tree("build/shared/tools", small("1"))
        .try_commit(&journal)
        .unwrap();
    let inside = world.path("build/shared/tools/sub/f1");
    assert!(get(&inside, ACL).is_some());
    assert_eq!(
        (mode(&inside), fs::metadata(&inside).unwrap().gid()),
        (0o644, group)
    );
    // The result is the same as without the journal.
    assert_eq!(found(&journal), []);
    put(&journal, "build/shared/a", "two");
    for own in [
        "build/.state",
        "build/.state/txn",
        "build/.state/lock",
        "build/.state/aside",
    ] {
        assert_eq!(
            (get(world.path(own), ACL), get(world.path(own), DEFAULT_ACL)),
            (None, None),
            "{own}"
        );
    }
}

/// A changed owner, capability or attribute of a file in a tree was taken for the installed one.
#[test]
fn changed_metadata_of_a_tree_or_a_file_is_found_and_replaced_by_the_next_installation() {
    let world = World::new();
    let journal = world.open();
    let steps = || Steps::new("tree").tree("build/tools", small("1"));
    steps().try_commit(&journal).unwrap();
    put(&journal, "build/a", "one");
    assert_eq!(
        (
            found(&journal),
            journal.verify("build/tools", true).unwrap()
        ),
        (vec![], vec![])
    );
    let path = world.path("build/tools/sub/f1");
    set(&path, "user.x", b"1");
    set(world.path("build/a"), "user.x", b"1");
    let names = || -> Vec<_> {
        found(&journal)
            .into_iter()
            .map(|(code, path)| (code.as_str(), path))
            .collect()
    };
    let attributes = |path: &str| ("wrong-attributes", path.to_owned());
    assert_eq!(
        names(),
        [attributes("build/a"), attributes("build/tools/sub/f1")]
    );
    for full in [false, true] {
        let differences = journal.verify("build/tools", full).unwrap();
        assert!(
            matches!(differences[..], [ref one] if matches!(one.what, DifferenceKind::Attributes { .. }))
        );
    }
    assert!(steps().try_commit(&journal).unwrap().changed_anything());
    assert_eq!(get(&path, "user.x"), None);
    assert_eq!(journal.verify("build/tools", true).unwrap(), []);
    if is_root() {
        std::os::unix::fs::chown(&path, Some(4321), None).unwrap();
        let differences = journal.verify("build/tools", false).unwrap();
        let expected = DifferenceKind::Owner {
            expected: (0, 0),
            found: (4321, 0),
        };
        assert!(
            matches!(&differences[..], [one] if one.what == expected),
            "{differences:?}"
        );
        // A change of the whole tree is reported once.
        for inside in ["", "sub", "sub/f1", "sub/f2"] {
            std::os::unix::fs::chown(world.path("build/tools").join(inside), Some(77), None)
                .unwrap();
        }
        assert_eq!(journal.verify("build/tools", true).unwrap().len(), 1);
    }
}

#[test]
fn a_tree_from_a_directory_has_its_attributes_unless_they_are_ignored() {
    let world = World::new();
    let source = world.path("source");
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("sub/file"), "content").unwrap();
    set(source.join("sub/file"), "user.origin", b"one");
    set(source.join("sub"), "user.origin", b"dir");
    let journal = world.open();
    let dir = || TreeSource::dir(Utf8Path::new(source.as_str()));
    assert!(!install(&journal, dir()));
    let file = world.path("build/tools/sub/file");
    assert_eq!(get(&file, "user.origin").unwrap(), b"one");
    assert_eq!(
        get(world.path("build/tools/sub"), "user.origin").unwrap(),
        b"dir"
    );
    assert_eq!(journal.verify("build/tools", true).unwrap(), []);
    assert!(install(&journal, dir()));
    // Nothing else has changed.
    set(source.join("sub/file"), "user.origin", b"two");
    assert!(!install(&journal, dir()));
    assert_eq!(get(&file, "user.origin").unwrap(), b"two");
    assert!(!install(&journal, dir().without_attributes()));
    assert_eq!(get(&file, "user.origin"), None);
    assert!(install(&journal, dir().without_attributes()));
}

#[test]
fn undone_changes_restore_the_attributes() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/a", "one");
    set(world.path("build/a"), "user.note", b"one");
    Steps::new("rm")
        .remove("build/a")
        .try_commit(&journal)
        .unwrap();
    let filter = tljournal::TxnFilter::default();
    let removed = journal.history().transactions(&filter).unwrap().remove(0);
    let undone = journal
        .undo(&removed, &tljournal::UndoOptions::default())
        .unwrap();
    assert!(!undone.is_refused());
    assert_eq!(get(world.path("build/a"), "user.note").unwrap(), b"one");
    assert_eq!(found(&journal), []);
}
