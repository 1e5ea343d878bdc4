use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;

use camino::Utf8PathBuf;
use tljournal_testkit::{Tell, tell};
use twoliter_state::State;

use crate::Fallible;
use crate::project::{LOCK, number_of};

/// A program that reads the project by path, without the journal.
pub struct Watcher {
    root: Utf8PathBuf,
    /// Paths that have existed and must not disappear.
    seen: BTreeSet<&'static str>,
}

/// Whether the content of a file is complete.
type IsWhole = fn(&str) -> bool;

/// Files that must be complete whenever they exist, and their checks.
const WHOLE: [(&str, IsWhole); 6] = [
    ("Twoliter.lock", |text| text == LOCK),
    ("build/tools/build.Dockerfile", |text| text.ends_with('\n')),
    ("build/tools/buildsys", is_one_line_repeated),
    ("build/tools/pubsys", is_one_line_repeated),
    ("build/external-kits/external-kit-metadata.json", |text| {
        serde_json::from_str::<serde_json::Value>(text).is_ok()
    }),
    ("build/images/x86_64-example/latest/image", |text| {
        number_of(text).is_some()
    }),
];

impl Watcher {
    pub fn new(root: &str) -> Self {
        Self {
            root: root.into(),
            seen: BTreeSet::new(),
        }
    }

    /// Reads until the storm is over, and reports the result to it.
    pub fn work(mut self) -> Fallible<ExitCode> {
        loop {
            for (path, is_whole) in WHOLE {
                match fs::read_to_string(self.root.join(path)) {
                    Ok(text) if is_whole(&text) => drop(self.seen.insert(path)),
                    Ok(_) => violation(format!("G3: `{path}` is not whole"))?,
                    Err(_) if !self.seen.contains(path) => {}
                    Err(error) => violation(format!("G3: `{path}`: {error}"))?,
                }
            }
            self.look_at_one_moment()?;
            tell(&Tell::Read)?;
        }
    }

    /// Under the shared lock, both packages of a build have the same number.
    fn look_at_one_moment(&self) -> Fallible<()> {
        let state = State::open(&self.root)?;
        let moment = state.journal().read()?;
        for n in 0..crate::BUILDS {
            let read = |kind: &str| {
                let path = format!("build/rpms/build-{n}/build-{n}{kind}.rpm");
                fs::read_to_string(self.root.join(path))
                    .ok()
                    .map(|text| number_of(&text))
            };
            let (one, other) = (read(""), read("-devel"));
            if one != other {
                violation(format!(
                    "G1: the packages of build-{n} are {one:?} and {other:?}"
                ))?;
            }
        }
        drop(moment);
        Ok(())
    }
}

fn violation(text: String) -> Fallible<()> {
    Ok(tell(&Tell::Violation(text))?)
}

fn is_one_line_repeated(text: &str) -> bool {
    let mut lines = text.lines();
    let first = lines.next();
    first.is_some() && lines.all(|line| Some(line) == first) && text.lines().count() == 10_000
}
