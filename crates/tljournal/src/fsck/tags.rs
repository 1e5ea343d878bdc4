use std::collections::BTreeMap;

use super::check::{Check, Stop};
use super::{Code, Finding};
use crate::catalog::VoucherRow;
use crate::model::Place;

impl Check<'_> {
    /// Reports tags without a valid claim, and claims without their tag.
    pub(super) fn tags(&mut self) -> Result<(), Stop> {
        let look = self.look;
        let mut tags: BTreeMap<Place, Vec<VoucherRow>> = BTreeMap::new();
        for row in look.ask(|catalog| catalog.all_vouchers())? {
            if self.is_wanted(&row.place) {
                tags.entry(row.place.clone()).or_default().push(row);
            }
        }
        for (place, vouchers) in tags {
            let path = look.shown(&place);
            self.part(&path, |check| check.tag(&place, &vouchers))?;
        }
        Ok(())
    }

    fn tag(&mut self, place: &Place, vouchers: &[VoucherRow]) -> Result<(), Stop> {
        let path = self.look.shown(place);
        for row in vouchers {
            if let (Some(why), true) = (&row.revoked, self.look.is_alive(row.run)?) {
                let finding = Finding::new(Code::VoucherRevoked, &path);
                let finding = finding.expected(row.digest).actual(why);
                self.tell(self.of_run(finding, row))?;
            }
        }
        match (self.valid(vouchers)?, self.is_there(place)?) {
            (None, true) => self.tell(Finding::new(Code::TagUnvouched, path)),
            (Some(_), false) => self.look_again_for_tag(place),
            _ => Ok(()),
        }
    }

    /// A tag and its claims change together: they must agree while no changes are being applied.
    fn look_again_for_tag(&mut self, place: &Place) -> Result<(), Stop> {
        let look = self.look;
        let moment = self.moment()?;
        let vouchers = look.ask(|catalog| catalog.vouchers(place))?;
        let valid = self.valid(&vouchers)?;
        if self.is_there(place)? || self.is_being_changed(place)? {
            return Ok(());
        }
        drop(moment);
        match valid {
            Some(row) => {
                let finding = Finding::new(Code::TagMissing, look.shown(place));
                self.tell(self.of_run(finding.expected(row.digest), row))
            }
            None => Ok(()),
        }
    }

    fn of_run(&self, mut finding: Finding, row: &VoucherRow) -> Finding {
        finding.run = self.look.run(row.run);
        finding
    }

    /// A valid claim.
    fn valid<'a>(&self, vouchers: &'a [VoucherRow]) -> Result<Option<&'a VoucherRow>, Stop> {
        for row in vouchers.iter().filter(|row| row.revoked.is_none()) {
            if self.look.is_alive(row.run)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn is_there(&self, place: &Place) -> Result<bool, Stop> {
        match self.look.parent(place)? {
            Some(parent) => Ok(parent.stat(place.path.name())?.is_some()),
            None => Ok(false),
        }
    }
}
