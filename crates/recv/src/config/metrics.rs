//! Where metrics go.

use std::time::Duration;

use super::install::duration;
use super::settings::{Source, place_of};
use super::{ConfigError, file};
use crate::metrics::Settings;

const INTERVAL: Duration = Duration::from_secs(15);
const LEAST: Duration = Duration::from_secs(1);

/// The table, and the flags that override it.
pub(super) fn metrics(
    source: &Source,
    file: Option<String>,
    listen: Option<String>,
    table: file::Metrics,
) -> Result<Settings, ConfigError> {
    let key = |flag: &Option<String>, flag_name, key| if flag.is_some() { flag_name } else { key };
    let file = source.pick(key(&file, "metrics", "file"), file, table.file);
    let file = file.map(|(text, at)| match place_of(&text, &at) {
        Ok(path) if path.extension().is_none_or(|end| end != "prom") => {
            Err(at.wrong(format_args!("{text:?} must end in .prom: the node exporter reads no other files")))
        }
        path => path,
    });
    let at = table.interval.as_ref().map(|text| source.place("interval", text));
    let interval = duration(source, "interval", table.interval, INTERVAL)?;
    if let Some(at) = at.filter(|_| interval < LEAST) {
        return Err(at.wrong("shorter than 1s"));
    }
    let listen = source.pick(key(&listen, "metrics-listen", "listen"), listen, table.listen);
    let listen = listen.map(|(text, at)| {
        text.parse().map_err(|_| at.wrong(format_args!("{text:?} is not ADDR:PORT, such as 127.0.0.1:9101")))
    });
    Ok(Settings { file: file.transpose()?, interval, listen: listen.transpose()? })
}
