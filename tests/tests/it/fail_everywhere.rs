//! Every mutating call of every kind of transaction fails once, and the disk is full from every call on. The result
//! is a clear error and the old state, or success; the next run works.

use std::sync::Arc;

use rustix::io::Errno;
use tljournal::Error;
use tljournal::disk::{Call, Verb, Witness};
use tljournal_testkit::{Fail, Short, World, check_agreement, check_at_rest, check_clean, explain};
use tljournal_tests::{Case, End, all_cases, at_every, case_named, counted};

/// A shared witness, which is checked afterwards.
#[derive(Debug)]
struct Shared(Arc<Fail>, Option<Short>);

impl Witness for Shared {
    fn before(&self, call: &Call<'_>) -> std::io::Result<()> {
        self.0.before(call)
    }

    fn write_bytes_max(&self) -> Option<usize> {
        self.1.and_then(|short| short.write_bytes_max())
    }
}

/// The result of the transaction, after the journal was closed or dropped.
fn run(world: &World, case: &Case, shared: Shared) -> Result<(), Error> {
    let journal = case.open(world, shared)?;
    case.run(&journal)
}

/// Fails one call; false if there is none with this number.
fn check(case: &Case, fail: Fail, story: &str) -> bool {
    check_short(case, fail, None, story)
}

/// The same with short writes.
fn check_short(case: &Case, fail: Fail, short: Option<Short>, story: &str) -> bool {
    let world = World::new();
    case.prepare(&world);
    let allowed = case.allowed(&world);
    let fail = Arc::new(fail);
    let said = run(&world, case, Shared(fail.clone(), short));
    let struck = fail.struck();
    if struck.is_empty() {
        said.unwrap();
        return false;
    }
    let story = format!("{story} ({struck:?})");
    if let Err(error) = &said {
        check_error(error, &struck, &story);
    }
    let unfinished = matches!(said, Err(Error::Unfinished { .. }));
    // After an error the old state is in place, before any recovery.
    if said.is_err() && !unfinished && world.exists("build") {
        let found = world.snapshot();
        let old = [allowed.first(), allowed.get(2)];
        let all: Vec<_> = old
            .iter()
            .flatten()
            .map(|one| found.differences(one))
            .collect();
        assert!(all.iter().any(Vec::is_empty), "G1, {story}: {all:?}");
    }
    let journal = case.reopen(&world);
    let found = world.snapshot();
    let all: Vec<_> = allowed.iter().map(|one| found.differences(one)).collect();
    assert!(all.iter().any(Vec::is_empty), "G1, {story}: {all:?}");
    if said.is_ok() || unfinished {
        let promised = all.last().unwrap();
        assert!(promised.is_empty(), "G2, {story}: {promised:?}");
    }
    if !case.is_meddled_with() {
        let wrong = check_agreement(&world, &journal, &case.steps);
        assert!(wrong.is_empty(), "G9, {story}: {wrong:?}");
    }
    journal.recover().unwrap();
    drop(journal);
    let mut wrong = check_at_rest(&world);
    // Entries that were recorded without birth times differ when there are some.
    if !case.is_meddled_with() && case.lack.is_none() {
        wrong.extend(check_clean(&world));
    }
    assert!(wrong.is_empty(), "{story}: {wrong:?}");
    case.steps.try_commit(&case.reopen(&world)).unwrap();
    true
}

/// The error names the operation, the path, and the system's error of a call that failed.
fn check_error(error: &Error, struck: &[(Verb, String)], story: &str) {
    let text = explain(error);
    let named = |(verb, path): &(Verb, String)| {
        text.contains(verb.phrase()) && text.contains(&path.escape_debug().to_string())
    };
    assert!(
        struck.iter().any(named),
        "G10, {story}: it names none of them: {text}"
    );
    assert!(
        text.contains("os error"),
        "G10, {story}: it gives no reason: {text}"
    );
}

fn fail_everywhere(name: &str, errno: Errno, cases: impl Iterator<Item = Case>) {
    for case in cases {
        let count = at_every(1.., |call| {
            let story = format!("{} with {name} at call {call}", case.name);
            check(&case, Fail::at(call, errno), &story)
        });
        println!("{}: {count} calls failed with {name}", case.name);
        counted(count, "calls that failed");
    }
}

/// Cases with interference by another program have tests of their own. Without exchange only replacements take other
/// steps.
fn plain_cases() -> impl Iterator<Item = Case> {
    let without = [
        "put-replace-without-exchange",
        "tree-replace-without-exchange",
        "several-without-exchange",
        "several-without-openat2",
        "several-without-birth-times",
    ];
    let without = without.map(case_named);
    let plain = all_cases()
        .into_iter()
        .filter(|case| case.end != End::Conflict);
    plain.chain(without)
}

#[test]
fn g1_g10_any_call_may_fail_with_an_io_error() {
    fail_everywhere("EIO", Errno::IO, plain_cases());
}

#[test]
fn g11_any_call_may_find_no_space() {
    fail_everywhere("ENOSPC", Errno::NOSPC, plain_cases());
}

/// The effect of an error rarely depends on its kind: cases with every kind of call are sufficient.
fn varied_cases() -> impl Iterator<Item = Case> {
    [
        "first-ever",
        "put-replace",
        "adopt",
        "remove-tree",
        "tree-new",
    ]
    .into_iter()
    .map(case_named)
}

#[test]
fn g1_g10_any_call_may_fail_for_any_reason() {
    for (name, errno) in [
        ("EDQUOT", Errno::DQUOT),
        ("EACCES", Errno::ACCESS),
        ("EROFS", Errno::ROFS),
        ("EMFILE", Errno::MFILE),
        ("EINTR", Errno::INTR),
    ] {
        fail_everywhere(name, errno, varied_cases());
    }
}

#[test]
fn g1_writes_may_end_early_and_the_disk_be_full_then() {
    for name in ["first-ever", "tree-new"] {
        let (case, never) = (case_named(name), Fail::at(u64::MAX, Errno::IO));
        let short = Some(Short::after(1000));
        assert!(!check_short(&case, never, short, name));
    }
    for name in ["put-replace", "several"] {
        let case = case_named(name);
        let count = at_every(1.., |call| {
            let story = format!("{name} with writes of 2 bytes, full from call {call} on");
            check_short(&case, Fail::full_from(call), Some(Short::after(2)), &story)
        });
        println!("{name}: writes ended early, and the disk was full from {count} calls on");
        counted(count, "calls that a full disk began at");
    }
}

#[test]
fn g11_the_disk_may_be_full_from_any_call_on() {
    for case in plain_cases() {
        let count = at_every(1.., |call| {
            let story = format!("{} with a full disk from call {call} on", case.name);
            check(&case, Fail::full_from(call), &story)
        });
        println!("{}: the disk was full from {count} calls on", case.name);
        counted(count, "calls that a full disk began at");
    }
}
