use super::check::{Check, Stop};
use super::compare::{Compared, ToRead};
use super::{Code, Finding};
use crate::catalog::ScannedEntry;
use crate::error::Error;
use crate::lock::Holders;
use crate::model::{Kind, Place, RelPath};

/// The largest number of directories that are kept open for reading content.
const HELD_MAX: usize = 64;

impl Check<'_> {
    /// Checks all recorded places, and reads their content in batches.
    pub(super) fn entries(&mut self) -> Result<(), Stop> {
        let (mut to_read, mut trees) = (Vec::new(), Vec::new());
        let (mut elsewhere, mut bad) = (0, false);
        for scanned in self.look.ask(|catalog| catalog.scan_entries())? {
            match scanned {
                ScannedEntry::Whole(place, entry) if self.is_wanted(&place) => {
                    let compared = self.look.compare(&place, &entry, self.options.depth);
                    to_read.extend(self.compared(&place, compared)?);
                    if to_read.len() >= HELD_MAX {
                        self.read(std::mem::take(&mut to_read))?;
                    }
                    if entry.image.kind == Kind::Dir {
                        trees.push(place);
                    }
                }
                ScannedEntry::Elsewhere => elsewhere += 1,
                ScannedEntry::Bad => bad = true,
                ScannedEntry::Whole(..) => {}
            }
        }
        if bad && !self.options.paths.is_empty() {
            // It would have been reported with the database. The path of the row is not known.
            self.unreadable_rows()?;
            self.unknown.clear();
        }
        if self.not_copied > 0 {
            let what = format!("files, links and trees at {} places", self.not_copied);
            self.leave_out(&format!("{what}: they are not in this copy"));
        }
        if elsewhere > 0 && self.options.paths.is_empty() {
            let text = "below other roots; check it from there";
            self.leave_out(&format!("what is recorded at {elsewhere} places {text}"));
        }
        self.read(to_read)?;
        self.pins(&trees)
    }

    /// Whether a place is at or below a requested path.
    pub(super) fn is_wanted(&mut self, place: &Place) -> bool {
        let paths = &self.options.paths;
        let named: Vec<_> = paths
            .iter()
            .filter(|path| self.overlaps(path, place))
            .collect();
        for path in &named {
            self.unknown.remove(path);
        }
        paths.is_empty() || !named.is_empty()
    }

    fn overlaps(&self, path: &RelPath, place: &Place) -> bool {
        match self.look.map.place(path) {
            Ok(named) => named.overlaps(place),
            // It is above the home, or the home itself.
            Err(_) => {
                let shown = RelPath::new(&self.look.shown(place));
                shown.is_ok_and(|shown| path.overlaps(&shown))
            }
        }
    }

    /// Reports the findings at a place after checking them again; returns the content to read.
    fn compared(
        &mut self,
        place: &Place,
        compared: Result<Compared, Error>,
    ) -> Result<Option<ToRead>, Stop> {
        self.go_on()?;
        let compared = match compared {
            Ok(compared) if compared.findings.is_empty() => compared,
            _ => match self.look_again(place) {
                Ok(compared) => compared,
                Err(Stop::Failed(error)) => {
                    self.tell_failure(&self.look.shown(place), &error)?;
                    return Ok(None);
                }
                Err(stop) => return Err(stop),
            },
        };
        self.report.entries += compared.entries;
        let whole = self.look.at_home || self.look.state.is_some();
        for finding in compared.findings {
            if finding.code == Code::Missing && !whole {
                // A database that was copied without the journal's other files was copied alone, or with few files.
                self.not_copied += 1;
            } else if self.is_within_paths(&finding) {
                self.tell(finding)?;
            }
        }
        Ok(compared.to_read)
    }

    /// Checks a place again while no changes are being applied.
    fn look_again(&mut self, place: &Place) -> Result<Compared, Stop> {
        let _moment = self.moment()?;
        if self.is_being_changed(place)? {
            return Ok(Compared::default());
        }
        match self.look.entry(place)? {
            Some(entry) => Ok(self.look.compare(place, &entry, self.options.depth)?),
            None => Ok(Compared::default()),
        }
    }

    /// Whether an unfinished transaction, which has a finding of its own, changes a place.
    pub(super) fn is_being_changed(&self, place: &Place) -> Result<bool, Error> {
        for row in self.look.ask(|catalog| catalog.unfinished())? {
            let changed = self.look.ask(|catalog| catalog.places(row.row))?;
            if changed.iter().any(|changed| changed.overlaps(place)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a finding is about a requested path, and not only about its tree.
    pub(super) fn is_within_paths(&self, finding: &Finding) -> bool {
        let paths = &self.options.paths;
        let Ok(found) = RelPath::new(&finding.path) else {
            return true;
        };
        paths.is_empty() || paths.iter().any(|path| path.overlaps(&found))
    }

    /// Reports the holders of pins.
    fn pins(&mut self, trees: &[Place]) -> Result<(), Stop> {
        let Some(holder_of) = self.holders.take().map(Holders::told) else {
            return Ok(());
        };
        for place in trees {
            let path = self.look.shown(place);
            self.part(&path, |check| check.pin(place, &holder_of))?;
        }
        Ok(())
    }

    fn pin(
        &mut self,
        place: &Place,
        holder_of: &impl Fn(u64) -> Option<String>,
    ) -> Result<(), Stop> {
        let Some(parent) = self.look.parent(place)? else {
            return Ok(());
        };
        let Some(stat) = parent.stat(place.path.name())? else {
            return Ok(());
        };
        match holder_of(stat.identity.ino) {
            None => Ok(()),
            Some(who) => {
                let finding = Finding::new(Code::TreePinned, self.look.shown(place));
                self.tell(finding.actual(format!("pinned by {who}")))
            }
        }
    }
}
