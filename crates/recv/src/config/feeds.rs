//! What to hear, and where: interfaces, groups, sources.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use fleetcast_core::fec::MAX_LAYERS;
use fleetcast_net::check_membership;

use super::settings::Place;
use super::{ConfigError, Feed};

/// A list as it is given, and where.
type Given = (Vec<String>, Place);

pub(super) fn interfaces((names, at): Given) -> Result<Vec<String>, ConfigError> {
    if names.is_empty() || names.iter().any(String::is_empty) {
        return Err(at.wrong("it is empty; name an interface, such as eth0"));
    }
    none_twice(names, &at)
}

/// Each group with the sources of its family; all sources must be of use.
pub(super) fn feeds((groups, at): Given, sources: Option<Given>) -> Result<Vec<Feed>, ConfigError> {
    if groups.is_empty() {
        return Err(at.wrong("the list is empty; name at least one group"));
    }
    let group =
        |text: &String| parse::<SocketAddr>(text, "ADDR:PORT, such as 239.255.70.67:4701 or [ff15::77]:5077", &at);
    let groups = none_twice(groups.iter().map(group).collect::<Result<_, _>>()?, &at)?;
    let Some((sources, sources_at)) = sources else {
        let feed = |group| check_membership(group, None).map(|()| Feed { group, sources: vec![], layers: 1 });
        return groups.into_iter().map(feed).collect::<Result<_, _>>().map_err(|e| at.wrong(e));
    };
    let source = |text: &String| parse::<IpAddr>(text, "an IP address", &sources_at);
    let sources = none_twice(sources.iter().map(source).collect::<Result<_, _>>()?, &sources_at)?;
    if sources.is_empty() {
        return Err(sources_at.wrong("the list is empty; leave it out to hear every sender"));
    }
    let is_for = |source: &IpAddr, group: &SocketAddr| source.is_ipv4() == group.is_ipv4();
    if let Some(source) = sources.iter().find(|source| !groups.iter().any(|group| is_for(source, group))) {
        return Err(sources_at.wrong(format_args!("source {source} is no unicast address of the family of any group")));
    }
    let feed = |group: SocketAddr| {
        let sources: Vec<_> = sources.iter().copied().filter(|source| is_for(source, &group)).collect();
        if sources.is_empty() {
            return Err(sources_at.wrong(format_args!("no source is of the family of group {}", group.ip())));
        }
        sources.iter().try_for_each(|source| check_membership(group, Some(*source))).map_err(|e| at.wrong(e))?;
        Ok(Feed { group, sources, layers: 1 })
    };
    groups.into_iter().map(feed).collect()
}

/// Gives each feed its layers, each of which must have a group of its own that can be joined. Returns how many are joined at
/// most, of what DNS names too.
pub(super) fn layers(given: Option<(u8, Place)>, feeds: &mut [Feed]) -> Result<u8, ConfigError> {
    let Some((layers, at)) = given else { return Ok(MAX_LAYERS) };
    if !(1..=MAX_LAYERS).contains(&layers) {
        return Err(at.wrong(format_args!("{layers}, where 1 to {MAX_LAYERS} are possible")));
    }
    for feed in feeds.iter_mut() {
        feed.layers = layers;
    }
    let mut groups = Vec::new();
    for (feed, layer) in feeds.iter().flat_map(|feed| (0..layers).map(move |layer| (feed, layer))) {
        let none = || at.wrong(format_args!("there are not enough addresses above {} for the layers", feed.group));
        let above = feed.layer(layer).ok_or_else(none)?;
        let mut sources = above.sources.iter().copied().map(Some).collect::<Vec<_>>();
        if sources.is_empty() {
            sources.push(None);
        }
        sources.iter().try_for_each(|source| check_membership(above.group, *source)).map_err(|e| at.wrong(e))?;
        groups.push(above.group);
    }
    match groups.iter().enumerate().find(|(nth, group)| groups[..*nth].contains(group)) {
        Some((_, twice)) => {
            Err(at.wrong(format_args!("{twice} would be a layer of two groups; set groups further apart")))
        }
        None => Ok(layers),
    }
}

fn parse<T: FromStr>(text: &str, what: &str, at: &Place) -> Result<T, ConfigError> {
    text.parse().map_err(|_| at.wrong(format_args!("{text:?} is not {what}")))
}

fn none_twice<T: PartialEq + Display>(list: Vec<T>, at: &Place) -> Result<Vec<T>, ConfigError> {
    match list.iter().enumerate().find(|(nth, one)| list[..*nth].contains(one)) {
        Some((_, twice)) => Err(at.wrong(format_args!("{twice} is named twice"))),
        None => Ok(list),
    }
}
