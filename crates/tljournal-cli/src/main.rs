//! The `tljournal` command: the journal from a shell.
//!
//! Every command is one file below `commands`. Shared parts are here: finding the project (`session`), printing
//! (`output`), and the exit status (`exit`).

#![forbid(unsafe_code)]

mod args;
mod child;
mod commands;
mod demo;
mod ending;
mod exit;
mod export;
mod failure;
mod files;
mod graph;
mod hint;
mod outfile;
mod output;
mod page;
mod postmortem;
mod progress;
mod safe;
mod session;
mod stdin;
mod terminal;
mod text;
mod trace;
mod unified;

use std::process::ExitCode;
use std::sync::Arc;

use signal_hook::consts::SIGXFSZ;
use tljournal_cli::{describe, time};

fn main() -> ExitCode {
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    trace::start(&cli.global);
    // A write beyond the limit of file sizes then returns an error instead of killing the process. A command of `exec`
    // gets the default action.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    let session = session::Session::new(cli.global);
    let exit = match commands::run(&session, cli.command) {
        Ok(exit) => exit,
        Err(failure) => session.fail(&failure),
    };
    exit.into()
}
