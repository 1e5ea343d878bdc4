//! Kills the command before and after every visible system call, for every kind of transaction and in the recovery
//! after it, including SQLite's writes and all locks. The next process must find everything right without help.
//!
//! All moments together take minutes, so each run tries a share of them: `TLJOURNAL_KILL_EVERY=1` tries all, and
//! `TLJOURNAL_KILL_SEED` repeats a share.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};
use tljournal::{Durability, Timestamp};
use tljournal_testkit::{
    Moment, Random, Snapshot, Step, Traced, TreeSpec, What, When, World, kill_at_call,
};
use tljournal_tests::{
    Case, End, at_every, case_named, counted, kit_layout, quiet, start, state_of,
};

/// One in this many moments is tried.
const EVERY: &str = "TLJOURNAL_KILL_EVERY";

/// Repeats a share of the moments.
const SEED: &str = "TLJOURNAL_KILL_SEED";

/// The default of the share.
const EVERY_DEFAULT: u64 = 32;

/// The moments that a run tries.
#[derive(Debug, Clone, Copy)]
struct Share {
    every: u64,
    seed: u64,
}

impl Share {
    fn of_this_run() -> Self {
        let number = |name| std::env::var(name).ok()?.parse().ok();
        let every = number(EVERY).unwrap_or(EVERY_DEFAULT).max(1);
        let seed = number(SEED).unwrap_or_else(Random::fresh_seed);
        println!("{EVERY}={every} {SEED}={seed}");
        Self { every, seed }
    }

    fn moments(self, sides: &[When]) -> impl Iterator<Item = Moment> {
        let all = Moment::all().filter(|moment| sides.contains(&moment.when));
        let first = self.seed % self.every;
        all.skip(first as usize).step_by(self.every as usize)
    }
}

/// A transaction as a command line.
struct Typed {
    case: Case,
    args: Vec<String>,
}

impl Typed {
    /// Prepares a new world for the command.
    fn prepare(case: &Case) -> (World, Self) {
        let _quiet = quiet();
        let world = World::new();
        case.prepare(&world);
        // A home is enough: the command creates a journal in it.
        world.make_dir("build");
        let steps = &case.steps.steps;
        let args = match &steps[..] {
            _ if case.act.is_some() => {
                build(&world);
                in_twoliters_words(case.name, &world)
            }
            [] => vec!["init".to_owned()],
            [step] => words(&world, step),
            steps => {
                let changes = steps.iter().enumerate();
                let changes: Vec<_> = changes
                    .map(|(n, step)| described(&world, step, n))
                    .collect();
                let file = world.outside().join("description");
                std::fs::write(&file, json!({ "changes": changes }).to_string()).unwrap();
                vec!["apply".to_owned(), file.into()]
            }
        };
        let case = case.clone();
        (world, Self { case, args })
    }
}

/// Creates the files to publish, next to the project.
fn build(world: &World) {
    let out = world.outside().join("out");
    std::fs::create_dir_all(&out).unwrap();
    for name in ["a-1.rpm", "both.rpm"] {
        std::fs::write(out.join(name), "new").unwrap();
    }
}

/// The commands for twoliter's state.
fn in_twoliters_words(name: &str, world: &World) -> Vec<String> {
    let out = world.outside().join("out");
    let tags = "build/external-kits";
    let digest = tljournal::Digest::of(b"lock file").to_string();
    let write = ["tag", "write", tags, "--digest", &digest, "--sdk", "sdk"];
    let publish = "artifacts publish --arch x86_64 --kind package --name a --output build/rpms \
                   --shared-output --from";
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    match name {
        "tags-new" | "tags-replace" => [&words(&write.join(" "))[..], &words("--kit kit")].concat(),
        "tags-less" => words(&write.join(" ")),
        "tags-clear" => words(&format!("tag clear {tags}")),
        "artifacts-publish" => [words(publish), vec![out.into()]].concat(),
        "kit-new" | "kit-poisoned" => {
            let layout = kit_layout();
            let unpack = ["kit", "unpack", layout.as_str(), "build/external-kits/kit"];
            unpack.map(str::to_owned).to_vec()
        }
        "undo" => words("undo 3"),
        "restore" => words("restore build/tools --at 2"),
        "gc" => words("gc --keep-count 0"),
        "artifacts-clean" => words("artifacts clean build/tools build/dir --on-pinned fail"),
        other => panic!("{other} is no command"),
    }
}

fn time(mtime: Timestamp) -> String {
    format!("@{mtime}")
}

/// Writes a tree next to the project, as the source of the command.
fn source(world: &World, tree: &TreeSpec, n: usize) -> String {
    let path = world.outside().join(format!("source-{n}"));
    tree.write_to(&path);
    path.into()
}

/// A command for one change.
fn words(world: &World, step: &Step) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    match step {
        Step::Put {
            path,
            content,
            mode,
            mtime,
            ..
        } => {
            let from = world.outside().join("payload");
            std::fs::write(&from, content).unwrap();
            let (mode, mtime) = (format!("{mode:o}"), time(*mtime));
            let from = from.as_str();
            words(&[
                "put", path, "--from", from, "--mode", &mode, "--mtime", &mtime,
            ])
        }
        Step::Link { path, target, .. } => words(&["link", target, path]),
        Step::Remove { path, .. } => words(&["rm", path]),
        Step::Tree {
            path,
            tree,
            durability,
            ..
        } => {
            let mut args: Vec<String> = words(&["tree", "install", path, "--from"]);
            args.push(source(world, tree, 0));
            if *durability == Durability::Rebuildable {
                args.push("--rebuildable".to_owned());
            }
            args
        }
    }
}

/// One of several changes in a description.
fn described(world: &World, step: &Step, n: usize) -> Value {
    match step {
        Step::Put {
            path,
            content,
            mode,
            mtime,
            ..
        } => {
            let content = std::str::from_utf8(content).unwrap();
            let mode = format!("{mode:04o}");
            json!({ "put": path, "content": content, "mode": mode, "mtime": time(*mtime) })
        }
        Step::Link { path, target, .. } => json!({ "link": path, "target": target }),
        Step::Remove { path, .. } => json!({ "remove": path }),
        Step::Tree { path, tree, .. } => json!({ "tree": path, "from": source(world, tree, n) }),
    }
}

fn command(world: &World, args: &[impl AsRef<str>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tljournal"));
    command.args(["--root", world.root().as_str()]);
    command.args(args.iter().map(AsRef::as_ref));
    command
}

/// Runs the command without killing it.
fn plain(world: &World, args: &[impl AsRef<str>]) -> Output {
    let mut command = command(world, args);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    start(&mut command).wait_with_output().unwrap()
}

/// Runs the command and kills it; `None` if it ended before.
fn killed(world: &World, args: &[impl AsRef<str>], moment: Moment) -> Option<Traced> {
    let command = command(world, args);
    let traced = kill_at_call(&command, moment, |command| Ok(start(command))).unwrap();
    match (traced.call, traced.code) {
        (Some(_), None) => Some(traced),
        (None, Some(0)) => None,
        _ => panic!("at {moment}: {traced:?}"),
    }
}

/// The entries at and below a path. The mode of a directory that its owner may not write is compared only at rest:
/// the kernel moves such a directory only while it is writable.
fn cut(snapshot: &Snapshot, path: &str) -> Snapshot {
    let below = snapshot.below(path);
    let Some(mut seen) = snapshot.get(path).cloned() else {
        return below;
    };
    if seen.what == What::Dir && seen.mode.is_some_and(|mode| mode & 0o200 == 0) {
        seen.mode = None;
    }
    below.with(".", seen)
}

fn is_one_of(found: &Snapshot, allowed: &[Snapshot]) -> Result<(), String> {
    let all: Vec<_> = allowed.iter().map(|one| found.differences(one)).collect();
    match all.iter().any(Vec::is_empty) {
        true => Ok(()),
        false => Err(format!("it is none of what it may be: {all:#?}")),
    }
}

/// Checks every guarantee after a kill, and that the command works afterwards.
fn check(world: &World, typed: &Typed, allowed: &[Snapshot], promised: bool, story: &str) {
    let works = |args: &[String]| {
        let ran = plain(world, args);
        assert!(ran.status.success(), "{story}: {args:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let works_as = |args: &[&str]| works(&args.iter().map(|&arg| arg.into()).collect::<Vec<_>>());
    // Before recovery each path has its old or new state.
    let found = world.snapshot();
    for path in typed.case.steps.paths() {
        let each: Vec<_> = allowed.iter().map(|one| cut(one, path)).collect();
        let whole = is_one_of(&cut(&found, path), &each);
        assert_eq!(whole, Ok(()), "G3, {story}: {path}");
    }
    works_as(&["recover"]);
    let found = world.snapshot();
    assert_eq!(is_one_of(&found, allowed), Ok(()), "G1, {story}");
    if promised {
        let new = &allowed[allowed.len() - 1..];
        assert_eq!(is_one_of(&found, new), Ok(()), "G2, {story}");
    }
    let again = works_as(&["recover"]);
    assert_eq!(again, "nothing to recover\n", "{story}");
    found.assert_matches(&world.snapshot());
    let left = world.left_in_staging();
    assert!(left.is_empty(), "{story}: left over in staging: {left:?}");
    if typed.case.act.is_some() {
        build(world);
    }
    works(&typed.args);
    let new = &allowed[allowed.len() - 1..];
    assert_eq!(is_one_of(&world.snapshot(), new), Ok(()), "{story}");
    for step in &typed.case.steps.steps {
        if matches!(step, Step::Tree { .. }) {
            works_as(&["tree", "verify", "--full", step.path()]);
        }
    }
}

/// Reports that nothing can be tried where processes cannot be traced.
fn can_trace() -> bool {
    let first = Moment {
        when: When::Before,
        call: 1,
    };
    match kill_at_call(&Command::new("true"), first, |command| Ok(start(command))) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            println!("skipped: processes cannot be traced here: {error}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn kill_everywhere(case: &Case) {
    if !can_trace() {
        return;
    }
    let share = Share::of_this_run();
    let (states, calls) = (Mutex::new(BTreeMap::new()), Mutex::new(BTreeMap::new()));
    let moments = share.moments(&[When::Before, When::After]);
    let kills = at_every(moments, |moment| {
        let (world, typed) = Typed::prepare(case);
        let allowed = case.allowed(&world);
        let Some(traced) = killed(&world, &typed.args, moment) else {
            return false;
        };
        let call = traced.call.unwrap_or_default();
        *calls.lock().unwrap().entry(call).or_insert(0) += 1;
        let state = {
            let _quiet = quiet();
            state_of(&world)
        };
        states.lock().unwrap().entry(state).or_insert(moment);
        let story = format!("{} killed at {moment} ({call})", case.name);
        check(&world, &typed, &allowed, !traced.out.is_empty(), &story);
        true
    });
    // Recovery is killed once for each state that it can find.
    let states = states.into_inner().unwrap();
    let again: usize = states
        .values()
        .map(|first| kill_recovery(case, *first, share))
        .sum();
    let calls = calls.into_inner().unwrap();
    counted(kills, "kills");
    counted(again, "kills in recoveries");
    println!(
        "{}: {kills} kills, {again} more in recoveries: {calls:?}",
        case.name
    );
    assert!(kills > 0, "{} makes no call that others can see", case.name);
}

fn kill_recovery(case: &Case, first: Moment, share: Share) -> usize {
    // The moment after a call equals that before the next one: here one side is enough.
    at_every(share.moments(&[When::Before]), |moment| {
        let (world, typed) = Typed::prepare(case);
        let allowed = case.allowed(&world);
        let Some(traced) = killed(&world, &typed.args, first) else {
            // Threads sync concurrently: a moment between two of them may not occur again.
            return false;
        };
        let Some(again) = killed(&world, &["recover"], moment) else {
            return false;
        };
        let story = format!(
            "{} killed at {first} ({:?}), its recovery at {moment} ({:?})",
            case.name, traced.call, again.call
        );
        check(&world, &typed, &allowed, !traced.out.is_empty(), &story);
        true
    })
}

macro_rules! cases {
    ($($test:ident: $case:literal,)*) => {$(
        #[test]
        fn $test() {
            kill_everywhere(&case_named($case));
        }
    )*

        /// Cases without a change are excluded, as well as `populate`, whose trees come from another command, and
        /// repairs, whose command exits like fsck(8): `kill_everywhere` kills them in the engine.
        #[test]
        fn no_case_is_forgotten() {
            let tested = [$($case),*];
            let all = tljournal_tests::all_cases().into_iter();
            let missing = all
                .filter(|case| case.end == End::Commit && !tested.contains(&case.name))
                .map(|case| case.name);
            let missing: Vec<_> = missing.collect();
            let repairs = ["repair-tree", "repair-file", "repair-stray"];
            let unchanged = ["put-unchanged", "remove-nothing", "tree-unchanged"];
            assert_eq!(missing, [&unchanged[..], &["populate"], &repairs].concat());
        }
    };
}

cases! {
    g1_the_first_transaction_ever: "first-ever",
    g1_a_new_file: "put-new",
    g1_a_replaced_file: "put-replace",
    g1_files_in_new_directories: "put-in-new-parents",
    g1_a_file_beside_the_home: "put-beside-home",
    g1_a_file_that_is_adopted: "adopt",
    g1_a_removed_file: "remove-file",
    g1_a_removed_link: "remove-link",
    g1_a_removed_tree: "remove-tree",
    g1_a_new_link: "link-new",
    g1_a_flipped_link: "link-flip",
    g1_a_new_tree: "tree-new",
    g1_a_replaced_tree: "tree-replace",
    g1_a_tree_of_another_shape: "tree-reshape",
    g1_a_repaired_tree: "tree-repair",
    g1_a_new_rebuildable_tree: "rebuildable-new",
    g1_a_replaced_rebuildable_tree: "rebuildable-replace",
    g1_several_changes_at_once: "several",
    g1_new_tags: "tags-new",
    g1_replaced_tags: "tags-replace",
    g1_tags_of_a_lower_level: "tags-less",
    g1_cleared_tags: "tags-clear",
    g1_published_artifacts: "artifacts-publish",
    g1_cleaned_artifacts: "artifacts-clean",
    g1_an_undone_transaction: "undo",
    g1_a_restored_tree: "restore",
    g11_deleted_kept_content: "gc",
    g1_a_new_kit: "kit-new",
    g1_a_kit_over_half_of_one: "kit-poisoned",
}

#[test]
fn g1_the_journal_itself() {
    let mut init = case_named("first-ever");
    (init.name, init.steps) = ("init", tljournal_testkit::Steps::new("init"));
    kill_everywhere(&init);
}
