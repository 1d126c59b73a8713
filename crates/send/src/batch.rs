//! Packets back to back, as one system call can send them.

use std::ops::Range;

/// A stretch of datagrams of equal length; the last may be shorter (UDP GSO).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    octets: Range<usize>,
    segment: usize,
}

/// Packets in one buffer, cut into runs that can each be sent as trains.
#[derive(Debug, Default)]
pub struct Batch {
    octets: Vec<u8>,
    runs: Vec<Run>,
    packets: usize,
}

impl Batch {
    /// Empties it; the buffer stays.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.runs.clear();
        self.packets = 0;
    }

    /// Adds a packet.
    pub fn push(&mut self, header: &[u8], payload: &[u8]) {
        let start = self.octets.len();
        self.octets.extend_from_slice(header);
        self.octets.extend_from_slice(payload);
        let end = self.octets.len();
        self.packets += 1;
        match self.runs.last_mut() {
            Some(run) if run.is_open() && end - start <= run.segment => run.octets.end = end,
            _ => self.runs.push(Run { octets: start..end, segment: end - start }),
        }
    }

    /// Octets of all packets.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.octets.len()
    }

    /// Number of packets.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// The runs in order: octets, and the length of each packet but perhaps the last.
    pub fn runs(&self) -> impl Iterator<Item = (&[u8], usize)> {
        self.runs.iter().filter_map(|run| Some((self.octets.get(run.octets.clone())?, run.segment)))
    }
}

impl Run {
    /// Whether no shorter packet has ended it.
    fn is_open(&self) -> bool {
        self.octets.len().is_multiple_of(self.segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(lengths: &[usize]) -> Vec<(usize, usize)> {
        let mut batch = Batch::default();
        for &length in lengths {
            batch.push(&[0; 20], &vec![0; length - 20]);
        }
        assert_eq!((batch.packets(), batch.octets()), (lengths.len(), lengths.iter().sum()));
        batch.runs().map(|(octets, segment)| (octets.len(), segment)).collect()
    }

    #[test]
    fn equal_packets_make_one_run_that_a_shorter_one_ends() {
        assert_eq!(runs(&[100, 100, 100]), [(300, 100)]);
        assert_eq!(runs(&[100, 100, 60, 60, 100]), [(260, 100), (60, 60), (100, 100)]);
        assert_eq!(runs(&[60, 100, 60]), [(60, 60), (160, 100)]);
    }

    #[test]
    fn a_cleared_batch_is_empty() {
        let mut batch = Batch::default();
        batch.push(&[1; 20], &[2]);
        batch.clear();
        assert!(batch.is_empty() && batch.runs().next().is_none());
        batch.push(&[1; 20], &[3, 4]);
        assert_eq!(batch.runs().collect::<Vec<_>>(), [(&[[1; 20].as_slice(), &[3, 4]].concat()[..], 22)]);
    }
}
