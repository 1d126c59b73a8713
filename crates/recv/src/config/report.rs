//! The table `report`: whom to tell what became of a release.

use std::time::Duration;

use super::install::duration;
use super::repair::{CA, MAX_WINDOW, MIN_TIMEOUT, TIMEOUT, server};
use super::settings::{Source, place_of};
use super::{ConfigError, file};
use crate::report::Settings;

const DELAY: Duration = Duration::from_mins(10);
/// Octets of the longest name of a device.
const MAX_ID: usize = 128;

pub(super) fn report(source: &Source, table: Option<file::Report>) -> Result<Option<Settings>, ConfigError> {
    let Some(table) = table else { return Ok(None) };
    let at = source.place("url", &table.url);
    let server = server(table.url.get_ref(), &at)?;
    let at = source.place("id", &table.id);
    let id = table.id.into_inner();
    // They need no escape in a path.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if !(1..=MAX_ID).contains(&id.len()) || !id.chars().all(is_plain) || id.chars().all(|c| c == '.') {
        return Err(at.wrong(format_args!("{id:?} is not 1 to {MAX_ID} letters, digits or `-._~`")));
    }
    let path = |key: &str, given: Option<toml::Spanned<String>>| {
        given.map(|path| place_of(path.get_ref(), &source.place(key, &path))).transpose()
    };
    let at_delay = table.delay.as_ref().map(|text| source.place("delay", text));
    let delay = duration(source, "delay", table.delay, DELAY)?;
    if let Some(at) = at_delay.filter(|_| delay > MAX_WINDOW) {
        return Err(at.wrong("longer than 24h"));
    }
    let at_timeout = table.timeout.as_ref().map(|text| source.place("timeout", text));
    let timeout = duration(source, "timeout", table.timeout, TIMEOUT)?;
    if let Some(at) = at_timeout.filter(|_| timeout < MIN_TIMEOUT) {
        return Err(at.wrong("shorter than 1s"));
    }
    let (token, ca) = (path("token", table.token)?, path("ca", table.ca)?);
    Ok(Some(Settings { server, id, token, delay, timeout, ca: ca.unwrap_or_else(|| CA.into()) }))
}
