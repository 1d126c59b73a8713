//! Socket options that neither `socket2` nor `nix` offers through a safe call.

#![expect(unsafe_code, reason = "setsockopt and getsockopt take pointers")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_void, socklen_t};
use socket2::SockAddr;

/// Value types that `setsockopt` may read as raw bytes.
///
/// # Safety
///
/// The type is a C structure or integer that the kernel reads and that holds no pointers.
unsafe trait OptionValue {}

// SAFETY: a C integer.
unsafe impl OptionValue for c_int {}
// SAFETY: three plain C fields, no pointers.
unsafe impl OptionValue for libc::ip_mreqn {}
// SAFETY: an integer and two socket addresses held by value.
unsafe impl OptionValue for libc::group_source_req {}

/// Sets an option whose value is one C integer.
pub(crate) fn set(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    set_value(fd, level, name, &value)
}

/// Sends IPv4 multicast through the interface `index`, whatever the routes say, from
/// `address` unless the socket is bound to another.
pub(crate) fn set_multicast_interface_v4(fd: BorrowedFd<'_>, address: Ipv4Addr, index: u32) -> io::Result<()> {
    let any = libc::in_addr { s_addr: 0 };
    let request = libc::ip_mreqn {
        imr_multiaddr: any,
        imr_address: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
        imr_ifindex: index.cast_signed(),
    };
    set_value(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
}

/// Joins `group` for datagrams of `source` too, on the interface `index` (RFC 3678 §5.1).
pub(crate) fn join_source(fd: BorrowedFd<'_>, group: IpAddr, source: IpAddr, index: u32) -> io::Result<()> {
    set_source(fd, libc::MCAST_JOIN_SOURCE_GROUP, group, source, index)
}

/// Takes [`join_source`] back.
pub(crate) fn leave_source(fd: BorrowedFd<'_>, group: IpAddr, source: IpAddr, index: u32) -> io::Result<()> {
    set_source(fd, libc::MCAST_LEAVE_SOURCE_GROUP, group, source, index)
}

fn set_source(fd: BorrowedFd<'_>, name: c_int, group: IpAddr, source: IpAddr, index: u32) -> io::Result<()> {
    let storage = |ip| {
        let mut storage = SockAddr::from(SocketAddr::new(ip, 0)).as_storage();
        // SAFETY: `sockaddr_storage` is one of this platform's address types.
        unsafe { *storage.view_as::<libc::sockaddr_storage>() }
    };
    let request =
        libc::group_source_req { gsr_interface: index, gsr_group: storage(group), gsr_source: storage(source) };
    let level = match group {
        IpAddr::V4(_) => libc::IPPROTO_IP,
        IpAddr::V6(_) => libc::IPPROTO_IPV6,
    };
    set_value(fd, level, name, &request)
}

/// Reads an option whose value is `N` 32-bit words; words the kernel leaves out are 0.
pub(crate) fn get<const N: usize>(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<[u32; N]> {
    let mut words = [0u32; N];
    let mut len = socklen(size_of_val(&words))?;
    // SAFETY: the pointer and `len` describe `words`, which outlives the call, and any bit
    // pattern is a valid u32.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut words).cast::<c_void>(), &raw mut len) };
    check(result).map(|()| words)
}

fn set_value<T: OptionValue>(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let len = socklen(size_of::<T>())?;
    // SAFETY: the pointer and `len` describe `value`, which outlives the call; the kernel
    // only reads it, and `OptionValue` says that its bytes may be read.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast::<c_void>(), len) };
    check(result)
}

fn socklen(bytes: usize) -> io::Result<socklen_t> {
    socklen_t::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
