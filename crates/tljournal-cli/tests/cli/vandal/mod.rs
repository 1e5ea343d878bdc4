//! An outside vandal: every kind of object, owned by every kind of user, in the place of everything in and around
//! `build/`; then every command runs as every kind of user.
//!
//! The cases are enumerated: the places are found by walking a project with files of every kind, and each is combined
//! with each [`Object`]. The owner of the object and the user of the commands rotate from case to case: nine rounds
//! (`TLJOURNAL_VANDAL_ROUND=0` to `8`) try every combination of accounts. `cargo test` tries one case in [`SHARE`],
//! `TLJOURNAL_VANDAL_EVERY=1` all of a round, and `TLJOURNAL_VANDAL_ONLY=TEXT` those of a round whose description
//! contains a text.
//!
//! After each command: it has ended without a panic; nothing outside of the project has changed; no private byte from
//! outside is in the project; no set-id file appeared. After all of them: `fsck` reports the object while it exists,
//! and the owner of the project can work.

mod commands;
mod object;
mod outside;
mod place;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use object::Object;
use place::Place;
use world::{Account, World};

/// One in this many cases is tried by default.
const SHARE: usize = 11;

/// One case.
#[derive(Debug, Clone)]
struct Case {
    place: Place,
    object: Object,
    /// The owner of the object.
    vandal: Account,
    /// The user of the commands.
    runner: Account,
}

impl Case {
    fn name(&self) -> String {
        let Self {
            place,
            object,
            vandal,
            runner,
        } = self;
        format!("{place}: {object:?} of {vandal:?}, commands run by {runner:?}")
    }
}

/// The cases of a round, or a share of them in which every place and every object occurs.
fn cases(places: &[Place]) -> Vec<Case> {
    let every = std::env::var_os("TLJOURNAL_VANDAL_EVERY").is_some();
    let only = std::env::var("TLJOURNAL_VANDAL_ONLY").ok();
    let round = std::env::var("TLJOURNAL_VANDAL_ROUND");
    let round: usize = round.map_or(0, |round| round.parse().unwrap());
    let accounts = Account::ALL.len();
    let mut cases = Vec::new();
    for (nth, place) in places.iter().enumerate() {
        for (mth, object) in Object::ALL.into_iter().enumerate() {
            let turn = nth + 4 * mth + round;
            let case = Case {
                place: place.clone(),
                object,
                vandal: Account::ALL[turn % accounts],
                runner: Account::ALL[turn / accounts % accounts],
            };
            let wanted = match &only {
                Some(text) => case.name().contains(text.as_str()),
                None => every || (nth + 3 * mth + round).is_multiple_of(SHARE),
            };
            if wanted {
                cases.push(case);
            }
        }
    }
    cases
}

#[test]
fn g12_g13_g15_no_object_planted_by_a_vandal_stops_the_owner() {
    if !rustix::process::geteuid().is_root() {
        let insists = std::env::var_os("TLJOURNAL_INSIST").is_some();
        assert!(!insists, "only root can act as several users");
        eprintln!("skipped: only root can act as several users");
        return;
    }
    let cases = cases(&Place::all(&World::new()));
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = commands::try_case(case) {
                        failed
                            .lock()
                            .unwrap()
                            .push(format!("{}\n    {why}", case.name()));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    eprintln!("{} cases", cases.len());
    assert!(
        failed.is_empty(),
        "{} of {} cases:\n{}",
        failed.len(),
        cases.len(),
        failed.join("\n")
    );
}
