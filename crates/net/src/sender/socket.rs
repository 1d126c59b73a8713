//! What a sender sets up before it sends.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::SendOptions;
use crate::{OpenError, sys};

/// The socket before it has a port: from its first moment no arrival gets in, nor can the
/// filter be taken off again.
pub(crate) fn deaf_socket(to: SocketAddr) -> io::Result<Socket> {
    // One instruction, `BPF_RET | BPF_K` with 0: keep 0 bytes, that is, drop.
    const DROP_ALL: [SockFilter; 1] = [SockFilter::new(0x06, 0, 0, 0)];
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
    socket.attach_filter(&DROP_ALL)?;
    sys::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_LOCK_FILTER, 1)?;
    // The kernel raises 0 to the least it allows.
    socket.set_recv_buffer_size(0)?;
    Ok(socket)
}

/// Interface, and no fragments.
pub(super) fn set_path(socket: &Socket, options: &SendOptions) -> io::Result<()> {
    let fd = socket.as_fd();
    let index = options.interface.index();
    if options.group.is_ipv4() {
        let probe = libc::IP_PMTUDISC_PROBE;
        sys::set(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, probe)?;
        let address = options.interface.ipv4();
        sys::set_multicast_interface_v4(fd, address.unwrap_or(Ipv4Addr::UNSPECIFIED), index)
    } else {
        let probe = libc::IPV6_PMTUDISC_PROBE;
        socket.set_only_v6(true)?;
        sys::set(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, probe)?;
        sys::set(fd, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 1)?;
        socket.set_multicast_if_v6(index)
    }
}

/// Hops, DSCP, loopback.
pub(super) fn set_marks(socket: &Socket, options: &SendOptions) -> io::Result<()> {
    let hops = u32::from(options.hops);
    let class = u32::from(options.dscp) << 2;
    if options.group.is_ipv4() {
        socket.set_multicast_ttl_v4(hops)?;
        socket.set_tos_v4(class)?;
        socket.set_multicast_loop_v4(options.loopback)
    } else {
        socket.set_multicast_hops_v6(hops)?;
        socket.set_tclass_v6(class)?;
        socket.set_multicast_loop_v6(options.loopback)
    }
}

/// Source address and port to bind.
pub(super) fn source_address(options: &SendOptions) -> Result<SocketAddr, OpenError> {
    let interface = &options.interface;
    let address = match (options.group, interface.chosen()) {
        (SocketAddr::V6(_), Some(chosen @ IpAddr::V6(_))) => chosen,
        (SocketAddr::V6(_), _) => Ipv6Addr::UNSPECIFIED.into(),
        (SocketAddr::V4(_), _) => match interface.ipv4() {
            Some(address) => address.into(),
            None => {
                return Err(OpenError::NoAddress { interface: interface.to_string(), group: options.group });
            }
        },
    };
    Ok(SocketAddr::new(address, options.source_port))
}
