//! Numbers by which senders are told apart.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::{IpAddr, SocketAddr};

/// A sender's number: of its address without the port, so that more ports do not get it a larger share of anything.
#[must_use]
pub fn source_number(from: SocketAddr) -> u64 {
    match from.ip() {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => hash(v6),
    }
}

/// A number of address and port: several senders may run on one machine.
#[must_use]
pub fn endpoint_number(from: SocketAddr) -> u64 {
    hash(from)
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
