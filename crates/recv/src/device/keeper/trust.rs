//! What outlives a restart of roots and beacons.

use fleetcast_core::time::Instant;
use fleetcast_core::trust::{Root, Trust, Verified};
use fleetcast_install::{Disk, Fault};

use super::Keeper;
use crate::device::{Tell, beacon};
use crate::events::Event;
use crate::storage::is_full;
use crate::trusted::RootFacts;

impl<D: Disk> Keeper<D> {
    /// Whose statements count, by the roots that were kept.
    pub(in crate::device) const fn trust(&self) -> &Trust {
        &self.chain.trust
    }

    /// Has the record take into account what the roots that were kept lead to: power may have failed between both.
    pub(super) fn take_up_roots(&mut self, tell: Tell<'_>) -> Result<(), Fault> {
        if let Some(reason) = self.chain.put_aside(self.state.disk()) {
            let reason = format!("roots that were kept are put aside, and have to come again: {reason}");
            tell(Event::Warning { code: "roots-set-aside", reason });
        }
        let known = self.chain.trust.version();
        // One that the settings have brought voids nothing: nobody knows what was between.
        for (version, voids_floors) in self.chain.steps.clone().into_iter().chain([(known, false)]) {
            if version > self.record().root {
                self.state.update(|record| record.follow(version, voids_floors))?;
            }
        }
        let root = self.record().root;
        if root > known {
            let reason = format!(
                "this device has followed roots up to version {root}, and knows no more than version {known}: nothing is \
                 installed until the others have come again; if it is to trust others from now on, remove its state folder"
            );
            tell(Event::Warning { code: "roots-lost", reason });
        }
        Ok(())
    }

    /// Keeps a root, then has the record take it into account.
    pub(super) fn follow_root(
        &mut self,
        root: &Verified<Root>,
        voids_floors: bool,
        tell: Tell<'_>,
    ) -> Result<(), Fault> {
        let version = root.version;
        let lack = match self.chain.keep(self.state.disk(), root) {
            Ok(true) => None,
            Ok(false) => Some("there are too many: give it a newer root file".into()),
            Err(fault) if is_full(&fault) => Some(fault.to_string()),
            Err(fault) => return Err(fault),
        };
        if let Some(lack) = lack {
            let reason = format!("root {version} counts until the next start, and has to come again then: {lack}");
            tell(Event::Warning { code: "roots-not-kept", reason });
        }
        self.state.update(|record| record.follow(version, voids_floors))?;
        self.beacon.doubt();
        tell(Event::Root { root: RootFacts::of(root), voids_floors });
        Ok(())
    }

    /// The beacon kept from before.
    pub(in crate::device) fn kept_beacon(&self) -> Result<Option<Vec<u8>>, Fault> {
        beacon::kept(self.state.disk(), self.state.folder())
    }

    /// Forgets it.
    pub(in crate::device) fn forget_beacon(&mut self) -> Result<(), Fault> {
        self.beacon.forget(self.state.disk())
    }

    /// Forgets the kept beacon if a root has followed since, and none counts any longer.
    pub(in crate::device) fn recheck_beacon(&mut self, counts: bool) -> Result<(), Fault> {
        if self.beacon.take_doubt() && !counts {
            return self.forget_beacon();
        }
        Ok(())
    }

    /// Keeps the newest beacon, if it is time. Without it a restart falls for an older one, and no more: it need not end
    /// anything.
    pub(in crate::device) fn write_beacon(&mut self, now: Instant, tell: Tell<'_>) {
        if let Err(fault) = self.beacon.write(self.state.disk(), now) {
            let reason = format!("the newest beacon is not kept: {fault}");
            tell(Event::Warning { code: fault.code(), reason });
        }
    }

    /// Keeps it before the end.
    pub(in crate::device) fn flush_beacon(&mut self) {
        let _ = self.beacon.flush(self.state.disk());
    }
}
