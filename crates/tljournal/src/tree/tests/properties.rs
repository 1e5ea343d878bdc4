use std::collections::BTreeMap;

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::*;

#[derive(Debug, Clone)]
enum Node {
    Dir(u32),
    File(u32, Vec<u8>),
    Link(String),
}

type Tree = BTreeMap<String, (Node, Timestamp)>;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-d]",
        "[ -.\n0-9ä字\u{301}]{1,3}".prop_filter("a plain name", |name| name != "." && name != "..")
    ]
}

fn trees() -> impl Strategy<Value = Tree> {
    let path = proptest::collection::vec(name(), 1..4).prop_map(|parts| parts.join("/"));
    let node = prop_oneof![
        (0o700u32..=0o777).prop_map(Node::Dir),
        (
            0o400u32..=0o777,
            proptest::collection::vec(any::<u8>(), 0..2000)
        )
            .prop_map(|(mode, content)| Node::File(mode, content)),
        "[a-z./ ]{1,20}".prop_map(Node::Link),
    ];
    let mtime = (-1_000_000i64..4_000_000_000, 0u32..1_000_000_000);
    let node = (node, mtime.prop_map(|(secs, nanos)| time(secs, nanos)));
    proptest::collection::btree_map(path, node, 0..25).prop_map(|tree| {
        let is_dir = |path: &str| matches!(tree.get(path), None | Some((Node::Dir(_), _)));
        let fits = |path: &&String| path.match_indices('/').all(|(at, _)| is_dir(&path[..at]));
        let kept: Vec<_> = tree.keys().filter(fits).cloned().collect();
        kept.into_iter()
            .map(|path| {
                let node = tree[&path].clone();
                (path, node)
            })
            .collect()
    })
}

fn listed(tree: &Tree) -> Vec<SourceEntry> {
    let mut listed = vec![SourceEntry::dir(".", 0o755, time(1, 1))];
    for (path, (node, mtime)) in tree {
        listed.push(match node.clone() {
            Node::Dir(mode) => SourceEntry::dir(path, mode, *mtime),
            Node::File(mode, content) => {
                SourceEntry::file(path, mode, *mtime, Cursor::new(content))
            }
            Node::Link(target) => SourceEntry::link(path, target, *mtime),
        });
    }
    listed
}

fn archived(tree: &Tree) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let mut add = |path: &str, node: &Node, mtime: Timestamp| {
        let (kind, mode, content) = match node {
            Node::Dir(mode) => (EntryType::Directory, *mode, &[][..]),
            Node::File(mode, content) => (EntryType::Regular, *mode, &content[..]),
            Node::Link(_) => (EntryType::Symlink, 0o777, &[][..]),
        };
        let nanos = mtime.as_nanos();
        let sign = if nanos < 0 { "-" } else { "" };
        let (secs, fraction) = (nanos.abs() / 1_000_000_000, nanos.abs() % 1_000_000_000);
        let text = format!("{sign}{secs}.{fraction:09}");
        tar.append_pax_extensions([("mtime", text.as_bytes())])
            .unwrap();
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        if let Node::Link(target) = node {
            header.set_link_name_literal(target).unwrap();
        }
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, content).unwrap();
    };
    add("./", &Node::Dir(0o755), time(1, 1));
    for (path, (node, mtime)) in tree {
        add(path, node, *mtime);
    }
    tar.into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_payload_has_one_manifest_whatever_brings_it(tree in trees()) {
        let yard = Yard::new();
        let built = yard.build(entries(listed(&tree))).unwrap();
        prop_assert_eq!(yard.differences(&built), [""; 0]);
        prop_assert_eq!(&read(&yard.root, &|_| {}).unwrap().manifest, &built.manifest);

        let copy = Yard::new();
        let copied = copy.build(TreeSource::dir(yard.path.join("root"))).unwrap();
        prop_assert_eq!(&copied.manifest, &built.manifest);
        prop_assert_eq!(copy.differences(&copied), [""; 0]);

        let unpacked = Yard::new();
        let archive = TreeSource::stream(Cursor::new(archived(&tree)));
        let built_again = unpacked.build(archive).unwrap();
        prop_assert_eq!(&built_again.manifest, &built.manifest);
        prop_assert_eq!(Manifest::decode(&built.manifest.encode()), Ok(built.manifest));
    }
}
