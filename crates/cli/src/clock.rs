//! Times to tell others.

use std::time::{Duration, SystemTime};

/// Unix time in seconds, by the system's clock; 0 if that is before 1970.
#[must_use]
pub fn unix() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Time since the system was started, while it was suspended too. Whatever sets the clock, it grows.
#[must_use]
pub fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}
