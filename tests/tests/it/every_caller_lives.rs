//! The library never hangs, deadlocks or panics because of its caller (G15): threads that cannot be started, and
//! callbacks that panic.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use tljournal::workers::without_threads;
use tljournal::{
    Error, Expect, FsckDepth, FsckOptions, Journal, Layer, LockMode, Payload, PopulateOptions,
    RunFilter, SourceEntry, Timestamp, TreeOptions, TreeSource,
};
use tljournal_testkit::{World, check_at_rest};
use tljournal_tests::{tools, within};

/// Some files, two of them larger than one piece of content.
fn entries() -> TreeSource {
    let sizes = [0, 1, 300 << 10, 1 << 20];
    let entry = |(n, size): (usize, u64)| {
        let content = io::repeat(n as u8).take(size);
        SourceEntry::file(format!("dir/{n}"), 0o644, Timestamp::new(7, 0), content)
    };
    TreeSource::entries(sizes.into_iter().enumerate().map(entry).map(Ok))
}

fn install(journal: &Journal, path: &str, source: TreeSource) -> Result<bool, Error> {
    let installed = journal.install(path, source, TreeOptions::default())?;
    Ok(installed.changed)
}

/// Every kind of operation, as a list of results.
fn all_work(world: &World) -> Vec<String> {
    let mut done = Vec::new();
    let journal = world.open();
    let mut txn = journal.begin("many");
    for n in 0..40 {
        let path = format!("build/many/{n}");
        txn.put(path.as_str(), Payload::from(path.clone()), Expect::Any)
            .unwrap();
    }
    let receipt = txn.prepare().unwrap().commit().unwrap();
    done.push(format!("many: {}", receipt.changed_anything()));
    let spec = world.outside().join("spec");
    tools().write_to(&spec);
    let tar = world.outside().join("layer.tar");
    let packed = std::process::Command::new("tar")
        .args(["-C", spec.as_str(), "-czf", tar.as_str(), "."])
        .status();
    assert!(packed.unwrap().success());
    let layers = || {
        let layers = [tar.clone(), tar.clone()].map(Layer::new);
        TreeSource::layers(layers, Vec::new())
    };
    let sources = [
        ("dir", TreeSource::dir(spec.clone())),
        ("archive", TreeSource::archive(tar.clone())),
        ("entries", entries()),
        ("layers", layers()),
    ];
    for (name, source) in sources {
        let changed = install(&journal, &format!("build/{name}"), source);
        done.push(format!("{name}: {}", changed.unwrap()));
    }
    let fill = |stage: &camino::Utf8Path| std::fs::write(stage.join("f"), "filled");
    let source = TreeSource::filled(fill);
    let populated = journal.populate("build/filled", "key", source, PopulateOptions::default());
    done.push(format!("populate: {}", populated.unwrap().changed));
    done.push(format!(
        "again: {}",
        install(&journal, "build/layers", layers()).unwrap()
    ));
    let full = journal.verify("build/dir", true).unwrap();
    done.push(format!("verify: {}", full.len()));
    journal.close().unwrap();
    std::fs::write(world.path("build/entries/dir/1"), "other").unwrap();
    let (options, mut found) = (full_check(), Vec::new());
    let report = world.open().fsck(&options, &mut |finding| {
        found.push(format!("fsck: {} {}", finding.code, finding.path));
        ControlFlow::Continue(())
    });
    done.push(format!("fsck: {} errors", report.unwrap().errors));
    found.sort();
    done.extend(found);
    done
}

fn full_check() -> FsckOptions {
    FsckOptions {
        depth: FsckDepth::Full,
        ..FsckOptions::default()
    }
}

/// Installing a tree waited for writers that had never started, and fsck compared nothing.
#[test]
fn g15_everything_works_without_threads() {
    let with = within("work with threads", || all_work(&World::new()));
    let without = within("work without threads", || {
        without_threads(|| {
            let world = World::new();
            let done = all_work(&world);
            drop(world.open());
            done
        })
    });
    assert_eq!(without, with);
    assert!(
        with.iter().any(|line| line.contains("build/entries/dir/1")),
        "{with:?}"
    );
}

/// A lock wait and its limit work without a blocking thread.
#[test]
fn g15_lock_waits_work_without_threads() {
    let world = Arc::new(World::new());
    let journal = world.open();
    let held = journal
        .lock("a", LockMode::Exclusive, "hold it", None)
        .unwrap();
    let (tell, told) = channel();
    let waiting = {
        let world = world.clone();
        move || {
            without_threads(|| {
                let journal = world.open();
                let soon = Some(Duration::from_millis(30));
                let refused = journal.lock("a", LockMode::Exclusive, "too soon", soon);
                assert!(matches!(refused, Err(Error::Lock(_))), "{refused:?}");
                tell.send(()).unwrap();
                drop(
                    journal
                        .lock("a", LockMode::Exclusive, "have it", None)
                        .unwrap(),
                );
            });
        }
    };
    let waiter = std::thread::spawn(move || within("a lock without threads", waiting));
    told.recv().unwrap();
    drop(held);
    waiter.join().unwrap();
}

/// Panics after some reads.
struct Panicking(u32);

impl Read for Panicking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            std::panic::panic_any("of the caller");
        }
        self.0 -= 1;
        buffer.fill(7);
        Ok(buffer.len())
    }
}

fn panics() -> ! {
    std::panic::panic_any("of the caller")
}

type Act = fn(&Journal);

/// The callbacks, each with one that panics.
const CALLBACKS: [(&str, Act); 7] = [
    ("the reader of a payload", |journal| {
        let mut txn = journal.begin("read");
        txn.put("build/other", "staged before it", Expect::Any)
            .unwrap();
        let payload = Payload::reader(io::repeat(1).take(2 << 20).chain(Panicking(3))).unwrap();
        let _ = txn.put("build/file", payload, Expect::Any);
    }),
    ("the content of an entry", |journal| {
        let reader = Panicking(9);
        let entry = SourceEntry::file("f", 0o644, Timestamp::new(7, 0), reader);
        let _ = install(journal, "build/tree", TreeSource::entries([Ok(entry)]));
    }),
    ("progress of a tree", |journal| {
        let options = TreeOptions {
            progress: Some(Arc::new(|_| panics())),
            ..TreeOptions::default()
        };
        let _ = journal.install("build/tree", entries(), options);
    }),
    ("what fills a tree", |journal| {
        let source = TreeSource::filled(|_| -> io::Result<()> { panics() });
        let _ = journal.populate("build/tree", "k", source, PopulateOptions::default());
    }),
    ("what accepts a tree", |journal| {
        let options = PopulateOptions {
            accept: Some(Arc::new(|_| panics())),
            ..PopulateOptions::default()
        };
        std::fs::create_dir(journal.root().join("build/there")).unwrap();
        let source = TreeSource::filled(|_| io::Result::Ok(()));
        let _ = journal.populate("build/there", "k", source, options);
    }),
    ("who hears of findings", |journal| {
        std::fs::write(journal.root().join("build/stands"), "edited").unwrap();
        let _ = journal.fsck(&full_check(), &mut |_| panics());
    }),
    ("the caller, who holds things", |journal| {
        let _lock = journal.lock("a", LockMode::Exclusive, "x", None).unwrap();
        let _moment = journal.read().unwrap();
        panics()
    }),
];

/// A panic of a progress callback left the caller waiting for a writer forever, and another panic was propagated.
#[test]
fn g15_a_panic_of_a_callback_rolls_back_and_is_propagated() {
    for without in [false, true] {
        for (name, act) in CALLBACKS {
            let what = format!("{name}, without threads: {without}");
            within(&what.clone(), move || {
                let world = World::new();
                let journal = world.open();
                let mut txn = journal.begin("stands");
                txn.put("build/stands", "one", Expect::Any).unwrap();
                let _ = txn.prepare().unwrap().commit().unwrap();
                let panic = catch_unwind(AssertUnwindSafe(|| match without {
                    true => without_threads(|| act(&journal)),
                    false => act(&journal),
                }));
                let panic = panic.expect_err(&what);
                assert_eq!(panic.downcast_ref(), Some(&"of the caller"), "{what}");
                assert!(
                    !world.exists("build/file") && !world.exists("build/tree"),
                    "{what}"
                );
                assert_eq!(world.left_in_staging(), [""; 0], "{what}");
                // The handle works, and no lock is left for others either.
                for journal in [&journal, &world.open()] {
                    let mut txn = journal.begin("after");
                    txn.put("build/stands", "one", Expect::Any).unwrap();
                    txn.put("build/after", what.as_str(), Expect::Any).unwrap();
                    let _ = txn.prepare().unwrap().commit().unwrap();
                    drop(journal.lock("a", LockMode::Exclusive, "x", None).unwrap());
                    let source = TreeSource::filled(|_| io::Result::Ok(()));
                    let options = PopulateOptions::default();
                    drop(
                        journal
                            .populate("build/tree", "k", source, options)
                            .unwrap(),
                    );
                }
                journal.close().unwrap();
                assert_eq!(check_at_rest(&world), [""; 0], "{what}");
            });
        }
    }
}

#[test]
fn g15_a_run_that_ends_with_a_panic_has_failed() {
    let world = World::new();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let journal = world.open();
        let mut txn = journal.begin("one");
        txn.put("build/file", "one", Expect::Any).unwrap();
        let _ = txn.prepare().unwrap().commit().unwrap();
        panics();
    }));
    assert!(panic.is_err());
    let runs = world.open().history().runs(&RunFilter::default()).unwrap();
    let outcomes: Vec<_> = runs.into_iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [Some("panicked".to_owned())]);
}
