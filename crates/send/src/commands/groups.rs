//! Where to send: a group for each layer.

use std::net::{IpAddr, SocketAddr};

use clap::builder::RangedU64ValueParser;
use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::fec::{Layers, MAX_LAYERS};

#[derive(clap::Args, Debug)]
pub(super) struct GroupArgs {
    /// Multicast group and UDP port to send to. With --layers, that of the base layer: the other layers go to the next
    /// addresses, at the same port. Or repeat it, for each layer from the base layer up
    #[arg(long, value_name = "ADDR:PORT", required = true)]
    group: Vec<SocketAddr>,

    /// Send on so many layers, 1 to 8, a group each; by default as many as there are groups. Their rates are 1, 1, 2, 4, ...
    /// parts, so that each layer more doubles what comes: devices join as many from the base layer up as their link
    /// carries, and the base layer alone is enough
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u8>::new().range(1..=u64::from(MAX_LAYERS)))]
    layers: Option<u8>,
}

/// The group of each layer.
#[derive(Clone, Debug)]
pub struct Groups {
    /// That of the base layer.
    pub(crate) base: SocketAddr,
    /// Those above it.
    pub(crate) upper: Vec<SocketAddr>,
    /// How many layers these are.
    pub(crate) layers: Layers,
}

impl GroupArgs {
    /// The groups asked for.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if groups and layers do not agree, or an address above the base layer's does not exist.
    pub(super) fn groups(&self) -> Result<Groups, CommandError> {
        Groups::new(&self.group, self.layers)
    }
}

impl Groups {
    /// One group for so many layers, or one for each.
    ///
    /// # Errors
    ///
    /// [`CommandError`], as [`GroupArgs::groups`].
    pub(crate) fn new(groups: &[SocketAddr], layers: Option<u8>) -> Result<Self, CommandError> {
        let count = layers.map_or(groups.len(), usize::from);
        let wrong = || usage(format!("{} groups for {count} layers, of which there may be {MAX_LAYERS}", groups.len()));
        let layers = u8::try_from(count).ok().and_then(Layers::new).ok_or_else(wrong)?;
        match groups {
            [base] => {
                let upper = (1..layers.count()).map(|layer| above(*base, layer)).collect::<Result<_, _>>()?;
                Ok(Self { base: *base, upper, layers })
            }
            [base, upper @ ..] if groups.len() == count => Ok(Self { base: *base, upper: upper.to_vec(), layers }),
            _ => Err(wrong().hint("name one group, or one for each layer")),
        }
    }

    /// All of them, from the base layer up.
    pub(crate) fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.base).chain(self.upper.iter().copied())
    }
}

/// The group so many addresses above another.
fn above(base: SocketAddr, layer: u8) -> Result<SocketAddr, CommandError> {
    let address = match base.ip() {
        IpAddr::V4(ip) => ip.to_bits().checked_add(layer.into()).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(ip) => ip.to_bits().checked_add(layer.into()).map(|bits| IpAddr::V6(bits.into())),
    };
    let missing = || usage(format!("there are not enough addresses above {base} for the layers"));
    Ok(SocketAddr::new(address.ok_or_else(missing)?, base.port()))
}

fn usage(text: String) -> CommandError {
    CommandError::new(ErrorKind::Usage, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(group: &[&str], layers: Option<u8>) -> Result<Vec<String>, CommandError> {
        let group = group.iter().map(|text| text.parse().unwrap()).collect();
        let groups = GroupArgs { group, layers }.groups()?;
        assert_eq!(groups.iter().count(), usize::from(groups.layers.count()));
        Ok(groups.iter().map(|group| group.to_string()).collect())
    }

    #[test]
    fn layers_go_to_the_next_addresses_or_to_those_named() {
        assert_eq!(groups(&["239.1.2.255:5"], None).unwrap(), ["239.1.2.255:5"]);
        assert_eq!(groups(&["239.1.2.255:5"], Some(3)).unwrap(), ["239.1.2.255:5", "239.1.3.0:5", "239.1.3.1:5"]);
        assert_eq!(groups(&["[ff15::ffff]:5"], Some(2)).unwrap(), ["[ff15::ffff]:5", "[ff15::1:0]:5"]);
        for layers in [None, Some(2)] {
            assert_eq!(groups(&["239.9.9.9:5", "239.1.1.1:6"], layers).unwrap(), ["239.9.9.9:5", "239.1.1.1:6"]);
        }
    }

    #[test]
    fn groups_that_do_not_fit_the_layers_are_refused() {
        for (group, layers, part) in [
            (&["239.1.1.1:5", "239.1.1.2:5"][..], Some(3), "2 groups for 3 layers"),
            (&["239.1.1.1:5"; 9], None, "9 groups for 9 layers"),
            (&["255.255.255.255:5"], Some(2), "not enough addresses"),
        ] {
            let error = groups(group, layers).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
