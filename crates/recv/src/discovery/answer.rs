//! What DNS says of a domain, and how it is checked: records in, groups and senders out.
//!
//! Anyone may have written it. It decides which groups are joined, never what is installed.

use std::net::{IpAddr, SocketAddr};

use fleetcast_core::fec::MAX_LAYERS;
use fleetcast_net::{GroupError, check_membership};
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::config::Feed;

/// Most SRV records of an answer \[D-4\].
const MAX_TARGETS: usize = 8;
/// Most addresses of one target \[D-4\].
const MAX_ADDRESSES: usize = 8;
/// Most groups with their ports, layers counted \[D-4\].
const MAX_FEEDS: usize = 16;
/// Most senders heard in one group \[D-5\]; Linux takes ten by default (`igmp_max_msf`).
const MAX_SOURCES: usize = 8;
/// Most TXT records, and octets of all their strings \[D-4\].
const MAX_TEXTS: usize = 8;
const MAX_TEXT: usize = 2048;
/// The string that a text for this version begins with \[D-3\].
const VERSION: &str = "v=1";

/// What DNS says of a domain, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// The SRV records.
    pub(super) targets: Vec<Target>,
    /// The strings of each TXT record.
    pub(super) texts: Vec<Vec<String>>,
}

/// An SRV record (RFC 2782), and the addresses of its target.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// The host's name; `.` says that there is no sender.
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
}

/// Why an answer is refused, all of it \[D-4\].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AnswerError {
    /// More than a receiver looks at.
    #[error("{count} {what}, where {max} are possible")]
    TooMany { what: &'static str, count: usize, max: usize },
    /// No text, or several, that begin with `v=1`.
    #[error("{0} TXT records begin with the string \"v=1\", where one must")]
    Text(usize),
    /// `group` is no address, or none that may be joined.
    #[error("group={0} in the TXT record is no multicast address, or one reserved for others")]
    Group(String),
    /// `layers` is out of range, or there are not as many addresses.
    #[error(
        "layers={0} in the TXT record is none of 1 to 8, more than there are addresses from the group on, or makes groups overlap"
    )]
    Layers(String),
    /// A target has port 0.
    #[error("target {0} has port 0")]
    Port(String),
    /// A target's address is no sender's.
    #[error("target {name} has the address {address}, which no sender has")]
    Source { name: String, address: IpAddr },
    /// No group has a sender of its family.
    #[error("no target has an address of the family of a group")]
    NoAddress,
}

impl AnswerError {
    /// Stable word for this error.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => "dns-too-many",
            Self::Text(_) => "dns-text",
            Self::Group(_) => "dns-group",
            Self::Layers(_) => "dns-layers",
            Self::Port(_) => "dns-port",
            Self::Source { .. } => "dns-source",
            Self::NoAddress => "dns-no-address",
        }
    }
}

impl Answer {
    /// Sorts what order means nothing in, so that equal answers are equal.
    pub(super) fn sort(&mut self) {
        self.targets.iter_mut().for_each(|target| target.addresses.sort_unstable());
        self.targets.sort_unstable();
        self.texts.sort_unstable();
    }

    /// Looks at the SRV records alone: whether the domain has senders.
    ///
    /// # Errors
    ///
    /// [`AnswerError::TooMany`].
    pub(super) fn check_targets(&self) -> Result<bool, AnswerError> {
        at_most("SRV records", self.targets.len(), MAX_TARGETS)?;
        Ok(self.targets.iter().any(|target| target.name != "."))
    }

    /// What to join, by priority; of no priority at all if the domain says that it has no sender.
    ///
    /// # Errors
    ///
    /// The first [`AnswerError`].
    ///
    /// Spec §15 \[D-2 to D-5\].
    pub(super) fn plan(&self) -> Result<Plan, AnswerError> {
        if !self.check_targets()? {
            return Ok(Plan::default());
        }
        let (groups, layers) = groups(&self.texts)?;
        self.targets.iter().try_for_each(Target::check)?;
        // Of more senders than can be heard in a group the first stay: the heavier, then those of lower address.
        let mut senders: Vec<_> = self.targets.iter().flat_map(Target::senders).collect();
        senders.sort_by_key(|(target, source)| (target.priority, u16::MAX - target.weight, *source));
        let mut tiers: Vec<(u16, Vec<Feed>)> = Vec::new();
        for (target, source) in senders {
            let of_family = groups.iter().filter(|group| group.is_ipv4() == source.is_ipv4());
            let group = |group: &IpAddr| SocketAddr::new(*group, target.port);
            let feeds = of_family.map(|place| Feed { group: group(place), sources: vec![source], layers });
            match tiers.last_mut() {
                Some((priority, tier)) if *priority == target.priority => feeds.for_each(|feed| add(tier, feed)),
                _ => tiers.push((target.priority, feeds.collect())),
            }
        }
        let tiers: Vec<_> = tiers.into_iter().map(|(_, feeds)| feeds).filter(|feeds| !feeds.is_empty()).collect();
        let mut places: Vec<_> = tiers.iter().flatten().map(|feed| feed.group).collect();
        places.sort_unstable();
        places.dedup();
        at_most("groups with their ports", places.len() * usize::from(layers), MAX_FEEDS)?;
        if tiers.is_empty() { Err(AnswerError::NoAddress) } else { Ok(Plan::new(tiers)) }
    }
}

impl Target {
    fn check(&self) -> Result<(), AnswerError> {
        at_most("addresses of a target", self.addresses.len(), MAX_ADDRESSES)?;
        if self.port == 0 {
            return Err(AnswerError::Port(self.name.clone()));
        }
        match self.addresses.iter().find(|address| !is_source(**address)) {
            Some(address) => Err(AnswerError::Source { name: self.name.clone(), address: *address }),
            None => Ok(()),
        }
    }

    /// Each of its addresses is a sender.
    fn senders(&self) -> impl Iterator<Item = (&Self, IpAddr)> {
        self.addresses.iter().map(move |source| (self, *source))
    }
}

/// Adds the senders of a feed to a list of feeds, as far as there is room.
pub(super) fn add(feeds: &mut Vec<Feed>, feed: Feed) {
    let Some(known) = feeds.iter_mut().find(|known| known.group == feed.group) else {
        feeds.push(feed);
        return;
    };
    for source in feed.sources {
        if known.sources.len() < MAX_SOURCES && !known.sources.contains(&source) {
            known.sources.push(source);
        }
    }
}

/// The groups of base layers, and how many layers each has.
fn groups(texts: &[Vec<String>]) -> Result<(Vec<IpAddr>, u8), AnswerError> {
    at_most("TXT records", texts.len(), MAX_TEXTS)?;
    at_most("octets of text", texts.iter().flatten().map(String::len).sum(), MAX_TEXT)?;
    let is_ours = |strings: &&Vec<String>| strings.first().is_some_and(|first| first == VERSION);
    let ours: Vec<_> = texts.iter().filter(is_ours).collect();
    let [text] = ours[..] else { return Err(AnswerError::Text(ours.len())) };
    let (mut bases, mut layers) = (Vec::new(), None);
    for (key, value) in text.iter().filter_map(|string| string.split_once('=')) {
        if key.eq_ignore_ascii_case("group") {
            let address = value.parse().ok().filter(|address| is_group(*address));
            bases.push(address.ok_or_else(|| AnswerError::Group(shown(value)))?);
        } else if key.eq_ignore_ascii_case("layers") && layers.is_none() {
            let number = value.parse().ok().filter(|number| (1..=MAX_LAYERS).contains(number));
            layers = Some(number.ok_or_else(|| AnswerError::Layers(shown(value)))?);
        }
    }
    if bases.is_empty() {
        return Err(AnswerError::Group(String::new()));
    }
    let layers = layers.unwrap_or(1);
    let layer = |base, number| {
        // A layer is of the kind of its group: with the first, all of them can be joined.
        let place = plus(base, number).filter(|group| is_group(*group) && is_specific(*group) == is_specific(base));
        place.ok_or_else(|| AnswerError::Layers(layers.to_string()))
    };
    bases.sort_unstable();
    bases.dedup();
    let all = bases.iter().flat_map(|&base| (0..layers).map(move |number| layer(base, number)));
    let all = all.collect::<Result<Vec<_>, _>>()?;
    at_most("groups", all.len(), MAX_FEEDS)?;
    // The bases are in order, so those next to each other would overlap first.
    if all.is_sorted_by(|one, next| one < next) {
        Ok((bases, layers))
    } else {
        Err(AnswerError::Layers(layers.to_string()))
    }
}

/// An address so many places on.
fn plus(address: IpAddr, places: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_add(places.into()).map(|v4| IpAddr::V4(v4.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(places.into()).map(|v6| IpAddr::V6(v6.into())),
    }
}

/// Whether DNS may name the group: multicast, but not for the network's own protocols (224.0.0.0/23, RFC 5771), nor assigned
/// for good to another (IPv6 without the T flag, RFC 4291 §2.7).
fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() && !matches!(v4.octets(), [224, 0, 0..=1, _]),
        IpAddr::V6(v6) => v6.is_multicast() && v6.octets()[1] & 0x10 != 0,
    }
}

/// Whether a group needs sources.
fn is_specific(group: IpAddr) -> bool {
    matches!(check_membership(SocketAddr::new(group, 1), None), Err(GroupError::SourceRequired { .. }))
}

/// Whether packets of a sender elsewhere can have the source: one address of the whole network.
fn is_source(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !matches!(v4.octets(), [0 | 127 | 224..=255, ..]),
        IpAddr::V6(v6) => {
            let is_own = v6.is_unspecified() || v6.is_loopback() || v6.to_ipv4_mapped().is_some();
            !is_own && !v6.is_multicast() && !v6.is_unicast_link_local()
        }
    }
}

fn at_most(what: &'static str, count: usize, max: usize) -> Result<(), AnswerError> {
    if count > max { Err(AnswerError::TooMany { what, count, max }) } else { Ok(()) }
}

/// A value for a message: short, and without what a terminal would obey.
fn shown(value: &str) -> String {
    value.chars().take(64).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(priority: u16, weight: u16, port: u16, addresses: &[&str]) -> Target {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Target { priority, weight, port, name: "a.example.".into(), addresses }
    }

    fn answer(targets: &[Target], text: &str) -> Answer {
        let strings = text.split_ascii_whitespace().map(str::to_owned).collect();
        Answer { targets: targets.to_vec(), texts: vec![strings] }
    }

    /// The plan as text, priorities apart by `|`.
    fn plan(targets: &[Target], text: &str) -> Result<String, &'static str> {
        let feed = |feed: &Feed| {
            let layers = if feed.layers > 1 { format!("*{}", feed.layers) } else { String::new() };
            format!(
                "{}{layers}<{}",
                feed.group,
                feed.sources.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
            )
        };
        let tier = |tier: &Vec<Feed>| tier.iter().map(feed).collect::<Vec<_>>().join(" ");
        let plan = answer(targets, text).plan().map_err(|e| e.code())?;
        Ok(plan.tiers().iter().map(tier).collect::<Vec<_>>().join(" | "))
    }

    fn one(text: &str) -> Result<String, &'static str> {
        plan(&[target(0, 0, 4000, &["192.0.2.1"])], text)
    }

    #[test]
    fn the_text_gives_groups_and_layers_and_unknown_keys_mean_nothing() {
        for (text, expect) in [
            ("v=1 group=232.1.2.3", Ok("232.1.2.3:4000<192.0.2.1")),
            ("v=1 GROUP=239.1.2.3 path=/etc/passwd flag = =x", Ok("239.1.2.3:4000<192.0.2.1")),
            ("v=1 group=232.1.2.3 layers=2", Ok("232.1.2.3:4000*2<192.0.2.1")),
            ("v=1 layers=1 layers=99 group=232.1.2.3", Ok("232.1.2.3:4000<192.0.2.1")),
            ("v=1 group=ff3e::8000:1 group=232.1.2.3", Ok("232.1.2.3:4000<192.0.2.1")),
            ("v=1 group=232.1.2.3 group=232.1.2.3", Ok("232.1.2.3:4000<192.0.2.1")),
            ("v=2 group=232.1.2.3", Err("dns-text")),
            ("group=232.1.2.3 v=1", Err("dns-text")),
            ("v=1", Err("dns-group")),
            ("v=1 group=192.0.2.7", Err("dns-group")),
            ("v=1 group=224.0.0.251", Err("dns-group")),
            ("v=1 group=ff02::fb", Err("dns-group")),
            ("v=1 group=../../x", Err("dns-group")),
            ("v=1 group=ff3e::8000:1", Err("dns-no-address")),
            ("v=1 group=232.1.2.3 layers=0", Err("dns-layers")),
            ("v=1 group=232.1.2.3 layers=9", Err("dns-layers")),
            ("v=1 group=232.1.2.3 group=232.1.2.4 layers=2", Err("dns-layers")),
            ("v=1 group=232.255.255.255 layers=2", Err("dns-layers")),
            ("v=1 group=239.255.255.255 layers=2", Err("dns-layers")),
            ("v=1 group=232.1.2.3 group=232.2.2.3 group=232.3.2.3 layers=6", Err("dns-too-many")),
        ] {
            assert_eq!(one(text).as_deref().map_err(|e| *e), expect, "{text}");
        }
    }

    #[test]
    fn exactly_one_text_is_of_this_version() {
        let mut answer = answer(&[target(0, 0, 1, &["192.0.2.1"])], "v=1 group=232.1.2.3");
        answer.texts.push(vec!["v=spf1 -all".into()]);
        assert!(answer.plan().is_ok());
        answer.texts.push(answer.texts[0].clone());
        assert_eq!(answer.plan(), Err(AnswerError::Text(2)));
    }

    #[test]
    fn priorities_stand_apart_and_ports_too() {
        let targets =
            [target(20, 0, 1, &["192.0.2.3"]), target(10, 0, 1, &["192.0.2.2"]), target(10, 9, 2, &["192.0.2.1"])];
        let expect = "232.1.2.3:2<192.0.2.1 232.1.2.3:1<192.0.2.2 | 232.1.2.3:1<192.0.2.3";
        assert_eq!(plan(&targets, "v=1 group=232.1.2.3").as_deref(), Ok(expect));
    }

    #[test]
    fn of_too_many_senders_the_heavier_stay() {
        let of = |weight, net: u8| {
            let addresses: Vec<_> = (1..=5).map(|host| format!("192.0.{net}.{host}")).collect();
            target(0, weight, 1, &addresses.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let plan = answer(&[of(1, 1), of(2, 2)], "v=1 group=232.1.2.3").plan().unwrap();
        let sources = &plan.tiers()[0][0].sources;
        let expect =
            ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.1.1", "192.0.1.2", "192.0.1.3"];
        assert_eq!(sources.iter().map(IpAddr::to_string).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn what_no_sender_can_have_is_refused() {
        for bad in [
            "127.0.0.1",
            "0.0.0.0",
            "239.1.2.3",
            "255.255.255.255",
            "::1",
            "::",
            "ff02::1",
            "fe80::1",
            "::ffff:192.0.2.1",
        ] {
            let targets = [target(0, 0, 1, &["192.0.2.1"]), target(0, 0, 1, &[bad])];
            assert_eq!(plan(&targets, "v=1 group=232.1.2.3"), Err("dns-source"), "{bad}");
        }
        assert_eq!(plan(&[target(0, 0, 0, &["192.0.2.1"])], "v=1 group=232.1.2.3"), Err("dns-port"));
        assert_eq!(plan(&[target(0, 0, 1, &[])], "v=1 group=239.1.2.3"), Err("dns-no-address"), "not all senders");
    }

    #[test]
    fn a_domain_can_say_that_it_has_no_sender() {
        let none = Target { name: ".".into(), ..Target::default() };
        assert_eq!(answer(&[none], "").plan().map(|plan| plan.tiers().len()), Ok(0));
    }

    #[test]
    fn sizes_have_bounds() {
        let many = vec![target(0, 0, 1, &["192.0.2.1"]); MAX_TARGETS + 1];
        assert_eq!(plan(&many, "v=1 group=232.1.2.3"), Err("dns-too-many"));
        let ports: Vec<_> = (1..=8).map(|port| target(0, 0, port, &["192.0.2.1"])).collect();
        assert!(plan(&ports, "v=1 group=232.1.2.3 layers=2").is_ok());
        assert_eq!(plan(&ports, "v=1 group=232.1.2.3 layers=3"), Err("dns-too-many"));
        assert_eq!(one(&format!("v=1 group=232.1.2.3 x={}", "y".repeat(MAX_TEXT))), Err("dns-too-many"));
    }

    fn addresses() -> impl Strategy<Value = IpAddr> {
        let v4 = prop_oneof![any::<[u8; 4]>(), Just([192, 0, 2, 1]), Just([232, 1, 2, 3])];
        prop_oneof![v4.prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
    }

    proptest! {
        /// Whatever DNS says: what would be joined can be joined, is bounded, and never without naming the senders.
        #[test]
        fn a_plan_holds_only_what_may_be_joined(
            targets in prop::collection::vec((0_u16..3, any::<u16>(), 0_u16..4, prop::collection::vec(addresses(), 0..4)), 0..10),
            strings in prop::collection::vec(prop_oneof![
                addresses().prop_map(|group| format!("group={group}")),
                (232_u8..=239, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| format!("group={a}.{b}.{c}.{d}")),
                (0_u8..20).prop_map(|layers| format!("layers={layers}")),
                ".{0,20}",
            ], 0..6),
        ) {
            let target = |(priority, weight, port, addresses)| Target { priority, weight, port, name: "a.".into(), addresses };
            let texts = vec![std::iter::once("v=1".to_owned()).chain(strings).collect()];
            let answer = Answer { targets: targets.into_iter().map(target).collect(), texts };
            if let Ok(plan) = answer.plan() {
                let feeds = plan.feeds(usize::MAX);
                prop_assert!(feeds.len() <= MAX_FEEDS);
                for feed in feeds {
                    prop_assert!((1..=MAX_SOURCES).contains(&feed.sources.len()));
                    for source in feed.sources {
                        prop_assert_eq!(check_membership(feed.group, Some(source)), Ok(()));
                    }
                }
            }
        }
    }
}
