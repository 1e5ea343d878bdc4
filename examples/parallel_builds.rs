//! Runs many concurrent builds of one project and kills a third of them. The builds imitate twoliter.
//!
//! `cargo run --release -p twoliter-state --example parallel_builds [SECONDS]` creates a project in a temporary directory
//! and a second path to it, a link farm as Bazel creates one. Sixteen processes build it by both paths until the time is
//! over; one process after the other is killed and restarted. Each build runs twoliter's phases with real files and checks
//! its inputs when it uses them. Two more processes read the project continuously without the journal, and once per round
//! with the shared lock. A violated guarantee is printed and makes the example fail.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "an example that imitates twoliter and other programs"
)]

#[path = "parallel_builds/build.rs"]
mod build;
#[path = "parallel_builds/project.rs"]
mod project;
#[path = "parallel_builds/watch.rs"]
mod watch;

use std::error::Error;
use std::process::{Command, ExitCode};
use std::time::Duration;

use tljournal_testkit::{Random, Role, Storm};

use build::Build;
use project::Project;
use watch::Watcher;

/// How many builds run at once.
const BUILDS: usize = 16;

/// The lifetime of a process that is killed.
const LIFE: std::ops::Range<Duration> = Duration::from_millis(50)..Duration::from_millis(1500);

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["build", root, name, last] => Build::new(root, name, last.parse()?).work(),
        ["watch", root] => Watcher::new(root).work(),
        // The test runner passes other arguments, because the example is also run as a test.
        _ => storm(
            words
                .first()
                .and_then(|first| first.parse().ok())
                .unwrap_or(5),
        ),
    }
}

/// Starts all processes on one project and prints the result.
fn storm(seconds: u64) -> Fallible<ExitCode> {
    let project = Project::make()?;
    let own = std::env::current_exe()?;
    let seed = Random::fresh_seed();
    let builds = (0..BUILDS).map(|n| {
        let role = Role::new(format!("build-{n}"));
        if n % 3 == 0 { role.living(LIFE) } else { role }
    });
    let watchers = (0..2).map(|n| Role::new(format!("watch-{n}")));
    let roles = builds.chain(watchers).collect();
    let account = Storm::new(roles, Duration::from_secs(seconds), seed).run(
        |role, _, last| {
            let number = role.name.rsplit_once('-').map_or("0", |(_, number)| number);
            let root = project.path_of(number.parse().unwrap_or(0));
            let mut command = Command::new(&own);
            match role.kind() {
                "watch" => command.args(["watch", root.as_str()]),
                _ => command.args(["build", root.as_str(), &role.name, &last.to_string()]),
            };
            command
        },
        |_| {},
    )?;
    println!("{account}");
    let mut wrong = account.violations.clone();
    wrong.extend(project.check(&account.last)?);
    for wrong in &wrong {
        println!("violation: {wrong}");
    }
    if account.commits == 0 || account.reads == 0 || account.kills == 0 {
        wrong.push("nothing was built, killed or checked".to_owned());
    }
    if wrong.is_empty() {
        println!("all inputs of all builds were intact, and so is the final state");
        return Ok(ExitCode::SUCCESS);
    }
    println!("the project is in {}", project.keep());
    Ok(ExitCode::FAILURE)
}
