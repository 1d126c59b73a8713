//! A timer of nanoseconds for the runtime; tokio's own counts milliseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// Sleeps for one task at a time (`timerfd_create(2)`).
#[derive(Debug)]
pub(crate) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// A timer on the runtime that runs.
    pub(crate) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, lest a type lie about its descriptor; `OwnedFd` does not"
        )]
        AsyncFd::new(timer).map(Self)
    }

    /// Returns when `time` has passed. May be given up and called again.
    pub(crate) async fn sleep(&self, time: Duration) -> io::Result<()> {
        // Zero would stop the timer.
        let time = time.max(Duration::from_nanos(1));
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec::try_from(time).map_err(|_| io::ErrorKind::InvalidInput)?;
        timerfd_settime(
            self.0.get_ref(),
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: never, it_value: value },
        )?;
        loop {
            let mut ready = self.0.readable().await?;
            // Setting the timer took back an earlier end that nobody has read.
            if let Ok(read) = ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut [0; 8])?)) {
                return read.map(drop);
            }
        }
    }
}
