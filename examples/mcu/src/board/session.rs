//! Datagrams from a file of the host, in place of the network.

use fleetcast_core::reader::Reader;
use fleetcast_core::time::Instant;
use semihosting::fs::File;
use semihosting::io::Read as _;

/// One datagram, or a loss of power if it is empty.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) time: Instant,
    pub(crate) source: u32,
    pub(crate) datagram: &'a [u8],
}

/// The file `session`.
#[derive(Debug)]
pub(crate) struct Session(File);

impl Session {
    pub(crate) fn open() -> Option<Self> {
        File::open(c"session").ok().map(Self)
    }

    /// The next datagram, which must fit `buf`.
    pub(crate) fn next<'a>(&mut self, buf: &'a mut [u8]) -> Option<Record<'a>> {
        let mut head = [0; 10];
        self.0.read_exact(&mut head).ok()?;
        let mut r = Reader::new(&head);
        let millis = u32::from_be_bytes(r.array().ok()?);
        let source = u32::from_be_bytes(r.array().ok()?);
        let len = usize::from(u16::from_be_bytes(r.array().ok()?));
        let datagram = buf.get_mut(..len)?;
        self.0.read_exact(datagram).ok()?;
        Some(Record { time: Instant::from_micros(u64::from(millis) * 1000), source, datagram })
    }
}
