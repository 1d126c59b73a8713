//! Partial files beside their targets.

use std::path::{Path, PathBuf};

use crate::disk::{Disk, Kind, Stat};
use crate::durable::folder_of;
use crate::fault::{At as _, Fault};
use crate::fixed::FixedFile;
use crate::parts;
use crate::record::{Component, Plan};
use crate::room::Rooms;
use crate::staging::Staging;

/// Opens the partial files of a release.
pub(crate) fn open<D: Disk>(disk: &D, plan: &Plan, freed: &[PathBuf]) -> Result<Staging<D>, Fault> {
    plan.check()?;
    check_targets_and_room(disk, plan, freed)?;
    let open = |component: &Component| {
        let path = parts::staged(&component.target, &plan.release.manifest);
        FixedFile::open(disk, path, component.size)
    };
    let parts = plan.components.iter().map(open).collect::<Result<_, _>>()?;
    Ok(Staging::new(disk.clone(), plan, parts, None))
}

/// Removes them.
pub(crate) fn discard<D: Disk>(disk: &D, staging: &Staging<D>) -> Result<(), Fault> {
    staging.parts().try_for_each(|(part, _)| disk.remove(part.path()).at("remove", part.path()))
}

/// Refuses targets that are no files, and a release that does not fit, before anything
/// is created. What earlier runs wrote counts as there, and what `freed` occupies as free.
fn check_targets_and_room<D: Disk>(disk: &D, plan: &Plan, freed: &[PathBuf]) -> Result<(), Fault> {
    let mut rooms = Rooms::default();
    for Component { target, size, .. } in &plan.components {
        regular(disk, target)?;
        let there = allocated(disk, &parts::staged(target, &plan.release.manifest))?;
        rooms.need(disk, folder_of(target), size.saturating_sub(there))?;
    }
    for path in freed {
        rooms.free(disk, folder_of(path), allocated(disk, path)?)?;
    }
    rooms.check()
}

/// Bytes that a regular file occupies; 0 if there is none.
fn allocated<D: Disk>(disk: &D, path: &Path) -> Result<u64, Fault> {
    Ok(regular(disk, path)?.map_or(0, |found| found.allocated))
}

/// What bears a name that only a regular file may bear.
fn regular<D: Disk>(disk: &D, path: &Path) -> Result<Option<Stat>, Fault> {
    match disk.stat(path).at("look at", path)? {
        Some(found) if found.kind != Kind::File => Err(Fault::NotRegular { path: path.into() }),
        found => Ok(found),
    }
}
