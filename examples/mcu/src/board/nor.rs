//! NOR flash, simulated in memory of the machine that the linker does not hand out.

use core::sync::atomic::{AtomicU32, Ordering};

use fleetcast_mcu::{Fault, Flash, SECTOR};

/// Where it lies.
const BASE: usize = 0x2010_0000;
/// Octets of it.
const LEN: usize = 1 << 20;

/// Writes and erasures until power fails, in the middle of the last one; the highest number if it does not.
static CHARGE: AtomicU32 = AtomicU32::new(u32::MAX);

/// Has power fail in the middle of the write or erasure of this number, from 1 on.
pub(crate) fn discharge(charge: u32) {
    CHARGE.store(charge, Ordering::Relaxed);
}

/// The whole flash. What is in it outlives this value, as it outlives a loss of power.
#[derive(Debug)]
pub(crate) struct Nor(&'static mut [u8]);

impl Nor {
    /// The flash, with power. The program has one at a time.
    pub(crate) fn new() -> Self {
        discharge(u32::MAX);
        // SAFETY: the machine has memory there, any octets will do, and nothing else refers to it.
        Self(unsafe { core::slice::from_raw_parts_mut(BASE as *mut u8, LEN) })
    }

    /// An image in it.
    pub(crate) fn image(&self, at: u32, len: u64) -> Option<&[u8]> {
        self.0.get(at as usize..)?.get(..usize::try_from(len).ok()?)
    }
}

/// Of `len` octets, how many are written or erased.
fn powered(len: usize) -> usize {
    match CHARGE.load(Ordering::Relaxed) {
        0 => 0,
        u32::MAX => len,
        charge => {
            discharge(charge - 1);
            if charge == 1 { len / 2 } else { len }
        }
    }
}

impl Flash for Nor {
    fn read(&self, at: u32, buf: &mut [u8]) -> Result<(), Fault> {
        let stored = self.0.get(at as usize..).and_then(|rest| rest.get(..buf.len())).ok_or(Fault)?;
        buf.copy_from_slice(stored);
        Ok(())
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Fault> {
        let place = self.0.get_mut(at as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
        let place = place.filter(|place| at.is_multiple_of(64) && place.iter().all(|octet| *octet == 0xFF));
        let written = powered(bytes.len());
        place.ok_or(Fault)?.iter_mut().zip(bytes.iter().take(written)).for_each(|(octet, new)| *octet = *new);
        if written == bytes.len() { Ok(()) } else { Err(Fault) }
    }

    fn erase(&mut self, at: u32) -> Result<(), Fault> {
        let sector = self.0.get_mut(at as usize..).and_then(|rest| rest.get_mut(..SECTOR as usize));
        let sector = sector.filter(|_| at.is_multiple_of(SECTOR)).ok_or(Fault)?;
        let erased = powered(sector.len());
        sector.iter_mut().take(erased).for_each(|octet| *octet = 0xFF);
        if erased == sector.len() { Ok(()) } else { Err(Fault) }
    }
}
