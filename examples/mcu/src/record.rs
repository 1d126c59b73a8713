//! The highest release of which a chunk has come, in flash (spec §4 \[M-7\]).
//!
//! Two sectors of entries. Numbers only grow, so the entry with the highest one counts, and a sector whose entries are all lower can be erased.

use alloc::vec::Vec;

use fleetcast_core::reader::Reader;
use fleetcast_core::session::Mark;
use sha2::{Digest as _, Sha256};

use crate::flash::{Fault, Flash, SECTOR, is_blank};

/// Octets of an entry.
const ENTRY: u32 = 64;
const TAG: &[u8; 16] = b"fleetcast-mcu-01";

/// The highest release, if there is any.
pub(crate) fn read(flash: &impl Flash, record: u32) -> Result<Option<Mark>, Fault> {
    newest(flash, record).map(|newest| newest.map(|(_, mark)| mark))
}

/// Records a release that is above all others.
pub(crate) fn write(flash: &mut impl Flash, record: u32, mark: &Mark) -> Result<(), Fault> {
    let newest = newest(flash, record)?.map_or(record, |(at, _)| at);
    let current = newest - (newest - record) % SECTOR;
    for at in entries(current) {
        if is_blank(flash, at, ENTRY)? {
            return flash.write(at, &encode(mark));
        }
    }
    let other = if current == record { record + SECTOR } else { record };
    flash.erase(other)?;
    flash.write(other, &encode(mark))
}

fn entries(sector: u32) -> impl Iterator<Item = u32> {
    (sector..sector + SECTOR).step_by(ENTRY as usize)
}

fn newest(flash: &impl Flash, record: u32) -> Result<Option<(u32, Mark)>, Fault> {
    let mut newest: Option<(u32, Mark)> = None;
    for at in entries(record).chain(entries(record + SECTOR)) {
        let mut entry = [0; ENTRY as usize];
        flash.read(at, &mut entry)?;
        if let Some(mark) = decode(&entry)
            && newest.is_none_or(|(_, newest)| newest.sequence < mark.sequence)
        {
            newest = Some((at, mark));
        }
    }
    Ok(newest)
}

/// Sequence, digest, and a check that tells an entry from one that power has cut off.
fn encode(mark: &Mark) -> Vec<u8> {
    let mut entry = Vec::with_capacity(ENTRY as usize);
    entry.extend_from_slice(&mark.sequence.to_be_bytes());
    entry.extend_from_slice(&mark.digest);
    let check = check(&entry);
    entry.extend_from_slice(&check);
    entry
}

fn decode(entry: &[u8]) -> Option<Mark> {
    let mut r = Reader::new(entry);
    let (body, found) = (r.take(40).ok()?, r.array::<16>().ok()?);
    let mut r = Reader::new(body);
    let mark = Mark { sequence: u64::from_be_bytes(r.array().ok()?), digest: r.array().ok()? };
    (found == check(body)).then_some(mark)
}

fn check(body: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::new().chain_update(TAG).chain_update(body).finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}
