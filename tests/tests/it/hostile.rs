//! Hostile input (G8, G9): the bodies of the fuzzers, with stored inputs and with bytes derived from a seed.
//! `TLJOURNAL_HOSTILE_SEED` sets the seed, `TLJOURNAL_HOSTILE_ROUNDS` the number of inputs.

use camino::{Utf8Path, Utf8PathBuf};
use tljournal_testkit::Random;
use tljournal_tests::hostile::TARGETS;
use tljournal_tests::{counted, number};

/// Prints how to replay a failure.
struct OnPanic(String);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("it was {}", self.0);
        }
    }
}

/// The stored inputs of a target: seeds of the fuzzer, and its findings.
fn kept(target: &str) -> Vec<(Utf8PathBuf, Vec<u8>)> {
    let here = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    let dirs = [here.join("../fuzz/corpus"), here.join("hostile")];
    let mut found = Vec::new();
    for dir in dirs.map(|dir| dir.join(target)) {
        let Ok(entries) = dir.read_dir_utf8() else {
            continue;
        };
        for entry in entries.flatten() {
            let content = std::fs::read(entry.path()).unwrap();
            found.push((entry.path().to_owned(), content));
        }
    }
    found.sort();
    found
}

/// Runs a target on the stored inputs, and on this many derived ones.
fn run(target: &str, rounds: u64) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let kept = kept(target);
    assert!(!kept.is_empty(), "there are no seeds for {target}");
    for (path, content) in &kept {
        let _tell = OnPanic(path.to_string());
        body(content);
    }
    let mut done = kept.len();
    let seed = number("TLJOURNAL_HOSTILE_SEED").unwrap_or(1);
    for round in 0..number("TLJOURNAL_HOSTILE_ROUNDS").unwrap_or(rounds) {
        let _tell = OnPanic(format!(
            "{target}: TLJOURNAL_HOSTILE_SEED={seed}, round {round}"
        ));
        let mut random = Random::new(seed.wrapping_mul(1 << 32).wrapping_add(round));
        body(&make(&mut random, &kept));
        done += 1;
    }
    counted(done, "hostile inputs");
}

/// Random bytes, or a stored input with a few bytes changed, moved or removed.
fn make(random: &mut Random, kept: &[(Utf8PathBuf, Vec<u8>)]) -> Vec<u8> {
    if random.chance(1, 4) {
        let len = random.below(600);
        return (0..len).map(|_| random.next() as u8).collect();
    }
    let mut bytes = random.pick(kept).unwrap().1.clone();
    for _ in 0..=random.below(6) {
        let len = bytes.len() as u64;
        let at = random.below(len + 1) as usize;
        let count = (random.below(24) as usize).min(bytes.len() - at);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..at + count)),
            2 => bytes[at..at + count].reverse(),
            3 => bytes.extend_from_within(at..at + count),
            4 => bytes.insert(at, random.next() as u8),
            _ if at < bytes.len() => bytes[at] = random.next() as u8,
            _ => {}
        }
    }
    bytes
}

#[test]
fn g8_archives_touch_nothing_but_their_tree() {
    run("archive", 150);
}

#[test]
fn descriptions_are_refused_or_well_formed() {
    run("describe", 3000);
}

#[test]
fn manifests_have_one_encoding() {
    run("manifest", 3000);
}

#[test]
fn g9_a_damaged_database_loses_no_file() {
    run("database", 40);
}

#[test]
fn g8_rows_lead_nowhere_outside() {
    run("rows", 80);
}
