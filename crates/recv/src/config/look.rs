//! What to hear and whom to trust, for a command that only looks: nothing of a device need be set.

use std::path::PathBuf;

use clap::Args;
use fleetcast_core::trust::Trust;

use super::settings::{one_or_more, read, receive_buffer, some};
use super::{ConfigError, Discover, Feed, discover, feeds, trust};

/// The settings that such a command has as flags, and the file for those that are not given.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings (each overrides the key of the file)")]
pub struct LookArgs {
    /// Settings file of a device; see examples/recv.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Trust root, which says who signs what; or else --trust
    #[arg(long, value_name = "FILE", conflicts_with_all = ["trust", "threshold"])]
    root: Option<String>,

    /// Public key that releases must be signed with (PEM); repeat for several
    #[arg(long, value_name = "FILE")]
    trust: Vec<String>,

    /// How many of the trusted keys must have signed [default: 1]
    #[arg(long, value_name = "N")]
    threshold: Option<u8>,

    /// Multicast group and port to join, or to look at in a capture; repeat for several
    #[arg(long, value_name = "ADDR:PORT")]
    group: Vec<String>,

    /// Network interface to join on: name or address; repeat for several
    #[arg(long, value_name = "NAME", conflicts_with = "capture")]
    interface: Vec<String>,

    /// Hear this sender only (source-specific multicast); repeat for several
    #[arg(long, value_name = "ADDR", conflicts_with = "capture")]
    source: Vec<String>,

    /// Join N layers, 1 to 8: the groups are those of the base layer, and the others have the next addresses [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "capture")]
    layers: Option<u8>,
}

/// What to hear and whom to trust.
#[derive(Clone, Debug)]
pub struct Look {
    /// Whose statements count, if anybody was named.
    pub trust: Option<Trust>,
    /// What to hear.
    pub feeds: Vec<Feed>,
    /// Where to ask what else to hear.
    pub discover: Option<Discover>,
    /// Names or addresses of the interfaces to join on.
    pub interfaces: Vec<String>,
    /// Octets of receive buffer to ask of the kernel.
    pub receive_buffer: usize,
}

impl LookArgs {
    /// Reads the file, if one is named, and checks what is needed to join groups; or, for a `capture`, whom to trust and
    /// which groups flags name.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`].
    pub fn load(self, capture: bool) -> Result<Look, ConfigError> {
        let (source, file) = read(self.config)?;
        let is_anybody =
            [self.root.is_some(), !self.trust.is_empty(), file.root.is_some(), file.trust.is_some()].contains(&true);
        let flags = trust::Given { root: self.root, trust: some(self.trust), threshold: self.threshold };
        let trust = if is_anybody || flags.threshold.is_some() {
            Some(trust::trust(&source, flags, (file.root, file.trust, file.threshold))?)
        } else {
            None
        };
        if capture {
            let group = some(self.group).and_then(|group| source.pick("group", Some(group), None));
            let feeds = group.map_or(Ok(vec![]), |group| feeds::feeds(group, None))?;
            return Ok(Look { trust, feeds, discover: None, interfaces: vec![], receive_buffer: 0 });
        }
        let interface = file.interface.map(one_or_more);
        let interfaces = feeds::interfaces(source.need("interface", "interface", some(self.interface), interface)?)?;
        let only = source.pick("source", some(self.source), file.source.map(one_or_more));
        let servers = source.pick("dns", None, file.dns.map(one_or_more));
        let discover = discover::discover(source.pick("domain", None, file.domain), servers)?;
        let is_discovered = discover.is_some() && only.is_none() && self.group.is_empty() && file.groups.is_none();
        let mut feeds = if is_discovered {
            vec![]
        } else {
            feeds::feeds(source.need("groups", "group", some(self.group), file.groups)?, only)?
        };
        feeds::layers(source.pick("layers", self.layers, file.layers), &mut feeds)?;
        let buffer = source.pick("receive-buffer", None, file.receive_buffer);
        Ok(Look { trust, feeds, discover, interfaces, receive_buffer: receive_buffer(buffer)? })
    }
}
