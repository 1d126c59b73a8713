//! Times in files: seconds of Unix time, and how people write them.

use std::time::{SystemTime, UNIX_EPOCH};

use fleetcast_core::manifest::MAX_TIME;

/// Reads a time in UTC, or Unix time in seconds.
///
/// # Errors
///
/// A message that shows the form.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let form =
        || format!("{text:?} is no time: write it in UTC, such as 2026-12-01T08:00Z, or as Unix time in seconds");
    let seconds = if let Ok(seconds) = text.parse::<u64>() {
        seconds
    } else {
        let time: jiff::Timestamp = text.parse().map_err(|_| form())?;
        u64::try_from(time.as_second()).map_err(|_| form())?
    };
    if seconds < MAX_TIME { Ok(seconds) } else { Err(form()) }
}

/// A time as people read it.
pub(crate) fn text(unix: u64) -> String {
    match i64::try_from(unix).map(jiff::Timestamp::from_second) {
        Ok(Ok(time)) => time.to_string(),
        _ => format!("Unix time {unix}"),
    }
}

/// What the clock of this machine says; 0 if that is before 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
