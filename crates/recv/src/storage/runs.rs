//! Joins small writes that follow each other into large ones.

use fleetcast_install::Fault;

/// Runs that grow at the same time: several components in one carousel, several senders at other places of it.
const RUNS: usize = 4;
/// Octets of a run that is full.
const FULL: usize = 64 << 10;

/// Which file of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    Image,
    Scratch,
}

/// Where a write begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) area: Area,
    pub(super) component: u8,
    pub(super) offset: u64,
}

/// Writes that wait for their neighbours.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The one written to last is last.
    runs: Vec<Run>,
}

#[derive(Debug)]
struct Run {
    start: Place,
    bytes: Vec<u8>,
}

impl Run {
    fn end(&self) -> Place {
        Place { offset: self.start.offset + self.bytes.len() as u64, ..self.start }
    }
}

impl Runs {
    /// Adds a write; hands to `put` what has to make room for it or is full.
    pub(super) fn push(
        &mut self,
        place: Place,
        bytes: &[u8],
        mut put: impl FnMut(Place, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match self.runs.iter().position(|run| run.end() == place) {
            Some(at) => self.runs[at..].rotate_left(1),
            None if self.runs.len() < RUNS => self.runs.push(Run { start: place, bytes: Vec::with_capacity(FULL) }),
            None => {
                self.runs.rotate_left(1);
                self.runs[RUNS - 1].write_out(&mut put)?;
                self.runs[RUNS - 1].start = place;
            }
        }
        let Some(run) = self.runs.last_mut() else { return Ok(()) };
        run.bytes.extend_from_slice(bytes);
        if run.bytes.len() >= FULL { run.write_out(&mut put) } else { Ok(()) }
    }

    /// Forgets what waits for one kind of file.
    pub(super) fn forget(&mut self, area: Area) {
        self.runs.retain(|run| run.start.area != area);
    }

    /// Hands everything to `put`.
    pub(super) fn flush(&mut self, mut put: impl FnMut(Place, &[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        self.runs.iter_mut().try_for_each(|run| run.write_out(&mut put))
    }
}

impl Run {
    /// Hands the run to `put`, and goes on empty behind it.
    fn write_out(&mut self, mut put: impl FnMut(Place, &[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        if !self.bytes.is_empty() {
            put(self.start, &self.bytes)?;
            self.start = self.end();
            self.bytes.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(component: u8, offset: u64) -> Place {
        Place { area: Area::Image, component, offset }
    }

    /// Pushes chunks of 1,024 octets and tells each write that left as (component, offset, octets).
    fn written(chunks: impl IntoIterator<Item = (u8, u64)>) -> Vec<(u8, u64, usize)> {
        let (mut runs, mut out) = (Runs::default(), Vec::new());
        let mut put = |at: Place, bytes: &[u8]| {
            out.push((at.component, at.offset, bytes.len()));
            Ok(())
        };
        for (component, number) in chunks {
            runs.push(place(component, number * 1024), &[0; 1024], &mut put).unwrap();
        }
        runs.flush(&mut put).unwrap();
        runs.flush(&mut put).unwrap();
        out
    }

    #[test]
    fn neighbours_leave_in_one_write() {
        assert_eq!(written((0..100).map(|i| (0, i))), [(0, 0, 65_536), (0, 65_536, 36_864)]);
    }

    #[test]
    fn as_many_runs_grow_at_once_as_there_is_room_for() {
        let interleaved = (0..64).flat_map(|i| [(0, i), (1, i), (2, i), (0, 1000 + i)]);
        let runs = [(0, 0, 65_536), (1, 0, 65_536), (2, 0, 65_536), (0, 1_024_000, 65_536)];
        assert_eq!(written(interleaved), runs);
    }

    #[test]
    fn a_run_that_breaks_off_makes_room_and_loses_nothing() {
        let mut out = written([0, 1, 5, 9, 13, 17, 2, 18].map(|i| (0, i)));
        out.sort_unstable();
        let kib = |number: u64, chunks: usize| (0, number * 1024, chunks * 1024);
        assert_eq!(out, [kib(0, 2), kib(2, 1), kib(5, 1), kib(9, 1), kib(13, 1), kib(17, 2)]);
    }
}
