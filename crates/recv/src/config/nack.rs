//! Where and how often to ask for what is missing.

use std::net::SocketAddr;
use std::time::Duration;

use fleetcast_cli::quantity;
use fleetcast_net::check_feedback;
use toml::Spanned;

use super::settings::Source;
use super::{ConfigError, file};
use crate::nack::{Pace, Settings};

const DEFAULT_WINDOW: Duration = Duration::from_millis(500);
const DEFAULT_HOLD: Duration = Duration::from_secs(1);
const DEFAULT_PER_MINUTE: u8 = 20;
/// Shorter, and requests are no longer apart in time; longer, and the carousel has brought it.
const TIMES: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_mins(1);
const PER_MINUTE: std::ops::RangeInclusive<u8> = 1..=60;

pub(super) fn nack(source: &Source, table: &file::Nack) -> Result<Settings, ConfigError> {
    let at = source.place("to", &table.to);
    let form = |_| at.wrong("it is not ADDR:PORT, such as 239.255.70.68:4702");
    let to: SocketAddr = table.to.get_ref().parse().map_err(form)?;
    check_feedback(to).map_err(|e| at.wrong(e))?;
    let time = |key: &str, given: &Option<Spanned<String>>, default: Duration| {
        let Some(text) = given else { return Ok(default) };
        let at = source.place(key, text);
        let time = quantity::duration(text.get_ref()).map_err(|e| at.wrong(e))?;
        if TIMES.contains(&time) { Ok(time) } else { Err(at.wrong("10ms to 60s are possible")) }
    };
    let window = time("window", &table.window, DEFAULT_WINDOW)?;
    let hold = time("hold", &table.hold, DEFAULT_HOLD.max(window))?;
    if let Some(text) = table.hold.as_ref().filter(|_| hold < window) {
        return Err(source.place("hold", text).wrong("shorter than `window`"));
    }
    let per_minute = match &table.per_minute {
        None => DEFAULT_PER_MINUTE,
        Some(given) if PER_MINUTE.contains(given.get_ref()) => *given.get_ref(),
        Some(given) => return Err(source.place("per-minute", given).wrong("1 to 60 are possible")),
    };
    Ok(Settings { to, hops: table.hops.unwrap_or(1).max(1), pace: Pace { window, hold, per_minute } })
}
