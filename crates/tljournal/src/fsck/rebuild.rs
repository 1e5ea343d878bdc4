//! Builds a new database from the readable rows of the old one and the files on disk.
//!
//! It is built under another name, complete and synced, before the old one is touched. Then the old one is set aside,
//! and the next opening for work finds no database and takes the new one: in this process or, if it is killed, in
//! another one. A kill before that leaves the old one in place.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::{Finding, FsckDepth, Severity};
use crate::ambient::{self, ProcessFacts};
use crate::catalog::{Catalog, EntryRow, HomeRow, Salvaged, ScannedEntry, Sync};
use crate::error::{Error, UsageError};
use crate::home::{Home, Parent, REBUILDING, REBUILT, SHM_SUFFIX, WAL_SUFFIX};
use crate::look::{Asked, Look};
use crate::model::{
    Change, Durability, EventKind, Image, KeyMaterial, Kind, Manifest, Op, Place, RelPath, Spot,
    TxnState,
};
use crate::tree;

/// What a new database contains besides the salvaged rows.
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until a rebuild uses them"]
pub struct RebuildOptions {
    /// Trees and files that are recorded as they are on disk.
    pub adopt: Vec<RelPath>,
    /// Whether to rebuild a sound database.
    pub force: bool,
}

/// The contents of a new database.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Rebuilt {
    /// Salvaged rows by table, with the number of invalid ones.
    pub rows: Vec<(String, u64, u64)>,
    /// Tables that may have had more rows, behind a damaged page.
    pub cut: Vec<String>,
    /// Paths whose record matches the disk.
    pub entries: u64,
    /// Paths whose record does not match the disk and was dropped.
    pub dropped: Vec<String>,
    /// Paths that were adopted.
    pub adopted: Vec<String>,
    /// The path of the old database.
    pub kept: Option<String>,
}

/// The label of the transaction that records the adopted paths.
const LABEL: &str = "rebuilt";

/// Builds a new database under another name. Records that differ from the disk, compared at this depth, are dropped.
pub(crate) fn make(
    home: &Home,
    features: HomeRow,
    old: Option<&Catalog>,
    options: &RebuildOptions,
    depth: FsckDepth,
) -> Result<Rebuilt, Error> {
    // The named paths must exist before anything is created.
    let adopted = adopt(home, &options.adopt)?;
    clear(home)?;
    drop(home.state.create_own_file(REBUILDING)?);
    let path = home.state.real_path()?.join(REBUILDING);
    let mut catalog = Catalog::open(&path)?;
    catalog.migrate()?;
    catalog.set_root(home.root_stat.identity);
    let mut rebuilt = Rebuilt::default();
    let salvaged = catalog.write(Sync::Full, |catalog| {
        let salvaged = match old {
            Some(old) => catalog.salvage(old)?,
            None => Vec::new(),
        };
        catalog.set_home(features)?;
        catalog.set_rebuilt()?;
        catalog.ensure_root(home.root_stat.identity, home.root.path().as_str())?;
        Ok::<_, Error>(salvaged)
    })?;
    rebuilt.count(salvaged);
    let catalog = Mutex::new(catalog);
    let dropped = differing(home, &catalog, depth, &mut rebuilt)?;
    let mut catalog = catalog
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    catalog.write(Sync::Full, |catalog| {
        for place in &dropped {
            catalog.remove_entry(place)?;
        }
        if depth != FsckDepth::Full {
            // No content was read, so no signature proves any.
            catalog.distrust_all()?;
        }
        record(catalog, home, &adopted, &mut rebuilt)
    })?;
    // The one file must be complete.
    catalog.checkpoint()?;
    drop(catalog);
    for suffix in [WAL_SUFFIX, SHM_SUFFIX] {
        let name = format!("{REBUILDING}{suffix}");
        if home.state.stat(&name)?.is_some() {
            home.state.remove_file(name)?;
        }
    }
    let _synced = home.state.sync_file(REBUILDING)?;
    home.state.rename_new(REBUILDING, &home.state, REBUILT)?;
    let _synced = home.state.sync()?;
    Ok(rebuilt)
}

/// Removes the files of an earlier attempt.
fn clear(home: &Home) -> Result<(), Error> {
    let (wal, shm) = (
        format!("{REBUILDING}{WAL_SUFFIX}"),
        format!("{REBUILDING}{SHM_SUFFIX}"),
    );
    for name in [REBUILDING, REBUILT, &wal, &shm] {
        if home.state.stat(name)?.is_some() {
            home.state.remove_file(name)?;
        }
    }
    Ok(())
}

/// The places whose record differs from the disk.
fn differing(
    home: &Home,
    catalog: &Mutex<Catalog>,
    depth: FsckDepth,
    rebuilt: &mut Rebuilt,
) -> Result<Vec<Place>, Error> {
    let look = Look {
        asked: Asked::Catalog(catalog),
        map: &home.map,
        root: &home.root,
        home: &home.dir,
        state: Some(home.state.clone()),
        runs: None,
        at_home: true,
        seen: None,
        key_material: &KeyMaterial::default(),
        lock_wait: None,
    };
    let mut differing = Vec::new();
    for scanned in look.ask(|catalog| catalog.scan_entries())? {
        let ScannedEntry::Whole(place, entry) = scanned else {
            continue;
        };
        let is_same = match look.compare(&place, &entry, depth) {
            Ok(compared) => {
                // Changes of later transactions inside a tree are a notice.
                let is_notice = |finding: &Finding| finding.severity() == Severity::Notice;
                compared.findings.iter().all(is_notice)
                    && compared.to_read.is_none_or(|to_read| to_read.is_right())
            }
            Err(_) => false,
        };
        match is_same {
            true => rebuilt.entries += 1,
            false => {
                rebuilt.dropped.push(look.shown(&place));
                differing.push(place);
            }
        }
    }
    Ok(differing)
}

/// The state of a path that is adopted.
struct Adopted {
    place: Place,
    row: EntryRow,
    manifest: Option<Manifest>,
}

fn adopt(home: &Home, paths: &[RelPath]) -> Result<Vec<Adopted>, Error> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for path in paths {
        let place = home.place(path)?;
        if !seen.insert(place.clone()) {
            continue;
        }
        let nothing = || UsageError::NothingThere {
            path: path.to_string(),
        };
        let Parent::There(parent) = home.parent(&place)? else {
            return Err(nothing().into());
        };
        let name = place.path.name();
        let stat = parent.stat(name)?.ok_or_else(nothing)?;
        let mut row = EntryRow {
            txn: 0,
            n: 0,
            image: Image::of(&stat),
            ctime: stat.ctime,
            racy: true,
            digest: None,
            target: None,
            signature: None,
            unsettled: None,
            facts: None,
        };
        let mut manifest = None;
        match stat.kind {
            Kind::Dir => {
                let read = tree::read(&parent.open_dir(name)?, &|_| {})?;
                row.digest = Some(read.manifest.digest());
                manifest = Some(read.manifest);
            }
            Kind::File => row.digest = Some(parent.hash(&parent.open_file(name)?, name)?),
            Kind::Link => row.target = Some(parent.read_link(name)?),
            Kind::Other => return Err(nothing().into()),
        }
        all.push(Adopted {
            place,
            row,
            manifest,
        });
    }
    Ok(all)
}

/// Records the adopted paths, as one transaction, and the rebuild.
fn record(
    catalog: &Catalog,
    home: &Home,
    adopted: &[Adopted],
    rebuilt: &mut Rebuilt,
) -> Result<(), Error> {
    let run = catalog.insert_run(ambient::fresh_run_id(), None, &ProcessFacts::gather())?;
    catalog.label_run(run, LABEL)?;
    let txn = catalog.begin_txn(ambient::fresh_txn_id(), run, LABEL)?;
    let now = ambient::now();
    catalog.commit_txn(txn, (now, now), None)?;
    for (
        n,
        Adopted {
            place,
            row,
            manifest,
        },
    ) in (0..).zip(adopted)
    {
        if let Some(manifest) = manifest {
            catalog.put_manifest(manifest)?;
        }
        let row = EntryRow {
            txn,
            n,
            ..row.clone()
        };
        catalog.put_entry(place, &row)?;
        catalog.insert_changes(txn, &[change(place, &row)])?;
        rebuilt.adopted.push(home.shown(place));
    }
    catalog.move_txn(txn, TxnState::Committed, TxnState::Applied, None)?;
    let detail = format!(
        "{} records match the disk, {} do not and were dropped, {} were adopted from it",
        rebuilt.entries,
        rebuilt.dropped.len(),
        rebuilt.adopted.len()
    );
    catalog.put_event((Some(run), Some(txn)), &EventKind::Rebuilt, None, &detail)?;
    catalog.end_run(run, "ok")?;
    Ok(())
}

fn change(place: &Place, row: &EntryRow) -> Change {
    Change {
        n: row.n,
        place: place.clone(),
        op: Op::Adopt,
        pre: Some(row.image),
        new: Some(row.image),
        digest: row.digest,
        target: row.target.clone(),
        spot: Spot::Home,
        durability: Durability::Durable,
        drift: false,
    }
}

impl Rebuilt {
    fn count(&mut self, salvaged: Vec<Salvaged>) {
        for Salvaged {
            table,
            rows,
            lost,
            cut,
        } in salvaged
        {
            self.rows.push((table.to_owned(), rows, lost));
            self.cut.extend(cut.then(|| table.to_owned()));
        }
    }
}

/// Whether a database is sound, so that it needs no rebuild.
pub(crate) fn is_sound(catalog: &Catalog) -> Result<bool, Error> {
    Ok(catalog.check_pages(true)?.is_empty()
        && catalog.dangling_rows()?.is_empty()
        && catalog.bad_rows()?.is_empty()
        && catalog.bad_manifests()?.is_empty())
}
