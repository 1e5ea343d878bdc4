use std::io::{self, Write};

use serde_json::{Value, json};
use tljournal::{Entry, EntryKind, EntryView, Error, Manifest, NamedPath, UsageError};

use super::views::mode;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BOLD, DIM, WARN};
use crate::session::Session;
use crate::text::{bytes, clean};
use crate::time;

const EXAMPLE: &str = "\
Example:
  tljournal tree show build/tools
";

/// List what was installed at a path
///
/// Mode, size, mtime and name of every entry. Changes nothing; works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_SHOW))]
pub(crate) struct Args {
    /// The path of the tree, relative to the root
    path: NamedPath,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let path = session.below_root(&args.path)?;
    let path = path.as_str();
    let inspection = session.inspect()?;
    let history = inspection.history();
    let not_a_tree = || {
        Error::from(UsageError::NotATree {
            path: path.escape_debug().to_string(),
        })
    };
    let view = history.entry(path)?.ok_or_else(not_a_tree)?;
    let manifest = history.manifest(path)?.ok_or_else(not_a_tree)?;
    session.output.result(
        || as_json(path, &view, &manifest),
        |out| print(out, path, &view, &manifest),
    )?;
    Ok(Exit::Done)
}

fn print(out: &mut dyn Write, path: &str, view: &EntryView, manifest: &Manifest) -> io::Result<()> {
    let size = bytes(manifest.bytes());
    let entries = match manifest.entries().len() {
        1 => "1 entry".to_owned(),
        number => format!("{number} entries"),
    };
    writeln!(
        out,
        "{BOLD}{}{BOLD:#}  {entries}, {size}, txn {}",
        clean(path),
        view.txn
    )?;
    writeln!(out, "{DIM}{}{DIM:#}", manifest.digest())?;
    if view.unsettled {
        writeln!(
            out,
            "{WARN}not synced yet{WARN:#}: rebuildable; `tljournal recover` syncs it"
        )?;
    }
    for entry in manifest.entries() {
        print_entry(out, manifest, entry)?;
    }
    Ok(())
}

fn print_entry(out: &mut dyn Write, manifest: &Manifest, entry: &Entry) -> io::Result<()> {
    let name = if entry.path.is_empty() {
        "."
    } else {
        &entry.path
    };
    let (kind, size, rest) = match &entry.kind {
        EntryKind::Dir => ('d', String::new(), String::new()),
        EntryKind::Link { target } => ('l', String::new(), format!(" -> {}", clean(target))),
        EntryKind::File { size, same_as, .. } => {
            let first = same_as.and_then(|first| manifest.entries().get(first as usize));
            let same = first.map(|first| format!(" = {}", clean(&first.path)));
            ('-', size.to_string(), same.unwrap_or_default())
        }
    };
    // The mode of a link is meaningless.
    let bits = if kind == 'l' {
        String::new()
    } else {
        mode(entry.mode)
    };
    let mtime = time::short(entry.mtime);
    writeln!(
        out,
        "{kind}{bits:<4} {size:>12}  {mtime}  {}{rest}",
        clean(name)
    )
}

fn as_json(path: &str, view: &EntryView, manifest: &Manifest) -> Value {
    let entries: Vec<_> = manifest.entries().iter().map(entry_json).collect();
    json!({
        "command": "tree show",
        "path": path,
        "digest": manifest.digest().to_string(),
        "bytes": manifest.bytes(),
        "txn": view.txn,
        "unsettled": view.unsettled,
        "entries": entries,
    })
}

fn entry_json(entry: &Entry) -> Value {
    let mut value = json!({
        "path": if entry.path.is_empty() { "." } else { &entry.path },
        "mode": mode(entry.mode),
        "mtime": time::exact(entry.mtime),
    });
    let more = match &entry.kind {
        EntryKind::Dir => json!({"kind": "directory"}),
        EntryKind::Link { target } => json!({"kind": "link", "target": target}),
        EntryKind::File {
            size,
            digest,
            same_as,
        } => json!({
            "kind": "file", "size": size, "digest": digest.to_string(), "same_as": same_as,
        }),
    };
    if let (Value::Object(fields), Value::Object(more)) = (&mut value, more) {
        fields.extend(more);
    }
    value
}
