//! Project rules that can be checked by reading the sources.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

const LINES_MAX: usize = 450;

/// The programs of integration tests. Each links the engine and SQLite once more: tests are modules of one of these,
/// unless they act on their whole process.
const TEST_PROGRAMS: [&str; 5] = [
    "crates/tljournal-cli/tests/cli/main.rs",
    "crates/twoliter-state/tests/it/main.rs",
    "tests/tests/crash/main.rs",
    "tests/tests/forked.rs",
    "tests/tests/it/main.rs",
];

fn top() -> Utf8PathBuf {
    let top = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    top.to_owned()
}

/// All Rust sources below a directory, with their content.
fn sources(below: &str) -> Vec<(Utf8PathBuf, String)> {
    files(below, &["rs"])
}

/// All files below a directory with one of these extensions, with their content.
fn files(below: &str, extensions: &[&str]) -> Vec<(Utf8PathBuf, String)> {
    let (mut found, mut waiting) = (Vec::new(), vec![top().join(below)]);
    while let Some(dir) = waiting.pop() {
        for entry in dir.read_dir_utf8().unwrap().flatten() {
            let path = entry.path().to_owned();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|it| extensions.contains(&it)) {
                let content = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(top()).unwrap().to_owned(), content));
            }
        }
    }
    found.sort();
    found
}

/// The code of a source, without comments and tests.
fn code(content: &str) -> String {
    let end = content.find("#[cfg(test)]").unwrap_or(content.len());
    let lines = content[..end].lines();
    let code = lines.map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// The module of the engine that a source belongs to: a directory, or a single file.
fn room(path: &Utf8Path) -> String {
    let inside = path.strip_prefix("crates/tljournal/src").unwrap();
    let first = inside.components().next().unwrap();
    first.as_str().trim_end_matches(".rs").to_owned()
}

fn is_test(path: &Utf8Path) -> bool {
    path.components().any(|part| part.as_str() == "tests") || path.file_stem() == Some("tests")
}

/// The sources of the engine, except for some modules, that contain one of the words.
fn users_of(words: &[&str], but: &[&str]) -> Vec<String> {
    let engine = sources("crates/tljournal/src").into_iter();
    let elsewhere =
        engine.filter(|(path, _)| !is_test(path) && !but.contains(&room(path).as_str()));
    let uses = elsewhere.flat_map(|(path, content)| {
        let code = code(&content);
        let found = words.iter().filter(move |word| code.contains(**word));
        found
            .map(move |word| format!("{path}: {word}"))
            .collect::<Vec<_>>()
    });
    uses.collect()
}

#[test]
fn only_disk_touches_the_filesystem() {
    let calls = [
        "rustix::fs::open",
        "rustix::fs::rename",
        "rustix::fs::unlink",
        "rustix::fs::mkdir",
        "rustix::fs::fsync",
        "rustix::fs::syncfs",
        "rustix::fs::chmod",
        "rustix::fs::fchmod",
        "rustix::fs::utimens",
        "rustix::fs::futimens",
        "rustix::fs::symlink",
        "rustix::fs::link",
        "rustix::fs::ftruncate",
        "std::fs::write",
        "std::fs::rename",
        "std::fs::remove",
        "std::fs::create_dir",
        "std::fs::OpenOptions",
        "File::create",
        "File::open",
    ];
    // `ambient` only reads /proc.
    assert_eq!(users_of(&calls, &["disk"]), [""; 0]);
}

#[test]
fn only_the_catalog_speaks_sql() {
    let words = [
        "rusqlite", "SELECT ", "INSERT ", "UPDATE ", "DELETE ", "PRAGMA",
    ];
    assert_eq!(users_of(&words, &["catalog"]), [""; 0]);
}

#[test]
fn the_catalog_does_not_know_that_files_exist() {
    let catalog = sources("crates/tljournal/src/catalog").into_iter();
    let names = [
        "crate::disk::Dir",
        "crate::disk::Disk",
        "crate::home",
        "rustix::fs",
        "std::fs",
    ];
    let knows = catalog
        .filter(|(path, _)| !is_test(path))
        .filter(|(_, content)| {
            let code = code(content);
            names.iter().any(|name| code.contains(name))
        });
    let knows: Vec<_> = knows.map(|(path, _)| path).collect();
    assert_eq!(knows, [""; 0]);
}

#[test]
fn disk_knows_nothing_of_the_rooms_above_it() {
    let rooms = [
        "catalog", "home", "txn", "recovery", "apply", "engine", "journal", "tree", "pin",
    ];
    let disk = sources("crates/tljournal/src/disk").into_iter();
    let knows = disk.filter(|(_, content)| {
        let code = code(content);
        rooms
            .iter()
            .any(|room| code.contains(&format!("crate::{room}")))
    });
    let knows: Vec<_> = knows.map(|(path, _)| path).collect();
    assert_eq!(knows, [""; 0]);
}

/// A path made from a handle may lead elsewhere when it is opened: content of `.state` is read through handles. Only
/// paths that the caller gave are opened by path.
#[test]
fn content_of_the_journal_is_read_through_handles() {
    let by_path = ["TreeSource::dir(", "Payload::file(", "Payload::moved("];
    assert_eq!(users_of(&by_path, &[]), [""; 0]);
    let opening = ["open_source(", "open_source_at_once(", "TreeSource::at("];
    // `txn` and `tree` open payloads and sources, and a repair the source that the caller named.
    assert_eq!(
        users_of(&opening, &["disk", "txn", "tree", "fsck"]),
        [""; 0]
    );
}

#[test]
fn time_and_chance_enter_through_one_place() {
    let words = [
        "SystemTime::now",
        "Uuid::now",
        "Uuid::new_v4",
        "getrandom",
        "thread::sleep",
    ];
    assert_eq!(users_of(&words, &["ambient"]), [""; 0]);
}

/// A blocking call elsewhere could be neither announced, limited nor cancelled.
#[test]
fn every_wait_for_a_kernel_lock_is_in_one_file() {
    let words = [
        "F_OFD_SETLKW",
        "F_SETLKW",
        "FlockOperation::LockShared",
        "FlockOperation::LockExclusive",
    ];
    let waits = "crates/tljournal/src/lock/wait.rs";
    let mut found = users_of(&words, &[]);
    found.retain(|user| !user.starts_with(waits));
    assert_eq!(found, [""; 0]);
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let long = |(path, content): (Utf8PathBuf, String)| {
        let lines = content.lines().count();
        (lines > LINES_MAX).then(|| format!("{path} has {lines} lines"))
    };
    let all = sources("crates").into_iter().chain(sources("tests"));
    let long: Vec<_> = all.filter_map(long).collect();
    assert_eq!(long, [""; 0]);
}

/// A source without a `mod` declaration is not compiled, and its tests do not run.
#[test]
fn no_source_is_forgotten() {
    let all = sources("crates").into_iter().chain(sources("tests"));
    let all: BTreeMap<_, _> = all.collect();
    let is_program = |path: &Utf8Path| {
        let in_src = path.components().any(|part| part.as_str() == "src");
        let is_root = in_src && matches!(path.file_name(), Some("lib.rs" | "main.rs"));
        let below = |dir| path.parent().is_some_and(|parent| parent.ends_with(dir));
        is_root || below("src/bin") || below("examples") || TEST_PROGRAMS.contains(&path.as_str())
    };
    let is_declared = |path: &Utf8Path| {
        let (dir, name) = (path.parent().unwrap(), path.file_stem().unwrap());
        let (dir, name) = match name {
            "mod" => (dir.parent().unwrap(), dir.file_name().unwrap()),
            name => (dir, name),
        };
        let names = ["lib.rs", "main.rs", "mod.rs"].map(|name| dir.join(name));
        let above = names.into_iter().chain([dir.with_extension("rs")]);
        let declaration = format!("mod {name};");
        let mut above = above.filter_map(|above| all.get(&above));
        above.any(|content| content.lines().any(|line| line.ends_with(&declaration)))
    };
    let forgotten = all.keys();
    let forgotten: Vec<_> = forgotten
        .filter(|path| !is_program(path) && !is_declared(path))
        .collect();
    assert_eq!(forgotten, [""; 0]);
}

#[test]
fn every_room_is_on_the_map() {
    let map = std::fs::read_to_string(top().join("ARCHITECTURE.md")).unwrap();
    let rooms = sources("crates/tljournal/src").into_iter();
    let directories = rooms.filter(|(path, _)| path.components().count() > 4);
    let mut rooms: Vec<_> = directories.map(|(path, _)| room(&path)).collect();
    rooms.dedup();
    rooms.retain(|room| !map.contains(&format!("**`{room}`**")));
    assert_eq!(rooms, [""; 0], "modules that ARCHITECTURE.md does not name");
}

#[test]
fn every_guarantee_is_named_by_a_test() {
    let all = sources("crates").into_iter().chain(sources("tests"));
    let mut names = Vec::new();
    for (_, content) in all {
        for line in content.lines().map(str::trim) {
            let macro_case = line.starts_with('g') && line.contains(": \"");
            if line.starts_with("fn g") || macro_case {
                names.push(line.trim_start_matches("fn ").to_owned());
            }
        }
    }
    // G14 (copies) has none yet.
    for number in (1..=13).chain([15]) {
        let (begins, within) = (format!("g{number}_"), format!("_g{number}_"));
        let named = |name: &String| name.starts_with(&begins) || name.contains(&within);
        assert!(names.iter().any(named), "no test is named after G{number}");
    }
}

#[test]
fn no_test_is_ignored_and_none_sleeps() {
    let (ignored, sleeps) = (concat!("#[ig", "nore"), concat!("thread::sl", "eep("));
    let all = sources("tests").into_iter().chain(sources("crates"));
    let bad = all.filter(|(path, content)| {
        let in_tests = is_test(path) || path.starts_with("tests");
        content.contains(ignored) || in_tests && content.contains(sleeps)
    });
    let bad: Vec<_> = bad.map(|(path, _)| path).collect();
    assert_eq!(bad, [""; 0]);
}

/// A sentence names the process, the run, the transaction or the caller.
#[test]
fn the_subject_of_a_sentence_is_named() {
    let vague = [
        concat!("who", "ever"),
        concat!("some", "body"),
        concat!("no", "body"),
        concat!("goes a", "side"),
        concat!("is to", "ld"),
    ];
    let extensions = ["rs", "md", "html", "sql", "toml"];
    let directories = [
        "crates",
        "tests",
        "benches",
        "examples",
        "fuzz/fuzz_targets",
        "docs",
    ];
    let below = directories.map(|dir| files(dir, &extensions));
    let pages = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "clippy.toml",
    ];
    let pages = pages.map(|name| {
        let content = std::fs::read_to_string(top().join(name)).unwrap();
        (Utf8PathBuf::from(name), content)
    });
    let mut found = Vec::new();
    for (path, content) in below.into_iter().flatten().chain(pages) {
        // A comment may be wrapped within an expression.
        let words = content.split(|letter: char| !letter.is_alphanumeric());
        let text = words.filter(|word| !word.is_empty());
        let text = text.collect::<Vec<_>>().join(" ").to_lowercase();
        let text = format!(" {text} ");
        for expression in vague {
            let count = text.matches(&format!(" {expression} ")).count();
            found.extend(vec![format!("{path}: {expression}"); count]);
        }
    }
    assert_eq!(found, [""; 0]);
}
