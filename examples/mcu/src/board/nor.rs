//! NOR flash, simulated in memory of the machine that the linker does not hand out.

use fleetcast_mcu::{Fault, Flash, SECTOR};

/// Where it lies.
const BASE: usize = 0x2010_0000;
/// Octets of it.
const LEN: usize = 1 << 20;

/// The whole flash. What is in it outlives this value, as it outlives a loss of power.
#[derive(Debug)]
pub(crate) struct Nor(&'static mut [u8]);

impl Nor {
    /// The program has one at a time.
    pub(crate) fn new() -> Self {
        // SAFETY: the machine has memory there, any octets will do, and nothing else refers to it.
        Self(unsafe { core::slice::from_raw_parts_mut(BASE as *mut u8, LEN) })
    }

    /// An image in it.
    pub(crate) fn image(&self, at: u32, len: u64) -> Option<&[u8]> {
        self.0.get(at as usize..)?.get(..usize::try_from(len).ok()?)
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
        place.ok_or(Fault)?.copy_from_slice(bytes);
        Ok(())
    }

    fn erase(&mut self, at: u32) -> Result<(), Fault> {
        let sector = self.0.get_mut(at as usize..).and_then(|rest| rest.get_mut(..SECTOR as usize));
        sector.filter(|_| at.is_multiple_of(SECTOR)).ok_or(Fault)?.fill(0xFF);
        Ok(())
    }
}
