//! Partial files beside their targets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::backend::{Staging, Unverified, VerifyError};
use crate::disk::{Disk, Space, Stat};
use crate::durable::folder_of;
use crate::fault::{At as _, Fault};
use crate::fixed::FixedFile;
use crate::parts;
use crate::record::{Component, Plan};

/// Mode of an image whose target does not exist yet.
const NEW_MODE: u32 = 0o644;

/// The partial files of one release, locked.
#[derive(Debug)]
pub struct FileStaging<D: Disk> {
    disk: D,
    plan: Plan,
    parts: Vec<FixedFile<D>>,
}

/// Partial files that were read back and found to be the images. Comes only from
/// [`Staging::verify`].
#[derive(Debug)]
pub struct VerifiedStaging<D: Disk>(FileStaging<D>);

impl<D: Disk> FileStaging<D> {
    pub(super) fn open(disk: D, plan: &Plan, freed: &[PathBuf]) -> Result<Self, Fault> {
        plan.check()?;
        check_targets_and_room(&disk, plan, freed)?;
        let open = |component: &Component| {
            let path = parts::staged(&component.target, &plan.release.manifest);
            FixedFile::open(&disk, path, component.size)
        };
        let parts = plan.components.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { disk, plan: plan.clone(), parts })
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = (&FixedFile<D>, &Component)> {
        self.parts.iter().zip(&self.plan.components)
    }

    /// Gives each partial file the mode it is to have as a target, and flushes it.
    pub(super) fn take_modes_of_targets(&self) -> Result<(), Fault> {
        for (part, Component { target, .. }) in self.parts() {
            let old = self.disk.stat(target).at("look at", target)?;
            // Without setuid and setgid: the new file belongs to us, not to the owner
            // those bits were meant for.
            part.set_mode(old.map_or(NEW_MODE, |old| old.mode & 0o777))?;
            part.flush()?;
        }
        Ok(())
    }

    fn part(&self, component: usize) -> Result<&FixedFile<D>, Fault> {
        let none = Fault::NoComponent { component, count: self.parts.len() };
        self.parts.get(component).ok_or(none)
    }

    fn mismatches(&self) -> Result<Vec<usize>, Fault> {
        let mut wrong = Vec::new();
        for (nth, (part, component)) in self.parts().enumerate() {
            if !part.is(component.size, &component.sha256)? {
                wrong.push(nth);
            }
        }
        Ok(wrong)
    }
}

impl<D: Disk> Staging for FileStaging<D> {
    type Verified = VerifiedStaging<D>;

    fn write_at(&mut self, component: usize, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.part(component)?.write_at(offset, bytes)
    }

    fn read_at(&self, component: usize, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        self.part(component)?.read_at(offset, buf)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        for (part, component) in self.parts() {
            part.flush()?;
            let folder = folder_of(&component.target);
            self.disk.flush_dir(folder).at("flush", folder)?;
        }
        Ok(())
    }

    fn verify(self) -> Result<VerifiedStaging<D>, Unverified<Self>> {
        let reason = match self.mismatches() {
            Ok(wrong) if wrong.is_empty() => return Ok(VerifiedStaging(self)),
            Ok(components) => VerifyError::Mismatch { components },
            Err(fault) => fault.into(),
        };
        Err(Unverified { staging: Box::new(self), reason })
    }
}

impl<D: Disk> VerifiedStaging<D> {
    pub(super) fn into_inner(self) -> FileStaging<D> {
        self.0
    }
}

/// Refuses targets that are no files, and a release that does not fit, before anything
/// is created. What earlier runs wrote counts as there, and what `freed` occupies as free.
fn check_targets_and_room<D: Disk>(disk: &D, plan: &Plan, freed: &[PathBuf]) -> Result<(), Fault> {
    let mut rooms: BTreeMap<u64, (PathBuf, u64, u64)> = BTreeMap::new();
    for Component { target, size, .. } in &plan.components {
        regular(disk, target)?;
        let folder = folder_of(target);
        let Space { device, free } = disk.space(folder).at("look at", folder)?;
        let staged = parts::staged(target, &plan.release.manifest);
        let there = regular(disk, &staged)?.map_or(0, |Stat { allocated, .. }| allocated);
        let (_, needed, _) = rooms.entry(device).or_insert((folder.into(), 0, free));
        *needed = needed.saturating_add(size.saturating_sub(there));
    }
    for path in freed {
        let Space { device, .. } = disk.space(folder_of(path)).at("look at", folder_of(path))?;
        if let (Some((.., available)), Some(stale)) = (rooms.get_mut(&device), regular(disk, path)?) {
            *available = available.saturating_add(stale.allocated);
        }
    }
    match rooms.into_values().find(|(_, needed, available)| needed > available) {
        Some((folder, needed, available)) => Err(Fault::NoRoom { folder, needed, available }),
        None => Ok(()),
    }
}

/// What bears a name that only a regular file may bear.
fn regular<D: Disk>(disk: &D, path: &Path) -> Result<Option<Stat>, Fault> {
    match disk.stat(path).at("look at", path)? {
        Some(found) if !found.regular => Err(Fault::NotRegular { path: path.into() }),
        found => Ok(found),
    }
}
