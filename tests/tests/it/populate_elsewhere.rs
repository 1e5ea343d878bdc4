//! Fillers that replace the directory they were given: exactly what was hashed and synced is published, or nothing
//! (G9).

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Arc;

use camino::Utf8Path;
use tljournal::{Error, Journal, PopulateOptions, TreeError, TreeSource};
use tljournal_testkit::{World, explain};
use tljournal_tests::Mounted;

fn populate<E>(
    journal: &Journal,
    fill: impl FnOnce(&Utf8Path) -> Result<(), E> + Send + 'static,
) -> Result<bool, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let source = TreeSource::filled(fill);
    let options = PopulateOptions::default();
    Ok(journal.populate("build/t", "key", source, options)?.changed)
}

/// Replaces the given directory by a new tree, and then changes something.
fn remade(path: &Utf8Path, then: impl FnOnce(&Utf8Path) -> io::Result<()>) -> io::Result<()> {
    fs::remove_dir(path)?;
    fs::create_dir(path)?;
    fs::write(path.join("file"), "new")?;
    then(path)
}

#[test]
fn g9_a_directory_recreated_by_the_filler_is_hashed_synced_and_recorded() {
    type Then = fn(&Utf8Path) -> io::Result<()>;
    let ways: [(&str, Then, u32); 3] = [
        ("as it is", |_| Ok(()), 0o755),
        (
            "closed",
            |path| fs::set_permissions(path, PermissionsExt::from_mode(0o000)),
            0o000,
        ),
        (
            "moved there",
            |path| {
                let built = path.with_extension("built");
                fs::create_dir(&built)?;
                fs::set_permissions(&built, PermissionsExt::from_mode(0o750))?;
                fs::write(built.join("file"), "new")?;
                fs::remove_dir_all(path)?;
                fs::rename(&built, path)
            },
            0o750,
        ),
    ];
    for (what, then, mode) in ways {
        let world = World::new();
        let record = Arc::new(tljournal_tests::Record::default());
        let journal = world.open_witnessed(&record).unwrap();
        assert!(
            populate(&journal, move |path| remade(path, then)).unwrap(),
            "{what}"
        );
        let published = fs::metadata(world.path("build/t")).unwrap();
        assert_eq!(published.mode() & 0o7777, mode, "{what}");
        let synced = tljournal_tests::synced_before_publishing(&record.take(), "build/t");
        assert!(!synced.is_empty(), "{what}");
        let differences = journal.verify("build/t", true).unwrap();
        assert!(differences.is_empty(), "{what}: {differences:?}");
        let again = populate(&journal, |_| Err(io::Error::other("it was asked again")));
        assert!(!again.unwrap(), "{what}");
        world.set_mode("build/t", 0o755);
        assert_eq!(world.read("build/t/file"), "new", "{what}");
    }
}

#[test]
fn g8_g9_another_object_in_place_of_the_directory_to_fill_is_refused() {
    type Leave = fn(&Utf8Path, &Utf8Path) -> io::Result<()>;
    let ways: [(&str, Leave); 4] = [
        ("a link", |path, other| symlink(other, path)),
        ("a file", |path, _| fs::write(path, "x")),
        ("missing", |_, _| Ok(())),
        ("missing", |path, _| {
            fs::create_dir(path)?;
            fs::rename(path, path.with_extension("away"))
        }),
    ];
    for (what, leave) in ways {
        let world = World::new();
        let journal = world.open();
        let other = world.outside().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("precious"), "1").unwrap();
        let before = fs::metadata(&other).unwrap();
        let left = other.clone();
        let filled = populate(&journal, move |path| {
            fs::remove_dir(path)?;
            leave(path, &left)
        });
        let error = filled.unwrap_err();
        assert!(
            matches!(&error, Error::Source(TreeError::Stage { found, .. }) if *found == what),
            "{}",
            explain(&error)
        );
        assert!(!world.exists("build/t"), "{what}");
        let after = fs::metadata(&other).unwrap();
        assert_eq!(
            (after.mode(), after.ctime_nsec()),
            (before.mode(), before.ctime_nsec())
        );
        assert_eq!(fs::read_to_string(other.join("precious")).unwrap(), "1");
    }
}

#[test]
fn g9_a_mount_in_the_directory_to_fill_is_refused() {
    let world = World::new();
    let journal = world.open();
    let kept: Arc<std::sync::Mutex<Option<Mounted>>> = Arc::default();
    for at in ["mounted", ""] {
        let mounted = kept.clone();
        let filled = populate(&journal, move |path| {
            let at = path.join(at);
            fs::create_dir_all(&at)?;
            *mounted.lock().unwrap() = Mounted::tmpfs(at);
            Ok::<_, io::Error>(())
        });
        if kept.lock().unwrap().take().is_none() {
            return;
        }
        let error = explain(&filled.unwrap_err());
        assert!(error.contains("mounted there"), "{error}");
        assert!(!world.exists("build/t"));
    }
}
