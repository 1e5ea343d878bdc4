use tljournal::{RelPath, Transaction, TreeOptions};

use super::transact::{Plan, transact};
use crate::args::ChangeArgs;
use crate::describe::{Action, Content, Described, Description};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::files::{self, Input};
use crate::progress::Progress;
use crate::session::Session;
use crate::text::count;

const EXAMPLE: &str = r#"Example:
  tljournal apply changes.json

The description:
  {"label": "publish 1.2.3", "changes": [
    {"put": "build/a.txt", "content": "text", "mode": "0644",
     "mtime": "2025-01-02T03:04:05.123456789Z", "expect": "absent"},
    {"put": "build/b.bin", "from": "path/of/a/file", "expect": "sha256:..."},
    {"remove": "build/old", "expect": "present"},
    {"link": "build/latest", "target": "1.2.3"},
    {"tree": "build/tools", "from": "a directory or archive",
     "durability": "rebuildable", "on_pinned": "wait", "keep_special_bits": false}]}
  Paths are relative to the root, or absolute and below it; `from` is relative
  to the current directory.
  Only the first field of each change is needed, with `content` or `from` for a
  put, `target` for a link and `from` for a tree. `expect` is any, absent,
  present or sha256:...; `durability` is durable or rebuildable; `on_pinned` is
  exchange, wait or fail.
"#;

/// Make many changes in one transaction, from a JSON description
///
/// All changes are made, or none.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_CHANGES))]
pub(crate) struct Args {
    /// The JSON description of the changes; `-` is standard input
    #[arg(value_name = "FILE")]
    description: Input,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) fn run(session: &Session, args: Args) -> Result<Exit, Failure> {
    let text = args.description.read_description(session.lock_wait())?;
    let description = Description::parse(&text)?;
    drop(text);
    let changes = description.changes;
    let mut receipt = Vec::new();
    for change in &changes {
        receipt.push((change.action.verb(), session.below_root(&change.path)?));
    }
    let paths: Vec<_> = receipt.iter().map(|(_, path)| path.clone()).collect();
    let own_label = description.label;
    let label = || own_label.unwrap_or_else(|| format!("apply {}", count(changes.len(), "change")));
    let plan = Plan::new("apply", args.change, label, receipt);
    let progress = Progress::start(&plan.label, session.output.shows_progress());
    transact(session, &plan, |txn| {
        for (change, path) in changes.into_iter().zip(&paths) {
            add(txn, change, path, &progress)?;
        }
        Ok(())
    })
}

fn add(
    txn: &mut Transaction,
    change: Described,
    path: &RelPath,
    progress: &Progress,
) -> Result<(), Failure> {
    let Described { expect, action, .. } = change;
    match action {
        Action::Put {
            content,
            mode,
            mtime,
        } => {
            let mut payload = match content {
                Content::Text(text) => text.into(),
                Content::File(file) => files::file_payload(&file, progress)?,
            };
            if let Some(mode) = mode {
                payload = payload.mode(mode);
            }
            if let Some(mtime) = mtime {
                payload = payload.mtime(mtime);
            }
            txn.put(path, payload, expect)?;
        }
        Action::Remove => txn.remove(path, expect)?,
        Action::Link { target } => txn.link(path, &target, expect)?,
        Action::Tree {
            from,
            durability,
            on_pinned,
            keep_special_bits,
        } => {
            let mut source = files::tree_source(&from)?;
            if keep_special_bits {
                source = source.keep_special_bits();
            }
            let options = TreeOptions {
                durability,
                on_pinned,
                expect,
                progress: progress.teller(),
            };
            txn.tree(path, source, options)?;
        }
    }
    Ok(())
}
