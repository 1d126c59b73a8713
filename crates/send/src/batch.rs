//! Packets back to back, as one system call can send them.

use std::collections::VecDeque;
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
    /// Runs not taken yet.
    runs: VecDeque<Run>,
}

impl Batch {
    /// Empties it; the buffer stays.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.runs.clear();
    }

    /// Adds a packet.
    pub fn push(&mut self, header: &[u8], payload: &[u8]) {
        let start = self.octets.len();
        self.octets.extend_from_slice(header);
        self.octets.extend_from_slice(payload);
        let end = self.octets.len();
        match self.runs.back_mut() {
            Some(run) if run.is_open() && end - start <= run.segment => run.octets.end = end,
            _ => self.runs.push_back(Run { octets: start..end, segment: end - start }),
        }
    }

    /// Octets of all packets, those of runs taken included.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.octets.len()
    }

    /// Whether all runs are taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs not taken, in order: octets, and the length of each packet but perhaps the last.
    pub fn runs(&self) -> impl Iterator<Item = (&[u8], usize)> {
        self.runs.iter().filter_map(|run| Some((self.octets.get(run.octets.clone())?, run.segment)))
    }

    /// The first run not taken.
    #[must_use]
    pub fn first_run(&self) -> Option<(&[u8], usize)> {
        self.runs().next()
    }

    /// Takes the first run off.
    pub fn take_run(&mut self) {
        self.runs.pop_front();
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
        assert_eq!(batch.octets(), lengths.iter().sum::<usize>());
        batch.runs().map(|(octets, segment)| (octets.len(), segment)).collect()
    }

    #[test]
    fn equal_packets_make_one_run_that_a_shorter_one_ends() {
        assert_eq!(runs(&[100, 100, 100]), [(300, 100)]);
        assert_eq!(runs(&[100, 100, 60, 60, 100]), [(260, 100), (60, 60), (100, 100)]);
        assert_eq!(runs(&[60, 100, 60]), [(60, 60), (160, 100)]);
    }

    #[test]
    fn runs_are_taken_in_order() {
        let mut batch = Batch::default();
        batch.push(&[1; 20], &[1]);
        batch.push(&[2; 20], &[2, 2]);
        batch.take_run();
        assert_eq!(batch.runs().collect::<Vec<_>>(), [(&[2; 22][..], 22)]);
        batch.take_run();
        assert!(batch.is_empty() && batch.octets() == 43);
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
