//! The flash of a device, and what lies where in it.

/// Octets of a sector, the least that can be erased.
pub const SECTOR: u32 = 4096;

/// The flash does not do what it is told, or does not keep it. Start anew from [`crate::Receiver::new`], or give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// NOR flash: erasing sets all bits of a sector, writing clears some.
///
/// Nothing here writes an octet twice between two erasures, and writes begin at multiples of 64, so flash that is written by words of up to 64
/// octets does: fill up the last word with `FF`.
pub trait Flash {
    /// Reads from `at` on.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it cannot be read.
    fn read(&self, at: u32, buf: &mut [u8]) -> Result<(), Fault>;

    /// Writes erased octets from `at` on.
    ///
    /// # Errors
    ///
    /// [`Fault`] if they do not read back as they should.
    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Fault>;

    /// Erases the sector that begins at `at`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not blank then.
    fn erase(&mut self, at: u32) -> Result<(), Fault>;
}

/// Whole sectors in a row.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Where they begin.
    pub start: u32,
    /// How many octets they have.
    pub len: u32,
}

/// What lies where.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Two sectors for the highest release that was followed.
    pub record: u32,
    /// Pages of the release in the slot.
    pub pages: Region,
    /// The image.
    pub slot: Region,
}

/// Whether `len` octets from `at` on are erased.
pub(crate) fn is_blank(flash: &impl Flash, at: u32, len: u32) -> Result<bool, Fault> {
    let mut buf = [0; 64];
    for at in (at..at.saturating_add(len)).step_by(buf.len()) {
        flash.read(at, &mut buf)?;
        if buf.iter().any(|octet| *octet != 0xFF) {
            return Ok(false);
        }
    }
    Ok(true)
}
