use std::collections::BTreeMap;
use std::io::Write;

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::*;
use crate::model::Digest;

/// A tar archive with these entries: a path that ends with `/` is a directory, `a -> b` a link, `a = b` a hard link,
/// and `a: text` a file.
pub(super) fn tar(listed: &[&str]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for line in listed {
        let mut header = Header::new_gnu();
        header.set_mode(0o640);
        header.set_mtime(7);
        header.set_size(0);
        let mut add = |kind, name: &str, link: &str, content: &str| {
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            if !link.is_empty() {
                header.set_link_name_literal(link).unwrap();
            }
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        };
        if let Some((name, target)) = line.split_once(" -> ") {
            add(EntryType::Symlink, name, target, "");
        } else if let Some((name, target)) = line.split_once(" = ") {
            add(EntryType::Link, name, target, "");
        } else if line.ends_with('/') {
            add(EntryType::Directory, line, "", "");
        } else {
            let (name, content) = line.split_once(": ").unwrap_or((line, ""));
            add(EntryType::Regular, name, "", content);
        }
    }
    tar.into_inner().unwrap()
}

/// Compresses every other layer, in different ways.
pub(super) fn packed(index: usize, tar: Vec<u8>) -> Vec<u8> {
    match index % 3 {
        0 => tar,
        1 => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&tar).unwrap();
            gzip.finish().unwrap()
        }
        _ => zstd::encode_all(tar.as_slice(), 1).unwrap(),
    }
}

impl Yard {
    pub(super) fn layer(&self, index: usize, bytes: &[u8]) -> Layer {
        let path = self.source().join(format!("layer-{index}"));
        std::fs::write(&path, bytes).unwrap();
        Layer::new(path).with_digest(Digest::of(bytes))
    }

    fn layers(&self, listed: &[&[&str]]) -> TreeSource {
        let layers = listed.iter().enumerate();
        let layers = layers.map(|(index, listed)| self.layer(index, &packed(index, tar(listed))));
        TreeSource::layers(layers.collect::<Vec<_>>(), Vec::new())
    }

    /// The entries of the tree, by path; checks that the disk holds the same.
    pub(super) fn merged(&self, source: TreeSource) -> Vec<String> {
        let built = self.build(source).unwrap();
        assert_eq!(self.differences(&built), [""; 0]);
        assert_eq!(read(&self.root, &|_| {}).unwrap().manifest, built.manifest);
        shown(&built.manifest, |path| {
            std::fs::read_to_string(self.at(path)).unwrap()
        })
    }
}

fn shown(manifest: &Manifest, content: impl Fn(&str) -> String) -> Vec<String> {
    use crate::model::EntryKind;
    let entries = manifest.entries().iter().skip(1);
    entries
        .map(|entry| match &entry.kind {
            EntryKind::Dir if entry.mode == 0o755 => format!("{}/ implied", entry.path),
            EntryKind::Dir => format!("{}/", entry.path),
            EntryKind::File { .. } => format!("{}: {}", entry.path, content(&entry.path)),
            EntryKind::Link { target } => format!("{} -> {target}", entry.path),
        })
        .collect()
}

pub(super) fn merge(listed: &[&[&str]]) -> Vec<String> {
    let yard = Yard::new();
    let source = yard.layers(listed);
    yard.merged(source)
}

fn refused(listed: &[&[&str]]) -> String {
    let yard = Yard::new();
    let source = yard.layers(listed);
    yard.refusal(source)
}

#[test]
fn a_later_layer_replaces_entries_of_an_earlier_one() {
    let lower = &[
        "d/", "d/a: 1", "d/b: 1", "f: 1", "l -> f", "e/", "e/x/", "e/x/y: 1",
    ];
    let upper = &["d/a: 2", "f/", "f/in: 2", "l: 2", "e -> d", "d/b/", "d/"];
    let wanted = ["d/", "d/a: 2", "d/b/", "e -> d", "f/", "f/in: 2", "l: 2"];
    assert_eq!(merge(&[lower, upper]), wanted);
    // Within one layer too, which a single archive may not.
    assert_eq!(merge(&[&["a/", "a/b: 1", "a: 2"]]), ["a: 2"]);
    let alone = Yard::new().refusal(TreeSource::stream(Cursor::new(tar(&["a/", "a: 2"]))));
    assert!(alone.contains("a file or link and a directory"), "{alone}");
}

#[test]
fn whiteouts_remove_entries_of_lower_layers_and_are_not_part_of_the_tree() {
    let lower = &[
        "d/", "d/a: 1", "d/b: 1", "d/s/", "d/s/x: 1", "l -> d", "k: 1",
    ][..];
    assert_eq!(
        merge(&[lower, &["d/.wh.a", ".wh.l", ".wh.nothing"]]).len(),
        5
    );
    assert_eq!(merge(&[lower, &[".wh.d", ".wh.k", ".wh.l"]]), [""; 0]);
    assert_eq!(merge(&[lower, &[".wh..wh..opq"]]), [""; 0]);
    assert_eq!(
        merge(&[lower, &["gone/.wh.x", "no/.wh..wh..opq"], &[".wh.k"]]).len(),
        6
    );
    // Metadata of aufs is not part of the tree.
    assert_eq!(
        merge(&[&["a: 1", ".wh..wh.aufs", ".wh..wh.orph/"]]),
        ["a: 1"]
    );
    // In a single archive it is an ordinary name.
    let alone = Yard::new();
    let built = alone.build(TreeSource::stream(Cursor::new(tar(&[".wh.a"]))));
    assert_eq!(built.unwrap().manifest.entries().len(), 2);
}

#[test]
fn a_whiteout_keeps_entries_of_its_own_layer_in_any_order() {
    let lower = &["d/", "d/a: 1", "d/s/", "d/s/x: 1", "f: 1"];
    for upper in [
        ["d/", ".wh..wh..opq", "d/a: 2"],
        ["d/", "d/a: 2", ".wh..wh..opq"],
        [".wh..wh..opq", "d/", "d/a: 2"],
    ] {
        assert_eq!(merge(&[lower, &upper]), ["d/", "d/a: 2"], "{upper:?}");
    }
    // A directory that no remaining layer lists has the mode of an implied directory.
    for upper in [[".wh.d", "d/s/y: 2"], ["d/s/y: 2", ".wh.d"]] {
        let wanted = ["d/ implied", "d/s/ implied", "d/s/y: 2", "f: 1"];
        assert_eq!(merge(&[lower, &upper]), wanted, "{upper:?}");
    }
    for upper in [["f: 2", ".wh.f"], [".wh.f", "f: 2"]] {
        assert!(merge(&[lower, &upper]).contains(&"f: 2".to_owned()));
    }
    assert!(!merge(&[lower, &["f: 2"], &[".wh.f"]]).contains(&"f: 2".to_owned()));
}

#[test]
fn hard_links_may_name_files_of_lower_layers_and_keep_their_content() {
    let listed: &[&[&str]] = &[
        &["a: 1", "d/", "d/old: 0"],
        &["b = a", "d/kept = d/old", "d/.wh.old"],
        &["a: 2", ".wh.gone"],
    ];
    assert_eq!(merge(listed), ["a: 2", "b: 1", "d/", "d/kept: 0"]);
    let error = refused(&[&["a: 1"], &[".wh.a"], &["b = a"]]);
    assert!(error.contains("hard link `b`"), "{error}");
}

#[test]
fn entries_outside_the_tree_are_refused_in_every_layer() {
    for (listed, told) in [
        (["l -> /etc", "l/passwd: x"], "below a symbolic link"),
        (["l -> /etc", "l/.wh.passwd"], "below a symbolic link"),
        (["l -> /etc", "l/.wh..wh..opq"], "below a symbolic link"),
        (["f: 1", "f/.wh.x"], "below a file"),
        (["f: 1", "../x: 1"], "climbs"),
        (["f: 1", ".wh..."], "whiteout of nothing"),
        (["f: 1", "d/.wh.."], "whiteout of nothing"),
        (["f: 1", ".wh."], "whiteout of nothing"),
        (["f: 1", ".wh.d/x: 1"], "below a whiteout"),
        (
            ["f: 1", "x = /etc/passwd"],
            "`etc/passwd` is not an earlier file",
        ),
        (["f: 1", "/../x: 1"], "climbs"),
    ] {
        let error = refused(&[&listed[..1], &listed[1..]]);
        assert!(error.contains(told), "{listed:?}: {error}");
    }
}

#[test]
fn a_layer_with_a_wrong_digest_is_named_before_any_later_error() {
    let (right, wrong) = (tar(&["a: right"]), tar(&["a: wrong"]));
    let cut = &right[..700];
    let gzip = packed(1, right.clone());
    let mut broken = gzip.clone();
    broken[12] ^= 0x55;
    for (bytes, expected) in [
        (&wrong[..], &right),
        (cut, &right),
        (&broken, &gzip),
        (b"", &right),
    ] {
        let yard = Yard::new();
        let first = yard.layer(0, &tar(&["b: 1"]));
        let bad = yard.layer(1, bytes).with_digest(Digest::of(expected));
        let error = yard.refusal(TreeSource::layers([first, bad], Vec::new()));
        for word in [
            "layer-1",
            &Digest::of(bytes).to_string(),
            &Digest::of(expected).to_string(),
        ] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
    let yard = Yard::new();
    let unknown = Layer::new(yard.layer(0, cut).path);
    let error = yard.refusal(TreeSource::layers([unknown], Vec::new()));
    assert!(
        error.contains("layer-0") && error.contains("cut short"),
        "{error}"
    );
    let yard = Yard::new();
    let missing = Layer::new(yard.source().join("missing"));
    let error = yard.refusal(TreeSource::layers([missing], Vec::new()));
    assert!(error.contains("missing"), "{error}");
    let dir = Layer::new(yard.source());
    let error = Yard::new().refusal(TreeSource::layers([dir], Vec::new()));
    assert!(error.contains("failed to read"), "{error}");
}

#[test]
fn entries_lie_on_top_of_all_layers() {
    let yard = Yard::new();
    let lower = yard.layer(0, &tar(&["digest/", "digest/x: 1", "a: 1"]));
    let source = TreeSource::layers([lower], vec![file("digest", "sha256:0")]);
    assert_eq!(yard.merged(source), ["a: 1", "digest: sha256:0"]);
    let none = Yard::new();
    assert_eq!(
        none.merged(TreeSource::layers([], vec![file("digest", "")]))
            .len(),
        1
    );
}

#[test]
fn many_and_large_layers_are_unpacked_in_order() {
    let text = |layer: usize| format!("{layer} ").repeat(400_000 / (layer + 1));
    let lines: Vec<_> = (0..40)
        .map(|layer| {
            [
                format!("big: {}", text(layer)),
                format!("own-{layer}: {layer}"),
            ]
        })
        .collect();
    let lines: Vec<Vec<&str>> = (lines.iter())
        .map(|lines| lines.iter().map(String::as_str).collect())
        .collect();
    let listed: Vec<&[&str]> = lines.iter().map(Vec::as_slice).collect();
    let merged = merge(&listed);
    assert_eq!(merged.len(), 41);
    assert_eq!(merged[0], format!("big: {}", text(39)));
}

/// Each opaque whiteout copied the list of all entries before it searched for older ones: a layer of some kilobytes
/// took hours.
#[test]
fn a_repeated_whiteout_is_applied_once() {
    let (sender, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let links: Vec<_> = (0..10_000).map(|n| format!("l{n} -> x")).collect();
        let mut listed: Vec<_> = links.iter().map(String::as_str).collect();
        listed.extend(std::iter::repeat_n(".wh..wh..opq", 100_000));
        sender.send(merge(&[&["old: 1"], &listed])).unwrap();
    });
    let merged = done.recv_timeout(std::time::Duration::from_secs(60));
    let merged = merged.expect("the whiteouts never finish");
    assert_eq!(merged.len(), 10_000);
    assert!(!merged.contains(&"old: 1".to_owned()));
}

/// A fifo was recognized only after it was opened, and opening it waited for a writer.
#[test]
fn g8_a_fifo_in_the_place_of_a_layer_is_refused_without_waiting() {
    let (sender, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let yard = Yard::new();
        let fifo = yard.source().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        let source = TreeSource::layers(vec![Layer::new(fifo)], Vec::new());
        sender.send(yard.refusal(source)).unwrap();
    });
    let refusal = done.recv_timeout(std::time::Duration::from_secs(60));
    let refusal = refusal.expect("a fifo is waited for");
    assert!(refusal.contains("fifo"), "{refusal}");
}

/// Lines for [`tar`]: the entries of a layer.
fn entries_of_a_layer() -> impl Strategy<Value = Vec<String>> {
    let path = proptest::collection::vec("[ab]", 1..4).prop_map(|parts| parts.join("/"));
    let line = (path, 0..6, 0u8..9).prop_map(|(path, kind, n)| match kind {
        0 => format!("{path}/"),
        1 => format!("{path} -> target{n}"),
        2 => match path.rsplit_once('/') {
            Some((dir, name)) => format!("{dir}/.wh.{name}"),
            None => format!(".wh.{path}"),
        },
        3 if n < 4 => format!("{path}/.wh..wh..opq"),
        _ => format!("{path}: {n}"),
    });
    proptest::collection::vec(line, 0..6)
}

type Merged = BTreeMap<String, String>;

fn below(path: &str, top: &str) -> bool {
    path.strip_prefix(top)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Applies a layer to a model of the tree: first whiteouts, then entries. `None` if it is refused.
fn apply(tree: &mut Merged, listed: &[String]) -> Option<()> {
    let (hide, add): (Vec<_>, Vec<_>) = listed.iter().partition(|line| line.contains(".wh."));
    for line in hide {
        let (dir, name) = line.rsplit_once('/').unwrap_or(("", line));
        let not_a_dir = |(path, line): (&String, &String)| {
            (path == dir || below(dir, path)) && !line.contains('/')
        };
        if tree.iter().any(not_a_dir) {
            return None;
        }
        let hidden = format!("{dir}/{}", &name[".wh.".len()..]);
        let hidden = hidden.trim_start_matches('/');
        match name {
            ".wh..wh..opq" => tree.retain(|path, _| !below(path, dir)),
            _ => tree.retain(|path, _| path != hidden && !below(path, hidden)),
        }
    }
    for line in add {
        let path = line.split([' ', ':']).next().unwrap().trim_end_matches('/');
        for (at, _) in path.match_indices('/') {
            let above = tree
                .entry(path[..at].to_owned())
                .or_insert("/ implied".to_owned());
            if !above.starts_with('/') {
                return None;
            }
        }
        let rest = &line[path.len()..];
        if !rest.starts_with('/') {
            tree.retain(|other, _| !below(other, path));
        }
        tree.insert(path.to_owned(), rest.to_owned());
    }
    Some(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn layers_make_what_a_simple_model_makes(
        layers in proptest::collection::vec(entries_of_a_layer(), 1..5)
    ) {
        let mut tree = Merged::new();
        let model = layers.iter().map(|layer| apply(&mut tree, layer)).collect::<Option<Vec<_>>>();
        let yard = Yard::new();
        let listed: Vec<Vec<&str>> = layers.iter()
            .map(|layer| layer.iter().map(String::as_str).collect())
            .collect();
        let listed: Vec<&[&str]> = listed.iter().map(Vec::as_slice).collect();
        let is_first = |layer: &[String]| layer.is_sorted_by_key(|line| !line.contains(".wh."));
        let built = yard.build(yard.layers(&listed));
        match (built, model) {
            (Ok(built), Some(_)) => {
                let content = |path: &str| std::fs::read_to_string(yard.at(path)).unwrap();
                let wanted: Vec<_> = tree.iter().map(|(path, rest)| format!("{path}{rest}")).collect();
                prop_assert_eq!(shown(&built.manifest, content), wanted);
                prop_assert_eq!(yard.differences(&built), [""; 0]);
                prop_assert_eq!(&read(&yard.root, &|_| {}).unwrap().manifest, &built.manifest);
            }
            (Err(_), None) => {}
            // An entry below something that is removed only later in the same layer was still in the way.
            (Err(_), Some(_)) | (Ok(_), None) if !layers.iter().all(|layer| is_first(layer)) => {}
            (built, model) => prop_assert!(false, "{built:?} {model:?}"),
        }
    }
}
