//! How packets go to a group, the same for all commands that send.

use std::net::SocketAddr;

use fleetcast_net::{Interface, SendOptions};

#[derive(clap::Args, Debug)]
pub(super) struct PathArgs {
    /// TTL or hop limit of what goes to a group: 1 reaches devices on the same link, more goes beyond routers
    #[arg(long, value_name = "N", default_value_t = 1)]
    hops: u8,

    /// Differentiated services code point, 0 to 63
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..64))]
    pub(super) dscp: u8,

    /// UDP source port of what goes to a group; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    source_port: u16,

    /// Keep what goes to a group from receivers on this host
    #[arg(long)]
    no_loopback: bool,

    /// Hand packets to the system one by one, without segmentation offload
    #[arg(long)]
    no_gso: bool,
}

impl PathArgs {
    pub(super) fn options(&self, group: SocketAddr, interface: Interface) -> SendOptions {
        SendOptions {
            hops: self.hops,
            dscp: self.dscp,
            loopback: !self.no_loopback,
            source_port: self.source_port,
            gso: !self.no_gso,
            ..SendOptions::new(group, interface)
        }
    }
}
