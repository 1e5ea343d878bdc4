//! Trees that are copied from a directory in use: the recorded content is what was read.

use std::fs::File;
use std::sync::{Arc, Mutex, Once};

use camino::Utf8PathBuf;
use tljournal::disk::{Call, Verb};
use tljournal::{Error, TreeError, TreeOptions, TreeSource};
use tljournal_testkit::{When, World};
use tljournal_tests::{Hook, small};

/// A tree source of two files and a directory, which changes when the first file is copied.
fn install_while(act: impl Fn(&Utf8PathBuf) + Send + Sync + 'static) -> Result<(), Error> {
    let world = World::new();
    let source = world.path("source");
    small("one").write_to(&source);
    world.open().close().unwrap();
    let (at, done) = (source.clone(), Once::new());
    let hook = move |when: When, call: &Call<'_>| {
        let copies = call.path.as_str().contains("/.state/txn/") && call.data.starts_with(b"one");
        if (when, call.verb, copies) == (When::Before, Verb::Write, true) {
            done.call_once(|| act(&at));
        }
        Ok(())
    };
    let journal = world.open_witnessed(&Arc::new(Hook(hook))).unwrap();
    let source = TreeSource::dir(source);
    let said = journal.install("build/t", source, TreeOptions::default());
    assert_eq!(world.exists("build/t"), said.is_ok());
    said.map(drop)
}

fn has_changed(said: &Result<(), Error>, path: &str) -> bool {
    matches!(said, Err(Error::Source(TreeError::Changed { entry })) if entry == path)
}

#[test]
fn g9_a_file_that_is_written_while_its_tree_is_copied_is_refused() {
    let said = install_while(|source| std::fs::write(source.join("sub/f1"), "longer").unwrap());
    assert!(has_changed(&said, "sub/f1"), "{said:?}");
    let said = install_while(|source| std::fs::write(source.join("sub/f1"), "").unwrap());
    assert!(has_changed(&said, "sub/f1"), "{said:?}");
}

/// Its size and mtime are unchanged, but its ctime is not.
#[test]
fn g9_a_file_that_is_written_and_dated_back_while_its_tree_is_copied_is_refused() {
    let said = install_while(|source| {
        let path = source.join("sub/f1");
        let mtime = path.metadata().unwrap().modified().unwrap();
        let file = File::options().write(true).open(path).unwrap();
        std::io::Write::write_all(&mut &file, b"two").unwrap();
        file.set_modified(mtime).unwrap();
    });
    assert!(has_changed(&said, "sub/f1"), "{said:?}");
}

#[test]
fn g9_a_directory_that_gets_or_loses_an_entry_while_it_is_copied_is_refused() {
    let said = install_while(|source| std::fs::write(source.join("sub/f3"), "new").unwrap());
    assert!(has_changed(&said, "sub"), "{said:?}");
    let said = install_while(|source| std::fs::write(source.join("new"), "new").unwrap());
    assert!(matches!(said, Err(Error::Source(_))), "{said:?}");
}

#[test]
fn an_unchanged_source_is_copied() {
    install_while(|_| {}).unwrap();
}

/// A file that grows as fast as it is read has no end.
#[test]
fn g15_a_file_that_grows_while_it_is_copied_is_refused_at_once() {
    const MANY: usize = 1 << 20;
    let world = World::new();
    let source = world.path("source");
    world.write("source/f", vec![7; MANY]);
    world.open().close().unwrap();
    let written = Arc::new(Mutex::new(0));
    let (at, count) = (source.join("f"), written.clone());
    let hook = move |when: When, call: &Call<'_>| {
        if when == When::Before && call.verb == Verb::Write && call.data.first() == Some(&7) {
            let mut count = count.lock().unwrap();
            *count += call.data.len();
            if *count < 16 * MANY {
                let mut file = File::options().append(true).open(&at)?;
                std::io::Write::write_all(&mut file, call.data)?;
            }
        }
        Ok(())
    };
    let journal = world.open_witnessed(&Arc::new(Hook(hook))).unwrap();
    let source = TreeSource::dir(source);
    let said = journal.install("build/t", source, TreeOptions::default());
    assert!(matches!(said, Err(Error::Source(_))), "{said:?}");
    let written = *written.lock().unwrap();
    assert!(written <= 2 * MANY, "{written} bytes were copied");
}
