//! The table `repair`: where to fetch what is missing, and when.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use fleetcast_cli::quantity;
use toml::Spanned;

use super::file;
use super::install::duration;
use super::settings::{Place, Source, place_of};
use super::{ConfigError, Repair, Server};

/// Servers that are named.
const MAX_SERVERS: usize = 8;
const AFTER: Duration = Duration::from_mins(1);
const MISSING_BELOW: u8 = 10;
const WINDOW: Duration = Duration::from_mins(5);
pub(super) const MAX_WINDOW: Duration = Duration::from_hours(24);
const MAX_OCTETS: u64 = 64 << 20;
/// Bits per second.
const RATE: u64 = 2_000_000;
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const MIN_TIMEOUT: Duration = Duration::from_secs(1);
pub(super) const CA: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(super) fn repair(source: &Source, table: Option<file::Repair>) -> Result<Option<Repair>, ConfigError> {
    let Some(table) = table else { return Ok(None) };
    let at = source.place("servers", &table.servers);
    let servers = table.servers.into_inner();
    if servers.is_empty() || servers.len() > MAX_SERVERS {
        return Err(at.wrong(format_args!("{} are named, where 1 to {MAX_SERVERS} are possible", servers.len())));
    }
    let missing_below = match table.missing_below {
        None => MISSING_BELOW,
        Some(given) if (1..=100).contains(given.get_ref()) => given.into_inner(),
        Some(given) => return Err(source.place("missing-below", &given).wrong("1 to 100 are possible")),
    };
    let time = |key, given: Option<Spanned<String>>, default| {
        let at = given.as_ref().map(|text| source.place(key, text));
        duration(source, key, given, default).map(|time| (time, at))
    };
    let (window, at_window) = time("window", table.window, WINDOW)?;
    if let Some(at) = at_window.filter(|_| window > MAX_WINDOW) {
        return Err(at.wrong("longer than 24h"));
    }
    let (timeout, at_timeout) = time("timeout", table.timeout, TIMEOUT)?;
    if let Some(at) = at_timeout.filter(|_| timeout < MIN_TIMEOUT) {
        return Err(at.wrong("shorter than 1s"));
    }
    let parsed = |key, given: Option<Spanned<String>>, default, parse: fn(&str) -> Result<u64, String>| {
        given.map_or(Ok(default), |text| parse(text.get_ref()).map_err(|e| source.place(key, &text).wrong(e)))
    };
    Ok(Some(Repair {
        servers: servers.iter().map(|url| server(url, &at)).collect::<Result<_, _>>()?,
        after: duration(source, "after", table.after, AFTER)?,
        missing_below,
        window,
        max_octets: parsed("max-octets", table.max_octets, MAX_OCTETS, quantity::size)?,
        rate: parsed("rate", table.rate, RATE, quantity::rate)?,
        timeout,
        ca: table.ca.map_or(Ok(CA.into()), |path| place_of(path.get_ref(), &source.place("ca", &path)))?,
    }))
}

pub(super) fn server(url: &str, at: &Place) -> Result<Server, ConfigError> {
    let wrong = |why: &str| at.wrong(format_args!("{url:?} {why}"));
    let server =
        Server::parse(url).ok_or_else(|| wrong("is no URL of a folder such as http://192.0.2.20/fleetcast"))?;
    if server.tls && !cfg!(feature = "https") {
        return Err(wrong(
            "asks for TLS, for which this program is not built (feature https); what is fetched is verified in any case, so \
             http will do for that",
        ));
    }
    Ok(server)
}

impl Server {
    /// Parses a URL of a folder, without user, query and fragment.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (tls, rest) = match url.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, url.strip_prefix("http://")?),
        };
        let default = if tls { 443 } else { 80 };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        let is_path = |c: char| c.is_ascii_graphic() && !"?#\"<>\\^`{|}".contains(c);
        let is_good = !host.is_empty() && host.chars().all(is_name) && path.chars().all(is_path);
        Some(Self {
            tls,
            authority: authority.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
            host: host.to_owned(),
            port: port.map_or(Some(default), |port| port.parse().ok()).filter(|&port| port > 0 && is_good)?,
        })
    }

    /// Whether it has a name, which must be looked up.
    #[must_use]
    pub fn has_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }
}

/// Writes the URL.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}
