use serde_json::json;
use tljournal::TxnFilter;

use super::views::{state_style, txn_json};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BOLD, DIM};
use crate::session::Session;
use crate::text::clean;
use crate::time;

/// List the latest transactions
///
/// The latest first: number, when, state, label. Changes nothing; works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::OF_LOOKS)]
pub(crate) struct Args {
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let inspection = session.inspect()?;
    let found = inspection
        .history()
        .transactions(&TxnFilter::latest(args.limit))?;
    let json = || {
        let listed: Vec<_> = found.iter().map(txn_json).collect();
        json!({"command": "log", "transactions": listed})
    };
    session.output.result(json, |out| {
        let width = found.first().map_or(1, |txn| txn.number.to_string().len());
        for txn in &found {
            let style = state_style(&txn.state);
            let when = time::short(txn.ended_at.unwrap_or(txn.began_at));
            writeln!(
                out,
                "{BOLD}{:>width$}{BOLD:#}  {DIM}{when}{DIM:#}  {style}{:<9}{style:#}  {}",
                txn.number,
                clean(&txn.state),
                clean(&txn.label)
            )?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}
