//! Compares the journal with the tools that one would use instead.
//!
//! Every number is a ratio of medians, ours to the peer's, measured in alternating pairs in one run, on the same
//! machine and filesystem. See `cargo run --release -p tljournal-benches -- --help`.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark prints, and starts its peers directly"
)]

mod crowd;
mod fsck;
mod history;
mod kits;
mod measure;
mod page;
mod small;
mod trees;
mod twoliter;

use std::error::Error;

use camino::Utf8PathBuf;
use clap::Parser;

use measure::Report;

/// The result of a bench.
type Fallible<T> = Result<T, Box<dyn Error>>;

/// Compares the journal with the tools that one would use instead.
#[derive(Debug, Parser)]
struct Args {
    /// The benches to run; all of them if none is named.
    #[arg(value_parser = ["small", "unchanged", "trees", "kits", "crowd", "history", "fsck", "page", "twoliter"])]
    names: Vec<String>,
    /// A directory on the filesystem to measure. Default: the system's temporary directory.
    #[arg(long)]
    dir: Option<Utf8PathBuf>,
    /// Few rounds and small inputs: shows that the benches work, not how fast anything is.
    #[arg(long)]
    smoke: bool,
    /// Commits as one of a crowd; used by the bench `crowd` itself.
    #[arg(long, hide = true)]
    crowd_member: Option<u32>,
}

fn main() -> Fallible<()> {
    let args = Args::parse();
    let base = match args.dir {
        Some(dir) => dir,
        None => Utf8PathBuf::try_from(std::env::temp_dir())?,
    };
    if let Some(member) = args.crowd_member {
        return crowd::be_member(&base, member);
    }
    let wanted = |name: &str| args.names.is_empty() || args.names.iter().any(|own| own == name);
    let scratch = tempfile::Builder::new()
        .prefix("tljournal-bench-")
        .tempdir_in(&base)?;
    let scratch = Utf8PathBuf::try_from(scratch.path().to_owned()).map(|path| (path, scratch))?;
    let mut report = Report::new();
    if wanted("small") {
        small::commits(&scratch.0, args.smoke, &mut report)?;
    }
    if wanted("unchanged") {
        small::unchanged(&scratch.0, args.smoke, &mut report)?;
        trees::unchanged(&scratch.0, args.smoke, &mut report)?;
    }
    if wanted("trees") {
        trees::installs(&scratch.0, args.smoke, &mut report)?;
    }
    if wanted("kits") {
        kits::unpacks(&scratch.0, args.smoke, &mut report)?;
    }
    if wanted("crowd") {
        crowd::run(&scratch.0, args.smoke, &mut report)?;
    }
    if wanted("history") {
        history::open(&scratch.0, args.smoke, &mut report)?;
    }
    if wanted("fsck") {
        fsck::checks(&scratch.0, args.smoke, &mut report)?;
    }
    if wanted("page") {
        page::shown(&scratch.0, args.smoke, &mut report)?;
    }
    if wanted("twoliter") {
        twoliter::unchanged_run(&scratch.0, args.smoke, &mut report)?;
    }
    report.finish(args.smoke);
    Ok(())
}
