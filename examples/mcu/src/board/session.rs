//! Datagrams from a file of the host, in place of the network.

use fleetcast_core::reader::Reader;
use fleetcast_core::time::Instant;
use semihosting::fs::File;
use semihosting::io::Read as _;

#[derive(Debug)]
pub(crate) enum Record<'a> {
    Datagram {
        time: Instant,
        source: u32,
        bytes: &'a [u8],
    },
    /// Power is to fail at the write or erasure of this number.
    PowerCut {
        at: u32,
    },
}

/// The file `session`.
#[derive(Debug)]
pub(crate) struct Session(File);

impl Session {
    pub(crate) fn open() -> Option<Self> {
        File::open(c"session").ok().map(Self)
    }

    /// The next record, whose datagram must fit `buf`.
    pub(crate) fn next<'a>(&mut self, buf: &'a mut [u8]) -> Option<Record<'a>> {
        let mut head = [0; 10];
        self.0.read_exact(&mut head).ok()?;
        let mut r = Reader::new(&head);
        let millis = u32::from_be_bytes(r.array().ok()?);
        let source = u32::from_be_bytes(r.array().ok()?);
        let len = usize::from(u16::from_be_bytes(r.array().ok()?));
        if len == 0 {
            return Some(Record::PowerCut { at: source });
        }
        let bytes = buf.get_mut(..len)?;
        self.0.read_exact(bytes).ok()?;
        Some(Record::Datagram { time: Instant::from_micros(u64::from(millis) * 1000), source, bytes })
    }
}
