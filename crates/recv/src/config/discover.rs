//! The domain to ask for groups, and whom to ask.

use std::net::{IpAddr, SocketAddr};

use super::settings::Place;
use super::{ConfigError, Discover};
use crate::discovery::MAX_SERVERS;

/// Most octets of a domain: with what is put before it and its lengths it is a name of DNS (RFC 1035 §2.3.4).
const MAX_DOMAIN: usize = 253 - "_fleetcast._udp.".len();

pub(super) fn discover(
    domain: Option<(String, Place)>,
    servers: Option<(Vec<String>, Place)>,
) -> Result<Option<Discover>, ConfigError> {
    match (domain, servers) {
        (Some((domain, at)), servers) => Discover::of(&domain, &at, servers).map(Some),
        (None, Some((_, at))) => Err(at.wrong("name servers are asked for a `domain` only, and none is set")),
        (None, None) => Ok(None),
    }
}

impl Discover {
    /// Of flags alone, for a command that only asks.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub(crate) fn of_flags(domain: &str, servers: Vec<String>) -> Result<Self, ConfigError> {
        let servers = (!servers.is_empty()).then(|| (servers, Place("--dns".into())));
        Self::of(domain, &Place("DOMAIN".into()), servers)
    }

    fn of(domain: &str, at: &Place, servers: Option<(Vec<String>, Place)>) -> Result<Self, ConfigError> {
        let form = || at.wrong(format_args!("{domain:?} is no domain name, such as updates.acme.example"));
        let domain = checked(domain).ok_or_else(form)?;
        let Some((servers, at)) = servers else { return Ok(Self { domain, servers: vec![] }) };
        if servers.is_empty() || servers.len() > MAX_SERVERS {
            return Err(at.wrong(format_args!("{} name servers, where 1 to {MAX_SERVERS} are possible", servers.len())));
        }
        let server = |text: &String| {
            let parsed = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53)).or_else(|_| text.parse());
            parsed.map_err(|_| at.wrong(format_args!("{text:?} is not ADDR or ADDR:PORT of a name server")))
        };
        Ok(Self { domain, servers: servers.iter().map(server).collect::<Result<_, _>>()? })
    }
}

/// A domain as it is asked for; `None` if it is none.
fn checked(domain: &str) -> Option<String> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let is_label = |label: &str| {
        let is_clean = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (1..=63).contains(&label.len()) && is_clean
    };
    let is_domain = domain.len() <= MAX_DOMAIN && domain.split('.').all(is_label);
    is_domain.then(|| domain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_names_of_dns_and_nothing_else() {
        assert_eq!(checked("Updates.ACME.example."), Some("updates.acme.example".into()));
        for good in ["example", "a-b._c.example", &"x".repeat(63)] {
            assert_eq!(checked(good).as_deref(), Some(good));
        }
        let long = format!("{}x", "abcdefgh.".repeat(27));
        for bad in ["", ".", "a..b", "a b", "a/../b", "b\u{fc}cher.example", &"x".repeat(64), &long] {
            assert_eq!(checked(bad), None, "{bad:?}");
        }
    }
}
