//! What outlives a datagram: record, roots, beacon, statement, and the areas of the release being received.

use fleetcast_core::manifest::Manifest;
use fleetcast_core::scratch::{self, Layout};
use fleetcast_core::session::{Action, Mark, Policy, RefuseReason, Target, Wave};
use fleetcast_core::tree::Geometry;
use fleetcast_core::trust::Verified;
use fleetcast_core::wire::PageKind;

use crate::device::Settings;
use crate::record::{Floors, Known, Record};
use crate::roots::Roots;
use crate::storage::{Area, Event, EventKind, Fault, Item, Room, Storage};

/// Why an action was not carried out, nor those behind it.
pub(crate) enum Stop {
    /// There is no room for the release that was to begin; what was being received is as it was.
    Declined,
    /// The storage failed.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Where the parts of a component are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) target: u32,
    pub(crate) geometry: Geometry,
    pub(crate) layout: Layout,
}

/// Carries out what the receive session asks for.
#[derive(Debug)]
pub(crate) struct Keeper<S> {
    pub(crate) storage: S,
    pub(crate) settings: Settings,
    pub(crate) record: Record,
    pub(crate) roots: Roots,
    /// By component; none while no release is being received.
    pub(crate) parts: Vec<Part>,
    /// There is room for repair chunks of that release.
    pub(crate) has_repair_room: bool,
    /// Pages that chunks wait for.
    pub(crate) wanted_pages: Vec<(u8, u32)>,
    /// A beacon that is not kept yet.
    pub(crate) beacon: Option<Vec<u8>>,
    /// Something was written since the last flush.
    pub(crate) is_dirty: bool,
    /// A release is being taken up again after a restart.
    pub(crate) is_resuming: bool,
    pub(crate) noted: Noted,
}

/// What was noted while actions were carried out, to be dealt with after them.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// A release has begun.
    pub(crate) has_begun: bool,
    /// A repair chunk was left out that the session counts.
    pub(crate) lost_repair: bool,
    /// A root has followed: perhaps the kept beacon counts no longer.
    pub(crate) root_followed: bool,
}

impl<S: Storage> Keeper<S> {
    pub(crate) fn tell(&mut self, kind: EventKind, number: u64, code: &'static str) {
        self.storage.tell(Event { kind, number, code });
    }

    pub(crate) fn save_record(&mut self) -> Result<(), Fault> {
        self.storage.save(Item::Record, &self.record.encode())
    }

    /// Carries out one action.
    pub(crate) fn act(&mut self, action: &Action<'_>) -> Result<(), Stop> {
        match *action {
            Action::Begin { manifest } => return self.begin(manifest),
            Action::Follow { manifest } => {
                self.record.see(known(manifest));
                self.save_record()?;
            }
            Action::Write { component, offset, bytes } => {
                let target = self.part(component)?.target;
                self.write(Area::Image, target, offset, bytes)?;
            }
            Action::StoreRepair { .. } if !self.has_repair_room => self.noted.lost_repair = true,
            Action::StoreRepair { component, number, bytes } => {
                let part = self.part(component)?;
                self.write(Area::Scratch, part.target, part.layout.repair(number.into()), bytes)?;
            }
            Action::StorePage { kind, component, cell, payload } => {
                let part = self.part(component)?;
                let mut slot = Vec::new();
                scratch::to_slot(payload, &mut slot);
                self.write(Area::Scratch, part.target, part.layout.page(kind, cell), &slot)?;
            }
            Action::LoadPage { component, cell } => self.wanted_pages.push((component, cell)),
            // What is installed is on the air most of the time.
            Action::Complete | Action::Refused { reason: RefuseReason::Installed { .. }, .. } => {}
            Action::Abandon { sequence, reason } => {
                self.tell(EventKind::Abandoned, sequence, reason.code());
                self.forget_release()?;
            }
            Action::Root { root, voids_floors } => {
                match self.roots.push(root) {
                    Some(kept) => self.storage.save(Item::Roots, kept)?,
                    None => self.tell(EventKind::RootsLost, root.version.into(), "roots-not-kept"),
                }
                self.record.follow(root.version, voids_floors);
                self.save_record()?;
                self.noted.root_followed = true;
                self.tell(EventKind::Root, root.version.into(), "");
            }
            Action::Beacon { beacon } => {
                self.beacon = Some(beacon.statement().to_vec());
                self.tell(EventKind::Beacon, 0, "");
            }
            Action::Refused { sequence, reason } => {
                let is_alarm = matches!(reason, RefuseReason::Equivocation { .. });
                let kind = if is_alarm { EventKind::Alarm } else { EventKind::Refused };
                self.tell(kind, sequence, reason.code());
            }
        }
        Ok(())
    }

    /// Makes room for a release. The statement comes last: without it a restart knows nothing of the release.
    fn begin(&mut self, manifest: &Verified<Manifest>) -> Result<(), Stop> {
        let Some((parts, has_repair_room)) = self.plan(manifest) else { return self.decline(manifest, "scratch") };
        let room = |part: &Part| Room {
            target: part.target,
            image: part.geometry.size(),
            scratch: if has_repair_room { part.layout.size() } else { part.layout.repair(0) },
        };
        let rooms: Vec<_> = parts.iter().map(room).collect();
        if !self.storage.prepare(&rooms, self.is_resuming)? {
            return self.decline(manifest, "no-room");
        }
        (self.parts, self.has_repair_room) = (parts, has_repair_room);
        self.noted.has_begun = true;
        self.wanted_pages.clear();
        if !self.is_resuming {
            self.storage.save(Item::Statement, manifest.statement())?;
            self.tell(EventKind::Begin, manifest.sequence, "");
        }
        Ok(())
    }

    fn decline(&mut self, manifest: &Manifest, code: &'static str) -> Result<(), Stop> {
        self.tell(EventKind::NoRoom, manifest.sequence, code);
        Err(Stop::Declined)
    }

    /// Where the components of a release go, and whether repair chunks go with them. `None` if there is not even room for pages.
    fn plan(&self, manifest: &Manifest) -> Option<(Vec<Part>, bool)> {
        let mut parts = Vec::new();
        let (mut fits, mut fits_without) = (true, true);
        for component in &manifest.components {
            // The policy has refused releases with other targets.
            let number = self.settings.targets.iter().position(|target| target.name == component.target)?;
            let max_scratch = *self.settings.max_scratch.get(number)?;
            let layout = Layout::new(&component.geometry);
            fits &= layout.size() <= max_scratch;
            fits_without &= layout.repair(0) <= max_scratch;
            parts.push(Part { target: u32::try_from(number).ok()?, geometry: component.geometry, layout });
        }
        fits_without.then_some((parts, fits))
    }

    pub(crate) fn write(&mut self, area: Area, target: u32, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.is_dirty = true;
        self.storage.write(area, target, offset, bytes)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        self.storage.flush()?;
        self.is_dirty = false;
        Ok(())
    }

    /// Reads a page or parity page into `payload`, empty if there is none.
    pub(crate) fn read_page(
        &mut self,
        kind: PageKind,
        component: u8,
        cell: u32,
        payload: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let part = self.part(component)?;
        payload.resize(part.layout.slot(), 0);
        self.storage.read(Area::Scratch, part.target, part.layout.page(kind, cell), payload)?;
        scratch::from_slot(payload);
        Ok(())
    }

    /// The release that was being received is of no more use.
    pub(crate) fn forget_release(&mut self) -> Result<(), Fault> {
        self.parts.clear();
        self.wanted_pages.clear();
        self.storage.save(Item::Statement, &[])
    }

    /// A component of the release being received. The session asks for no other; if it did, that would be a fault.
    pub(crate) fn part(&self, component: u8) -> Result<Part, Fault> {
        self.parts.get(usize::from(component)).copied().ok_or(Fault(0))
    }

    /// What the device is and has.
    pub(crate) fn policy(&self) -> Policy {
        let (settings, record) = (&self.settings, &self.record);
        let mark = |known: Option<Known>| known.map(|known| known.mark);
        Policy {
            vendor: settings.vendor,
            classes: settings.classes.clone(),
            targets: settings.targets.iter().map(|t| Target { name: t.name.clone(), max_size: t.max_size }).collect(),
            installed: record.installed.map(|known| (known.mark, known.security_version)),
            has_floors: record.floors == Floors::Hold,
            seen: mark(record.seen),
            trial: mark(record.trial),
            failed: mark(record.failed),
            hardware: settings.hardware,
            wave: settings.wave.map_or(Wave::Seed(record.seed), Wave::Fixed),
            max_packet: settings.max_packet,
            built: settings.built,
        }
    }
}

/// A release by its marks.
pub(crate) fn known(manifest: &Verified<Manifest>) -> Known {
    let mark = Mark { sequence: manifest.sequence, digest: *manifest.payload_digest() };
    Known { mark, security_version: manifest.security_version }
}
