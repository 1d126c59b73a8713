//! The roots that have followed the one a device was made with, kept across restarts.
//!
//! One file: of each root its version and length, 16 bits each, big-endian, then its statement. Nothing of it is believed: at each
//! start it is walked from the root of the settings, and verified like what comes from the network. Roots that a newer root of
//! the settings covers are passed over, and stay for software that was made with an older one.

use std::path::PathBuf;

use fleetcast_core::manifest::Uuid;
use fleetcast_core::trust::{Root, Step, Trust, Verified};
use fleetcast_install::{Disk, Fault, durable};

use crate::config::Config;
use crate::storage::is_failing;

/// Name of the file.
pub(crate) const ROOTS: &str = "roots";
/// Name of one that does not follow from the root of the settings, for people to look at.
pub(crate) const ASIDE: &str = "roots.aside";
/// Octets of the file, at most: some thousand roots.
const MAX_FILE: u32 = 1 << 20;

/// The file as it was found.
#[derive(Debug)]
pub(crate) struct Chain {
    /// What it leads to.
    pub(crate) trust: Trust,
    /// The roots that have followed: version, and whether it makes floors void.
    pub(crate) steps: Vec<(u16, bool)>,
    /// Why not all of it could be followed.
    pub(crate) broken: Option<String>,
    /// The version it was walked from.
    start: u16,
    path: PathBuf,
    /// What the file had, until that is dealt with.
    found: Vec<u8>,
    /// What it has, as far as it was followed.
    kept: Vec<u8>,
}

impl Chain {
    /// Walks it.
    ///
    /// # Errors
    ///
    /// [`Fault`] of the storage. What cannot be read is as if it were not there, but told.
    pub(crate) fn walk<D: Disk>(disk: &D, config: &Config) -> Result<Self, Fault> {
        let (path, trust) = (config.state.join(ROOTS), config.trust.clone());
        let (found, broken) = match durable::read_bounded(disk, &path, MAX_FILE) {
            Ok(found) => (found.unwrap_or_default(), None),
            Err(fault) if is_failing(&fault) || matches!(fault, Fault::TooLarge { .. }) => {
                (Vec::new(), Some(fault.to_string()))
            }
            Err(fault) => return Err(fault),
        };
        let start = trust.version();
        let mut chain = Self { trust, steps: Vec::new(), broken, start, path, found, kept: Vec::new() };
        let mut rest = &chain.found[..];
        while !rest.is_empty() {
            let Some((version, statement, behind)) = entry(rest) else {
                chain.broken = Some("it is cut off".into());
                break;
            };
            if version > chain.trust.version() {
                match follow(&mut chain.trust, statement, config.vendor) {
                    Ok(step) => chain.steps.push((chain.trust.version(), step.voids_floors)),
                    Err(reason) => {
                        let last = chain.trust.version();
                        chain.broken = Some(format!("root {version} of it does not follow root {last}: {reason}"));
                        break;
                    }
                }
            }
            rest = behind;
        }
        chain.kept = chain.found[..chain.found.len() - rest.len()].to_vec();
        Ok(chain)
    }

    /// Puts a copy aside of what could not be followed, and gives the reason. What becomes of the copy changes nothing.
    pub(super) fn put_aside<D: Disk>(&mut self, disk: &D) -> Option<String> {
        let found = std::mem::take(&mut self.found);
        let reason = self.broken.take()?;
        if !found.is_empty() {
            let _ = durable::replace(disk, &self.path.with_file_name(ASIDE), &found)
                .and_then(|()| durable::replace(disk, &self.path, &self.kept));
        }
        Some(reason)
    }

    /// Adds the root that follows, and returns once it survives a power cut; false if there is no place for it.
    pub(super) fn keep<D: Disk>(&mut self, disk: &D, root: &Verified<Root>) -> Result<bool, Fault> {
        let statement = root.statement();
        let Ok(length) = u16::try_from(statement.len()) else { return Ok(false) };
        let entry = [&root.version.to_be_bytes(), &length.to_be_bytes(), statement].concat();
        let max = usize::try_from(MAX_FILE).unwrap_or(usize::MAX);
        if self.kept.len() + entry.len() > max {
            self.drop_covered();
        }
        if self.kept.len() + entry.len() > max {
            return Ok(false);
        }
        self.kept.extend(entry);
        durable::replace(disk, &self.path, &self.kept).map(|()| true)
    }

    fn drop_covered(&mut self) {
        let mut rest = &self.kept[..];
        while let Some((version, _, behind)) = entry(rest)
            && version <= self.start
        {
            rest = behind;
        }
        self.kept = rest.to_vec();
    }
}

/// Version and statement of the first root, and what is behind it.
fn entry(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (version, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (statement, behind) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    Some((u16::from_be_bytes(*version), statement, behind))
}

fn follow(trust: &mut Trust, statement: &[u8], vendor: Uuid) -> Result<Step, String> {
    let mut next = trust.clone();
    let step = next.step(statement).map_err(|e| e.to_string())?;
    // Keys alone are of any vendor.
    if next.root().is_none_or(|root| root.vendor != vendor) {
        return Err("it is another vendor's".into());
    }
    *trust = next;
    Ok(step)
}
