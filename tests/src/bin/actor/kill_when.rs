//! Opens a journal, commits one transaction, and is killed at the first call of a kind.
//!
//! `kill-when ROOT before|after VERB PART-OF-A-PATH STEP...`, where `wait=PATH=VERSION` is a tree that is installed
//! once the one it replaces is unpinned.

use std::sync::Arc;

use rustix::process::{Signal, getpid, kill_process};
use tljournal::disk::Call;
use tljournal::{OnPinned, TreeOptions};
use tljournal_testkit::{When, World};
use tljournal_tests::{Hook, small, steps};

use crate::{Args, Played};

pub(crate) fn play(args: Args) -> Played {
    let args: Vec<String> = args.collect();
    let [root, when, verb, part, said @ ..] = &args[..] else {
        return Err("kill-when ROOT before|after VERB PART-OF-A-PATH STEP...".into());
    };
    let when = match when.as_str() {
        "before" => When::Before,
        _ => When::After,
    };
    let (verb, part) = (verb.clone(), part.clone());
    let strike = move |now: When, call: &Call<'_>| {
        let other = call.other.as_ref().map_or("", |path| path.as_str());
        let named = call.path.as_str().contains(&part) || other.contains(&part);
        if now == when && format!("{:?}", call.verb) == verb && named {
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                std::thread::park();
            }
        }
        Ok(())
    };
    let journal = World::at(root.as_str()).open_witnessed(&Arc::new(Hook(strike)))?;
    if said.iter().all(|said| said.starts_with("wait=")) {
        let mut txn = journal.begin("wait");
        for said in said {
            let parts = said.trim_start_matches("wait=").split_once('=');
            let (path, version) = parts.ok_or("wait=PATH=VERSION")?;
            let options = TreeOptions {
                on_pinned: OnPinned::Wait,
                ..TreeOptions::default()
            };
            txn.tree(path, small(version).source(), options)?;
        }
        txn.prepare()?.commit()?;
    } else {
        steps(said).try_commit(&journal)?;
    }
    journal.close()?;
    Ok(())
}
