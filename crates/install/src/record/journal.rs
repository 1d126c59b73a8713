//! The form of the record's file: two copies, so that damage to one loses nothing.
//!
//! Copy 0 stands at offset 0, copy 1 at [`AREA`]. A change writes and flushes one copy, then the other: a power cut
//! tears at most the one being written, and the other is whole. What counts is the whole copy with the higher counter.
//!
//! | copy 0 | copy 1 | means |
//! | --- | --- | --- |
//! | n | n | as it should be |
//! | n+1 | n | power failed between both: n+1 counts |
//! | damaged | n | power failed in copy 0, or it rotted: n counts |
//! | n | damaged | power failed in copy 1, or it rotted: n counts |
//! | damaged | damaged | unreadable: nothing may be installed |
//!
//! Whoever opens the record for writing makes both alike again first.

use super::codec::MAX_COPY;
use super::{DecodeError, PlanError, Record};

/// Bytes from one copy to the next.
pub const AREA: usize = MAX_COPY;
/// Bytes of the file.
pub const FILE: usize = 2 * AREA;

/// The record as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The record.
    pub record: Record,
    /// Its counter.
    pub counter: u64,
    /// Both copies are whole and alike.
    pub is_whole: bool,
}

/// Finds what counts in the bytes of a file.
///
/// # Errors
///
/// The [`DecodeError`] of copy 0 if neither copy is whole.
pub fn read(bytes: &[u8]) -> Result<Found, DecodeError> {
    let (first, second) = bytes.split_at(bytes.len().min(AREA));
    match (Record::decode(first), Record::decode(second)) {
        (Ok((a, record)), Ok((b, other))) => {
            let is_whole = a == b && record == other;
            let (counter, record) = if a >= b { (a, record) } else { (b, other) };
            Ok(Found { record, counter, is_whole })
        }
        (Ok((counter, record)), Err(_)) | (Err(_), Ok((counter, record))) => {
            Ok(Found { record, counter, is_whole: false })
        }
        (Err(reason), Err(_)) => Err(reason),
    }
}

/// Number of the copy to write first: the one that does not count.
#[must_use]
pub fn stale_copy(bytes: &[u8], found: &Found) -> usize {
    let is_second = Record::decode(bytes.get(AREA..).unwrap_or_default()) == Ok((found.counter, found.record.clone()));
    usize::from(!is_second)
}

/// A whole new file.
///
/// # Errors
///
/// [`PlanError`] if a field is out of its bounds.
pub fn write(record: &Record, counter: u64) -> Result<Vec<u8>, PlanError> {
    let copy = record.encode(counter)?;
    let mut file = vec![0; FILE];
    for area in file.chunks_mut(AREA) {
        area.iter_mut().zip(&copy).for_each(|(to, from)| *to = *from);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(first: u64, second: u64) -> Vec<u8> {
        let mut file = write(&Record { seed: [1; 16], ..Record::default() }, first).unwrap();
        let copy = Record { seed: [2; 16], ..Record::default() }.encode(second).unwrap();
        file[AREA..AREA + copy.len()].copy_from_slice(&copy);
        file
    }

    #[test]
    fn the_higher_counter_counts_and_damage_to_either_copy_loses_nothing_older() {
        let seed = |bytes: &[u8]| read(bytes).map(|found| (found.record.seed[0], found.counter, found.is_whole));
        assert_eq!(seed(&file(7, 6)), Ok((1, 7, false)));
        assert_eq!(seed(&file(6, 7)), Ok((2, 7, false)));
        for at in 0..17 + 25 + 16 {
            let mut one = file(7, 6);
            one[at] ^= 1;
            let mut other = file(7, 6);
            other[AREA + at] ^= 1;
            // Head, body, checksum.
            assert_eq!((seed(&one), seed(&other)), (Ok((2, 6, false)), Ok((1, 7, false))), "octet {at}");
            one[AREA + at] ^= 1;
            assert!(seed(&one).is_err());
        }
    }

    #[test]
    fn a_new_file_is_whole_and_a_cut_one_is_read_from_its_first_copy() {
        let new = write(&Record::default(), 1).unwrap();
        assert!(new.len() == FILE && read(&new).unwrap().is_whole);
        assert!(!read(&new[..AREA + 5]).unwrap().is_whole);
        assert_eq!(read(&new[..5]).unwrap_err().code(), "truncated");
        assert_eq!(read(&[]).unwrap_err().code(), "truncated");
        assert_eq!(read(&vec![0; FILE]).unwrap_err().code(), "magic");
    }
}
