use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Barrier;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::Digest;
use tljournal_testkit::World;
use twoliter_state::{Error, Kit, KitOptions, LayoutError, State};

use super::images::{blob, digest_in, edit_index, has_tools, kit, layers_in, recompressed};
use super::{KIT, project, told};

fn unpack(state: &State, layout: &Utf8Path) -> Result<Kit, Error> {
    state.unpack_kit(layout, KIT, KitOptions::default())
}

/// All files below a directory with their content.
fn files(dir: &Utf8Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(at) = waiting.pop() {
        for entry in at.read_dir_utf8().unwrap().flatten() {
            let path = entry.path().to_owned();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_string();
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

/// The files of the kit of a version.
fn wanted(version: &str, digest: Digest) -> BTreeMap<String, String> {
    let files = [
        ("Packages/one.rpm", version),
        ("repodata/repomd.xml", "<repomd/>"),
        ("old/one.rpm", version),
        ("old/gone.rpm", "gone"),
        ("digest", &digest.to_string()),
    ];
    let owned = |(path, content): (&str, &str)| (path.to_owned(), content.to_owned());
    files.map(owned).into()
}

fn is_whole(world: &World, version: &str, layout: &Utf8Path) {
    assert_eq!(files(&world.path(KIT)), wanted(version, digest_in(layout)));
}

#[test]
fn a_kit_has_the_files_of_its_layers_and_its_digest_and_is_not_touched_again() {
    if !has_tools() {
        return;
    }
    let (world, state, outside) = project();
    let gzip = kit(&outside, "1");
    let layouts = [
        &gzip,
        &recompressed(&gzip, "zstd"),
        &recompressed(&gzip, "gzip"),
    ];
    for layout in layouts {
        let unpacked = unpack(&state, layout).unwrap();
        assert_eq!(unpacked.digest, digest_in(layout));
        is_whole(&world, "1", layout);
        assert_eq!(
            files(Utf8Path::new(&unpacked.pin.path())),
            files(&world.path(KIT))
        );
        let before = world.snapshot();
        let ctime = world.path(KIT).metadata().unwrap().ctime_nsec();
        assert!(!unpack(&state, layout).unwrap().changed);
        assert!(world.snapshot().matches(&before));
        assert_eq!(world.path(KIT).metadata().unwrap().ctime_nsec(), ctime);
    }
    // Compared with the result of umoci.
    let bundle = outside.join("bundle");
    let image = format!("{gzip}:latest");
    super::images::run(
        "umoci",
        &["unpack", "--rootless", "--image", &image, bundle.as_str()],
    );
    let mut theirs = files(&bundle.join("rootfs"));
    theirs.insert("digest".to_owned(), digest_in(&gzip).to_string());
    assert_eq!(theirs, wanted("1", digest_in(&gzip)));
}

/// Upstream wrote the `digest` file while it was still unpacking: a kill left a partial kit that counted as complete.
#[test]
fn a_partial_kit_with_a_digest_file_is_repaired() {
    if !has_tools() {
        return;
    }
    let (world, state, outside) = project();
    let layout = kit(&outside, "1");
    world.write(&format!("{KIT}/digest"), digest_in(&layout).to_string());
    world.write(&format!("{KIT}/Packages/one.rpm"), "1");
    assert!(unpack(&state, &layout).unwrap().changed);
    is_whole(&world, "1", &layout);
    fs::remove_file(world.path(KIT).join("Packages/one.rpm")).unwrap();
    assert!(unpack(&state, &layout).unwrap().changed);
    is_whole(&world, "1", &layout);
}

#[test]
fn g7_a_reader_keeps_the_kit_that_it_holds() {
    if !has_tools() {
        return;
    }
    let (world, state, outside) = project();
    let (one, two) = (kit(&outside, "1"), kit(&outside, "2"));
    let held = unpack(&state, &one).unwrap();
    unpack(&state, &two).unwrap();
    is_whole(&world, "2", &two);
    let pinned = Utf8PathBuf::from(held.pin.path());
    assert_eq!(files(&pinned), wanted("1", held.digest));
}

#[test]
fn a_blob_with_a_wrong_digest_is_named_and_the_old_kit_stays() {
    if !has_tools() {
        return;
    }
    let (world, state, outside) = project();
    let (good, bad) = (kit(&outside, "1"), kit(&outside, "2"));
    unpack(&state, &good).unwrap();
    let layer = layers_in(&bad)[0];
    let bytes = fs::read(blob(&bad, layer)).unwrap();
    let mut changed = bytes.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    for content in [&changed[..], &bytes[1..], b""] {
        fs::write(blob(&bad, layer), content).unwrap();
        let error = unpack(&state, &bad).unwrap_err();
        let told = told(&error);
        assert!(
            told.contains(&layer.hex()) && told.contains("pull the image again"),
            "{told}"
        );
        is_whole(&world, "1", &good);
    }
    fs::remove_file(blob(&bad, layer)).unwrap();
    assert!(told(&unpack(&state, &bad).unwrap_err()).contains("it is missing"));
    fs::write(blob(&bad, layer), bytes).unwrap();
    assert!(unpack(&state, &bad).unwrap().changed);
}

#[test]
fn of_several_images_the_wanted_one_is_unpacked() {
    if !has_tools() {
        return;
    }
    let (world, state, outside) = project();
    let (layout, other) = (kit(&outside, "1"), kit(&outside, "2"));
    let (first, second) = (digest_in(&layout), digest_in(&other));
    super::images::copy(&other.join("blobs"), &layout.join("blobs"));
    let theirs: serde_json::Value =
        serde_json::from_slice(&fs::read(other.join("index.json")).unwrap()).unwrap();
    edit_index(&layout, |index| {
        let listed = index["manifests"].as_array_mut().unwrap();
        listed.push(theirs["manifests"][0].clone());
        for (image, arch) in listed.iter_mut().zip(["amd64", "arm64"]) {
            image["platform"] = serde_json::json!({"architecture": arch, "os": "linux"});
        }
    });
    let error = unpack(&state, &layout).unwrap_err();
    assert!(matches!(
        error,
        Error::Layout {
            source: LayoutError::Ambiguous { .. },
            ..
        }
    ));
    for word in [first.to_string(), "amd64".to_owned(), second.to_string()] {
        assert!(told(&error).contains(&word), "{}", told(&error));
    }
    let for_arch = |arch: &str| KitOptions {
        arch: Some(arch.to_owned()),
        ..KitOptions::default()
    };
    for (arch, digest) in [("x86_64", first), ("aarch64", second), ("amd64", first)] {
        let unpacked = state.unpack_kit(&layout, KIT, for_arch(arch)).unwrap();
        assert_eq!(unpacked.digest, digest);
        assert_eq!(world.read(&format!("{KIT}/digest")), digest.to_string());
    }
    let by_digest = KitOptions {
        digest: Some(second),
        ..KitOptions::default()
    };
    assert_eq!(
        state.unpack_kit(&layout, KIT, by_digest).unwrap().digest,
        second
    );
    let error = state
        .unpack_kit(&layout, KIT, for_arch("riscv64"))
        .unwrap_err();
    assert!(told(&error).contains("for riscv64"), "{}", told(&error));
}

#[test]
fn several_kits_are_unpacked_concurrently_each_once() {
    if !has_tools() {
        return;
    }
    let (world, _state, outside) = project();
    let layouts: Vec<_> = ["1", "2", "3"].map(|version| kit(&outside, version)).into();
    let begin = Barrier::new(12);
    let changed: Vec<bool> = std::thread::scope(|scope| {
        let (layouts, begin, world) = (&layouts, &begin, &world);
        let threads: Vec<_> = (0..12)
            .map(|number| {
                scope.spawn(move || {
                    let state = State::with(world.open());
                    begin.wait();
                    let (layout, path) = (&layouts[number % 3], format!("{KIT}-{}", number % 3));
                    let unpacked = state
                        .unpack_kit(layout, &path, KitOptions::default())
                        .unwrap();
                    let version = (number % 3 + 1).to_string();
                    let whole = wanted(&version, unpacked.digest);
                    assert_eq!(files(Utf8Path::new(&unpacked.pin.path())), whole);
                    unpacked.changed
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(changed.iter().filter(|changed| **changed).count(), 3);
}
