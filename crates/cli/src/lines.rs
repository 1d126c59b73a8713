//! Lines on stdout that never wait for their reader.
//!
//! A pipe that nobody reads is soon full, and then a write to it waits. Daemons tell what they do as lines, so a thread of
//! its own writes them, behind a queue: a stalled reader costs lines, but no packets, and holds up no signal.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::command::warn;

/// Most lines that wait to be written.
const CAPACITY: usize = 256;
/// Lines that may wait for a further one to be offered; the rest of the queue is for lines that matter.
const OFFERED: usize = CAPACITY / 2;
/// How long a line that matters waits for room, and the last ones for their reader.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes lines from a thread of its own, in order.
///
/// When it is dropped, it waits up to a second for what is still to be written.
#[derive(Debug)]
pub struct Lines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something of the state changed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<String>,
    /// A line is being written.
    is_writing: bool,
    reader: Reader,
    /// No further line will come.
    is_finished: bool,
    dropped: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reader {
    #[default]
    Reads,
    /// The last wait for room was in vain, and nothing was written since.
    Stalled,
    /// It has gone, or the output failed: nothing is written any more.
    Gone,
}

impl Lines {
    /// Lines on stdout.
    ///
    /// # Panics
    ///
    /// If the system gives no thread.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it starts a thread")]
    pub fn new() -> Self {
        Self::to(io::stdout())
    }

    fn to(output: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::spawn(move || writer.write_all(output));
        Self { shared }
    }

    /// Hands over a line, without its line feed, that is dropped if many wait already: one like it will follow.
    pub fn offer(&self, line: String) {
        let state = self.shared.lock();
        self.shared.put(state, line, OFFERED);
    }

    /// Hands over a line, without its line feed, that matters: it waits up to a second for room before it is dropped.
    ///
    /// When that was in vain, later ones do not wait before something was written again.
    pub fn send(&self, line: String) {
        let mut state = self.shared.lock();
        if state.reader == Reader::Reads {
            let is_full = |s: &mut State| s.queue.len() >= CAPACITY && s.reader == Reader::Reads;
            state = self.shared.wait_while(state, PATIENCE, is_full);
            if is_full(&mut state) {
                state.reader = Reader::Stalled;
            }
        }
        self.shared.put(state, line, CAPACITY);
    }

    /// Lines dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    /// Waits up to `patience` until all is written. What is not written by then is lost.
    pub fn finish(self, patience: Duration) {
        self.shared.finish(patience);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.shared.finish(PATIENCE);
    }
}

impl Shared {
    /// The lines are whole, whatever became of a thread that held the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        patience: Duration,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.changed.wait_timeout_while(state, patience, condition).unwrap_or_else(PoisonError::into_inner).0
    }

    fn put(&self, mut state: MutexGuard<'_, State>, mut line: String, room: usize) {
        if state.reader == Reader::Gone || state.queue.len() >= room {
            state.dropped += 1;
            return;
        }
        line.push('\n');
        state.queue.push_back(line);
        drop(state);
        self.changed.notify_all();
    }

    fn finish(&self, patience: Duration) {
        let mut state = self.lock();
        if state.is_finished {
            return;
        }
        state.is_finished = true;
        self.changed.notify_all();
        drop(self.wait_while(state, patience, |s| (s.is_writing || !s.queue.is_empty()) && s.reader != Reader::Gone));
    }

    /// The writing thread: ends when no further line will come, or cannot be written.
    fn write_all(&self, mut output: impl Write) {
        let mut state = self.lock();
        loop {
            let Some(line) = state.queue.pop_front() else {
                if state.is_finished {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.is_writing = true;
            drop(state);
            self.changed.notify_all();
            let written = output.write_all(line.as_bytes()).and_then(|()| output.flush());
            state = self.lock();
            state.is_writing = false;
            state.reader = if written.is_ok() { Reader::Reads } else { Reader::Gone };
            self.changed.notify_all();
            if let Err(error) = written {
                state.dropped += 1 + state.queue.drain(..).count() as u64;
                drop(state);
                if error.kind() != io::ErrorKind::BrokenPipe {
                    warn(format_args!("cannot write to standard output: {error}; nothing more is told there"));
                }
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A reader that takes nothing before it is told to, then all; or goes away when nobody can tell it any more.
    struct Pipe {
        go: Option<Receiver<()>>,
        taken: Sender<String>,
    }

    impl Write for Pipe {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            if self.go.take().is_some_and(|go| go.recv().is_err()) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.taken.send(String::from_utf8_lossy(octets).into_owned()).unwrap();
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn stalled() -> (Lines, Sender<()>, Receiver<String>) {
        let ((go, wait), (taken, lines)) = (channel(), channel());
        (Lines::to(Pipe { go: Some(wait), taken }), go, lines)
    }

    #[test]
    fn a_stalled_reader_costs_offered_lines_and_none_that_matter() {
        let (lines, go, taken) = stalled();
        lines.send("first".into());
        for number in 0..2 * CAPACITY {
            lines.offer(number.to_string());
        }
        let dropped = lines.dropped();
        // One more where the first is in the writer's hands already.
        assert!(
            (CAPACITY + OFFERED..=CAPACITY + OFFERED + 1).contains(&usize::try_from(dropped).unwrap()),
            "{dropped}"
        );
        lines.send("last".into());
        assert_eq!(lines.dropped(), dropped);
        go.send(()).unwrap();
        drop(lines);
        let taken: Vec<_> = taken.iter().collect();
        assert_eq!(taken.len(), 2 * CAPACITY + 2 - usize::try_from(dropped).unwrap());
        assert_eq!(taken[..2], ["first\n", "0\n"]);
        assert_eq!(taken.last().unwrap(), "last\n");
    }

    #[test]
    fn a_reader_that_stays_stalled_holds_nobody_up_for_long() {
        let (lines, _go, taken) = stalled();
        // All but one of those dropped go without a wait.
        for number in 0..10 * CAPACITY {
            lines.send(number.to_string());
        }
        assert!(lines.dropped() > 0);
        lines.finish(Duration::from_millis(1));
        assert!(taken.try_recv().is_err());
    }

    #[test]
    fn lines_for_a_reader_that_has_gone_are_dropped_at_once() {
        let (lines, go, taken) = stalled();
        lines.send("first".into());
        drop(go);
        assert!(taken.recv().is_err());
        while lines.shared.lock().reader != Reader::Gone {
            thread::yield_now();
        }
        for number in 0..10 * CAPACITY {
            lines.send(number.to_string());
        }
        assert_eq!(lines.dropped(), 10 * CAPACITY as u64 + 1);
    }
}
