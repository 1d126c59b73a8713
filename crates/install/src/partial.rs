//! Partial files beside their targets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, Kind, Space, Stat};
use crate::durable::folder_of;
use crate::fault::{At as _, Fault};
use crate::fixed::FixedFile;
use crate::parts;
use crate::record::{Component, Plan};
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
        Some(found) if found.kind != Kind::File => Err(Fault::NotRegular { path: path.into() }),
        found => Ok(found),
    }
}
