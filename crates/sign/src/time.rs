//! Times in files: seconds of Unix time, and how people write them.

use fleetcast_cli::{clock, quantity};
use fleetcast_core::manifest::MAX_TIME;

/// Reads a time as the settings of devices have it, before the end of what a statement can say.
///
/// # Errors
///
/// A message that shows the form.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    match quantity::time(text)? {
        seconds if seconds < MAX_TIME => Ok(seconds),
        _ => Err(format!("{text} is too late: the last time possible is {} seconds", MAX_TIME - 1)),
    }
}

/// A time as people read it.
pub(crate) fn text(unix: u64) -> String {
    clock::rfc3339(unix).unwrap_or_else(|| format!("Unix time {unix}"))
}
