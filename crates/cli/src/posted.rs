//! Files that tell others how a daemon is doing: always whole, of the newest moment.
//!
//! A folder on a disk that hangs must not hold up packets, so a thread of its own writes, and what it has not come to when
//! there is something newer is never written. Nothing is flushed: after a power cut nobody wants it.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::command::warn;

/// How long the end waits for the last text.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file that others read, as users of their own: mode 0644.
///
/// When it is dropped, it waits up to a second for what is still to be written.
#[derive(Debug)]
pub struct Posted {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: Option<String>,
    is_writing: bool,
    is_finished: bool,
}

impl Posted {
    /// Replaces this file, in a folder that must be there.
    ///
    /// # Panics
    ///
    /// If the system gives no thread.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::spawn(move || writer.write_all(&path));
        Self { shared }
    }

    /// Has the file replaced by this text soon. What cannot be written is warned of, once until it goes again.
    pub fn put(&self, text: String) {
        self.shared.lock().next = Some(text);
        self.shared.changed.notify_all();
    }
}

/// A [`Posted`] file that is renewed now and then.
#[derive(Debug)]
pub struct Renewed {
    file: Posted,
    /// Least time between two texts that are not put at once.
    rest: Duration,
    /// When it was last renewed.
    last: Option<Instant>,
}

impl Renewed {
    /// Replaces this file, in a folder that must be there, as soon as it is asked to and then no sooner than after `rest`.
    ///
    /// # Panics
    ///
    /// If the system gives no thread.
    #[must_use]
    pub fn new(path: PathBuf, rest: Duration) -> Self {
        Self { file: Posted::new(path), rest, last: None }
    }

    /// Whether it is time.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.last.is_none_or(|last| last.elapsed() >= self.rest)
    }

    /// Has the file replaced if it is time, or at once.
    pub fn renew(&mut self, at_once: bool, text: impl FnOnce() -> String) {
        if at_once || self.is_due() {
            self.last = Some(Instant::now());
            self.file.put(text());
        }
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_finished = true;
        self.shared.changed.notify_all();
        let is_busy = |s: &mut State| s.next.is_some() || s.is_writing;
        drop(self.shared.changed.wait_timeout_while(state, PATIENCE, is_busy));
    }
}

impl Shared {
    /// The text is whole, whatever became of a thread that held the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, path: &Path) {
        let mut has_failed = false;
        let mut state = self.lock();
        loop {
            let Some(text) = state.next.take() else {
                if state.is_finished {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.is_writing = true;
            drop(state);
            let written = replace(path, &text);
            if let Err(error) = &written
                && !has_failed
            {
                warn(format_args!("cannot write {}: {error}; trying on", path.display()));
            }
            has_failed = written.is_err();
            state = self.lock();
            state.is_writing = false;
            self.changed.notify_all();
        }
    }
}

/// Readers see the old text or the new, whole.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Those who read all files of a folder look at their endings.
    let mut file = tempfile::Builder::new().prefix(".fleetcast-").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_text_is_there_at_the_end_and_others_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.prom");
        let posted = Posted::new(path.clone());
        (0..1000).for_each(|number| posted.put(number.to_string()));
        drop(posted);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "999");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_file_is_renewed_when_it_is_time_or_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let renewals = |rest| {
            let mut file = Renewed::new(folder.path().join("x"), rest);
            let count = std::cell::Cell::new(0);
            let text = || {
                count.set(count.get() + 1);
                String::new()
            };
            [false, false, true, false].map(|at_once| {
                file.renew(at_once, text);
                count.get()
            })
        };
        assert_eq!(renewals(Duration::from_hours(1)), [1, 1, 2, 2]);
        assert_eq!(renewals(Duration::ZERO), [1, 2, 3, 4]);
    }

    #[test]
    fn a_folder_that_is_missing_for_a_while_is_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later/x.prom");
        let posted = Posted::new(path.clone());
        posted.put("old".into());
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        posted.put("new".into());
        drop(posted);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    }
}
