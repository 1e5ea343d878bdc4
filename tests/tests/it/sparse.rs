//! Files with holes: they cost what they occupy, not their length.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

use camino::Utf8Path;
use tljournal::{
    Durability, Expect, Journal, Payload, TreeOptions, TreeSource, TxnFilter, UndoOptions,
};
use tljournal_testkit::{Steps, World, explain};
use tljournal_tests::{Mounted, within};

const MIB: u64 = 1 << 20;

/// A file of this length with a few bytes in the middle, and holes around them.
fn sparse_file(path: &Utf8Path, length: u64) {
    let file = File::create(path).unwrap();
    file.write_all_at(b"held", length / 2).unwrap();
    file.set_len(length).unwrap();
}

/// How many bytes of the medium a file occupies.
fn held(path: impl AsRef<std::path::Path>) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

fn latest_undone(journal: &Journal) {
    let latest = journal.history().transactions(&TxnFilter::latest(1));
    let latest = latest.unwrap().pop().unwrap();
    let done = journal.undo(&latest, &UndoOptions::default()).unwrap();
    assert!(!done.is_refused(), "{done:?}");
}

/// An installed tree, a put file, and the result of an undo occupied their full length on the medium.
#[test]
fn holes_stay_holes_wherever_content_is_copied() {
    let world = World::new();
    let journal = world.open();
    let source = world.outside().join("source");
    fs::create_dir(&source).unwrap();
    sparse_file(&source.join("f"), 48 * MIB);
    let tree = || TreeSource::dir(&source);
    journal
        .install("build/t", tree(), TreeOptions::default())
        .unwrap();
    let put = Payload::file(source.join("f"));
    let mut txn = journal.begin("put");
    txn.put("build/f", put, Expect::Absent).unwrap();
    txn.prepare().unwrap().commit().unwrap();
    for path in ["build/t/f", "build/f"] {
        let copy = world.path(path);
        assert_eq!(fs::metadata(&copy).unwrap().len(), 48 * MIB);
        assert!(held(&copy) < MIB, "{path} takes {} bytes", held(&copy));
        let mut bytes = [0; 6];
        File::open(&copy)
            .unwrap()
            .read_exact_at(&mut bytes, 24 * MIB - 1)
            .unwrap();
        assert_eq!(&bytes, b"\0held\0");
    }
    assert_eq!(journal.verify("build/t", true).unwrap(), []);
    for path in ["build/t", "build/f"] {
        Steps::new("removed")
            .remove(path)
            .try_commit(&journal)
            .unwrap();
        let kept = journal
            .history()
            .transactions(&TxnFilter::latest(1))
            .unwrap();
        let bytes = kept.first().unwrap().kept.unwrap();
        assert!(
            bytes < MIB,
            "what is kept of {path} counts as {bytes} bytes"
        );
        latest_undone(&journal);
    }
    for path in ["build/t/f", "build/f"] {
        assert!(
            held(world.path(path)) < MIB,
            "{path} takes {} bytes",
            held(world.path(path))
        );
    }
    assert_eq!(journal.verify("build/t", true).unwrap(), []);
}

/// The archive of a sparse file, made by GNU tar, installed from a stream.
fn install_archive(world: &World, journal: &Journal, format: &str, path: &str) -> Option<String> {
    let archive = world.outside().join(format!("{path}.tar"));
    let (kind, version) = format.split_once(' ').unwrap_or((format, "1.0"));
    let made = Command::new("tar")
        .arg("-S")
        .arg(format!("--format={kind}"))
        .args((kind == "posix").then(|| format!("--sparse-version={version}")))
        .args([
            "-cf",
            archive.as_str(),
            "-C",
            world.outside().join("source").as_str(),
            ".",
        ])
        .status()
        .unwrap();
    assert!(made.success());
    let source = TreeSource::stream(File::open(&archive).unwrap());
    let options = TreeOptions {
        durability: Durability::Rebuildable,
        ..TreeOptions::default()
    };
    let done = journal.install(&format!("build/{path}"), source, options);
    done.err().map(|error| explain(&error))
}

const FORMATS: [&str; 4] = ["gnu", "posix 0.0", "posix 0.1", "posix 1.0"];

/// Two of the formats that GNU tar writes were refused, and the others were written without holes.
#[test]
fn sparse_archives_of_every_format_unpack_to_the_original_tree() {
    let world = World::new();
    let journal = world.open();
    let source = world.outside().join("source");
    fs::create_dir(&source).unwrap();
    let many = File::create(source.join("many pieces")).unwrap();
    for at in 0..60 {
        many.write_all_at(&[b'a' + at as u8; 700], at * 65536 + at * 3)
            .unwrap();
    }
    sparse_file(&source.join("f"), 64 * MIB);
    File::create(source.join("hole"))
        .unwrap()
        .set_len(5 * MIB)
        .unwrap();
    fs::write(source.join("full"), "full").unwrap();
    for (number, format) in FORMATS.into_iter().enumerate() {
        let path = number.to_string();
        assert_eq!(
            install_archive(&world, &journal, format, &path),
            None,
            "{format}"
        );
        for name in ["many pieces", "f", "hole", "full"] {
            let copy = world.path(&format!("build/{path}/{name}"));
            assert!(
                fs::read(&copy).unwrap() == fs::read(source.join(name)).unwrap(),
                "{format}: {name}"
            );
            assert!(
                held(&copy) < 4 * MIB,
                "{format}: {name} takes {} bytes",
                held(&copy)
            );
        }
    }
}

/// The free space was compared with the length of a file: a sparse log could not be unpacked on a smaller filesystem.
#[test]
fn a_sparse_file_longer_than_the_free_space_is_unpacked_but_not_an_endless_one() {
    let at = World::new();
    at.make_dir("small");
    let Some(small) = Mounted::tmpfs(at.path("small")) else {
        return;
    };
    let world = World::at(at.path("small/project"));
    fs::create_dir(world.root()).unwrap();
    let journal = world.open();
    let source = world.outside().join("source");
    fs::create_dir(&source).unwrap();
    sparse_file(&source.join("f"), 64 * MIB);
    for (number, format) in FORMATS.into_iter().enumerate() {
        let path = number.to_string();
        assert_eq!(
            install_archive(&world, &journal, format, &path),
            None,
            "{format}"
        );
    }
    fs::remove_file(source.join("f")).unwrap();
    File::create(source.join("f"))
        .unwrap()
        .set_len(200 << 30)
        .unwrap();
    within("an archive that claims 200 GiB", move || {
        for format in FORMATS {
            let told = install_archive(&world, &journal, format, "endless").unwrap();
            assert!(told.contains("64 GiB"), "{told}");
        }
        drop((journal, small, at));
    });
}
