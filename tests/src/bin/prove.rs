//! Runs the long suites that test the guarantees, and sums up what was tried.
//!
//! `cargo run -p tljournal-tests --bin prove`, optionally with the names of suites. The output of the suites goes to
//! `target/proof/`. Run as root, so that filesystems can be mounted.

#![allow(clippy::disallowed_methods, reason = "its output is informational")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tljournal_tests::COUNTED;

/// A module of a test program, with the environment for its full extent.
struct Suite {
    name: &'static str,
    package: &'static str,
    program: &'static str,
    module: &'static str,
    setting: Option<(&'static str, &'static str)>,
}

/// A suite of the package of integration tests.
const fn suite(
    name: &'static str,
    module: &'static str,
    setting: Option<(&'static str, &'static str)>,
) -> Suite {
    Suite {
        name,
        package: "tljournal-tests",
        program: "it",
        module,
        setting,
    }
}

/// A suite of power cuts.
const fn cuts(
    name: &'static str,
    module: &'static str,
    most: (&'static str, &'static str),
) -> Suite {
    Suite {
        program: "crash",
        ..suite(name, module, Some(most))
    }
}

const SUITES: [Suite; 17] = [
    cuts(
        "power cuts in memory",
        "power_cuts",
        ("TLJOURNAL_CRASH_STATES", "6000"),
    ),
    cuts(
        "power cuts in storms",
        "power_cuts_real",
        ("TLJOURNAL_CUT_ROUNDS", "16"),
    ),
    cuts(
        "power cuts at calls",
        "power_cuts_at_calls",
        ("TLJOURNAL_CUT_MOMENTS", "120"),
    ),
    suite("kills at calls", "kill_everywhere", None),
    Suite {
        name: "kills of the command",
        package: "tljournal-cli",
        program: "cli",
        module: "kill",
        setting: Some(("TLJOURNAL_KILL_EVERY", "1")),
    },
    suite("calls reached", "reach", None),
    suite("faults of calls", "fail_everywhere", None),
    suite("faults of syncs", "failed_sync", None),
    suite("full disks", "full_disk", None),
    suite("missing features", "weaker_promises", None),
    suite("overlay", "overlay", None),
    suite("storms", "storm", Some(("TLJOURNAL_STORM_SECONDS", "60"))),
    suite("namespaces", "namespaces", None),
    suite(
        "hostile input",
        "hostile",
        Some(("TLJOURNAL_HOSTILE_ROUNDS", "2000")),
    ),
    suite("hostile links", "hostile_links", None),
    suite("hostile sizes", "hostile_bounds", None),
    suite("model", "model", None),
];

/// Where the output of the suites is kept.
const OUTPUT: &str = "target/proof";

/// The result of a suite.
struct Done {
    name: &'static str,
    held: bool,
    /// Whether some of it could not be tried here.
    skipped: bool,
    took: Duration,
    counts: BTreeMap<String, u64>,
}

fn main() -> io::Result<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted =
        |suite: &&Suite| wanted.is_empty() || wanted.iter().any(|name| name == suite.module);
    let suites: Vec<_> = SUITES.iter().filter(is_wanted).collect();
    if suites.is_empty() {
        return Err(io::Error::other("no suite is called so"));
    }
    fs::create_dir_all(OUTPUT)?;
    let bar = ProgressBar::new(suites.len() as u64);
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {msg}");
    bar.set_style(style.map_err(io::Error::other)?);
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut all = Vec::new();
    for suite in suites {
        all.push(run(suite, &bar)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut out = io::stdout().lock();
    for done in &all {
        let verdict = match (done.held, done.skipped) {
            (false, _) => "BROKEN",
            (true, true) => "partly",
            (true, false) => "held",
        };
        let seconds = done.took.as_secs();
        writeln!(
            out,
            "{:<24} {verdict:<8} {seconds:>6} s   {}",
            done.name,
            told(&done.counts)
        )?;
    }
    let broken = all.iter().any(|done| !done.held);
    writeln!(
        out,
        "Their output is in {OUTPUT}; `partly` means that parts could not be tried here."
    )?;
    Ok(ExitCode::from(u8::from(broken)))
}

fn run(suite: &Suite, bar: &ProgressBar) -> io::Result<Done> {
    let begun = Instant::now();
    let path = format!("{OUTPUT}/{}.txt", suite.module);
    let mut kept = File::create(&path)?;
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "test",
        "--release",
        "-p",
        suite.package,
        "--test",
        suite.program,
    ]);
    command.args([&format!("{}::", suite.module), "--", "--nocapture"]);
    command.envs(suite.setting);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(kept.try_clone()?)
        .spawn()?;
    let mut counts = BTreeMap::new();
    bar.set_message(suite.name);
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|out| BufReader::new(out).lines())
    {
        let line = line?;
        writeln!(kept, "{line}")?;
        let counted = line.find(COUNTED).map(|at| &line[at + COUNTED.len()..]);
        let counted = counted.and_then(|counted| counted.split_once(' '));
        if let Some((Ok(count), what)) = counted.map(|(count, what)| (count.parse::<u64>(), what)) {
            *counts.entry(what.to_owned()).or_default() += count;
            bar.set_message(format!("{}: {}", suite.name, told(&counts)));
        }
    }
    let held = child.wait()?.success();
    let skipped = fs::read_to_string(&path)?.contains("skipped: ");
    Ok(Done {
        name: suite.name,
        held,
        skipped,
        took: begun.elapsed(),
        counts,
    })
}

fn told(counts: &BTreeMap<String, u64>) -> String {
    let told = counts
        .iter()
        .map(|(what, count)| format!("{} {what}", HumanCount(*count)));
    told.collect::<Vec<_>>().join(", ")
}
