//! Real files to work with: from the Rust toolchain, or from elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::Digest;

use super::plan::{Plan, Variant};
use crate::failure::Failure;

const BYTES_MIN: u64 = 105 << 20;
const FILES_MIN: usize = 36;

/// Larger files are skipped, to get enough files.
const FILE_BYTES_MAX: u64 = 40_000_000;

/// Creates the two variants in the demo's directory.
///
/// The second has the same names with the content of the next file, so that every file differs, and a mixture of the
/// two is detected at every path.
pub(super) fn make(place: &Utf8Path) -> Result<Plan, Failure> {
    let chosen = choose();
    let names: Vec<_> = chosen.iter().enumerate().map(name).collect();
    let mut plan = Plan {
        variants: [Variant::default(), Variant::default()],
    };
    for (at, from) in chosen.iter().enumerate() {
        let failed = |source| Failure::io(format!("copy `{from}`"), source);
        let first = Plan::source(place, 0).join(&names[at]);
        let neighbour = &names[(at + 1) % names.len()];
        let second = Plan::source(place, 1).join(neighbour);
        for path in [&first, &second] {
            let dir = path.parent().unwrap_or(place);
            fs::create_dir_all(dir).map_err(failed)?;
        }
        let content = fs::read(from).map_err(failed)?;
        fs::write(&first, &content).map_err(failed)?;
        // The same file under another name: a hard link saves a copy.
        fs::hard_link(&first, &second).map_err(failed)?;
        let listed = (content.len() as u64, Digest::of(&content).to_string());
        let [one, two] = &mut plan.variants;
        one.files.insert(names[at].clone(), listed.clone());
        two.files.insert(neighbour.clone(), listed);
    }
    plan.write(place)?;
    Ok(plan)
}

/// Enough files: large ones until there are enough bytes, small ones until there are enough files. If there are too
/// few, files are repeated.
fn choose() -> Vec<Utf8PathBuf> {
    let mut found = BTreeSet::new();
    for dir in places() {
        collect(&dir, 4, &mut found);
        if total(found.iter()) >= 2 * BYTES_MIN && found.len() >= 2 * FILES_MIN {
            break;
        }
    }
    if found.is_empty() {
        found.extend(std::env::current_exe().ok().and_then(file));
    }
    let mut rest: Vec<_> = found.iter().cycle().take(found.len().max(4096)).collect();
    let mut chosen = Vec::new();
    // Only the first round is sorted; repetitions are needed only on machines with very few files.
    rest[..found.len()].sort();
    let (mut large, mut small) = (found.len(), 0);
    while total(chosen.iter().copied()) < BYTES_MIN && large > 0 {
        large -= 1;
        chosen.push(rest[large]);
    }
    let mut again = found.len();
    while total(chosen.iter().copied()) < BYTES_MIN && again < rest.len() {
        chosen.push(rest[again]);
        again += 1;
    }
    while chosen.len() < FILES_MIN {
        let next = if small < large { small } else { again };
        if next == small {
            small += 1
        } else {
            again += 1
        }
        chosen.push(rest[next]);
    }
    chosen.into_iter().map(|(_, path)| path.clone()).collect()
}

fn total<'a>(files: impl Iterator<Item = &'a (u64, Utf8PathBuf)>) -> u64 {
    files.map(|(size, _)| size).sum()
}

/// The directories to search, the best first.
fn places() -> Vec<Utf8PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(rustc).args(["--print", "sysroot"]).output();
    let sysroot = told
        .ok()
        .and_then(|told| String::from_utf8(told.stdout).ok());
    let sysroot = sysroot.map(|path| Utf8PathBuf::from(path.trim()).join("lib"));
    let own = std::env::current_exe().ok();
    let own = own.and_then(|path| Utf8PathBuf::from_path_buf(path.parent()?.to_owned()).ok());
    let others = ["/usr/lib", "/usr/bin"].map(Utf8PathBuf::from);
    sysroot.into_iter().chain(own).chain(others).collect()
}

/// Collects the regular files below a directory, with their sizes.
fn collect(dir: &Utf8Path, depth: u32, found: &mut BTreeSet<(u64, Utf8PathBuf)>) {
    let Ok(entries) = dir.read_dir_utf8() else {
        return;
    };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => collect(entry.path(), depth - 1, found),
            Ok(kind) if kind.is_file() => found.extend(file(entry.path().into())),
            _ => {}
        }
    }
}

/// A readable file with a suitable size.
fn file(path: std::path::PathBuf) -> Option<(u64, Utf8PathBuf)> {
    let size = fs::File::open(&path).ok()?.metadata().ok()?.len();
    let fits = (1..=FILE_BYTES_MAX).contains(&size);
    Some((size, Utf8PathBuf::from_path_buf(path).ok()?)).filter(|_| fits)
}

/// The path of a file in the trees; the number makes it unique.
fn name((at, path): (usize, &Utf8PathBuf)) -> String {
    let dir = ["bin", "lib", "share"][at % 3];
    format!("{dir}/{at:02}-{}", path.file_name().unwrap_or("file"))
}
