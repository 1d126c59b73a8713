"""Where datagrams come from: a multicast group, or a capture file."""

import ipaddress
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Of Linux: joins that name an interface by its index, alike for both families (RFC 3678 section 5).
MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP = 42, 46
IP_MULTICAST_ALL, IPV6_MULTICAST_ALL = 49, 29
LARGEST = 65_535


class Came(NamedTuple):
    """A datagram, or the passing of time if it is `None`. Both times are in seconds; `wall` is Unix time."""

    now: float
    wall: float
    source: str
    datagram: bytes | None


class Group(NamedTuple):
    """Where a session is sent. With sources the group is joined source-specifically (RFC 4607)."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int
    sources: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, sources: tuple[str, ...] = ()) -> "Group":
        """`239.1.2.3:4000` or `[ff15::1]:4000`."""
        address, _, port = text.rpartition(":")
        group = cls(ipaddress.ip_address(address.strip("[]")), int(port), sources)
        if not group.address.is_multicast or not 1 <= group.port <= 65535:
            raise ValueError(f"{text} is no multicast group and port")
        return group


def _sockaddr(address: str) -> bytes:
    """A `sockaddr_storage` without port."""
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        packed = struct.pack("=HH4s", socket.AF_INET, 0, ip.packed)
    else:
        packed = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, ip.packed, 0)
    return packed.ljust(128, b"\0")


def join(group: Group, interface: str) -> socket.socket:
    """A socket that hears the group on this interface only."""
    is_v4 = group.address.version == 4
    level = socket.IPPROTO_IP if is_v4 else socket.IPPROTO_IPV6
    index = socket.if_nametoindex(interface)
    s = socket.socket(socket.AF_INET if is_v4 else socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    # Not what other programs have joined elsewhere.
    s.setsockopt(level, IP_MULTICAST_ALL if is_v4 else IPV6_MULTICAST_ALL, 0)
    address = str(group.address)
    s.bind((address, group.port) if is_v4 else (address, group.port, 0, index))
    request = struct.pack("@I4x", index) + _sockaddr(address)
    if not group.sources:
        s.setsockopt(level, MCAST_JOIN_GROUP, request)
    for source in group.sources:
        s.setsockopt(level, MCAST_JOIN_SOURCE_GROUP, request + _sockaddr(source))
    return s


def live(s: socket.socket, seconds: float | None) -> Iterator[Came]:
    """What comes, for so long; without end if that is `None`. Time passes at least twice a second."""
    start = time.monotonic()
    s.settimeout(0.5)
    while True:
        try:
            datagram, sender = s.recvfrom(LARGEST)
        except TimeoutError:
            datagram, sender = None, ("",)
        now = time.monotonic() - start
        yield Came(now, time.time(), sender[0], datagram)
        if seconds is not None and now > seconds:
            return


def capture(path: Path, group: Group | None) -> Iterator[Came]:
    """UDP datagrams of a pcap file of Ethernet or raw IP, those of the group if one is given, by its time."""
    octets = path.read_bytes()
    magic = octets[:4]
    order = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    fractions = {0xA1B2C3D4: 1e-6, 0xA1B23C4D: 1e-9}.get(int.from_bytes(magic, "little" if order == "<" else "big"))
    if fractions is None or len(octets) < 24:
        raise ValueError(f"{path} is no pcap file")
    link = struct.unpack_from(order + "I", octets, 20)[0] & 0xFFFF
    if link not in (1, 101):
        raise ValueError(f"{path} has link type {link}; only Ethernet (1) and raw IP (101) are read")
    at, start = 24, None
    while at + 16 <= len(octets):
        seconds, fraction, length, _ = struct.unpack_from(order + "4I", octets, at)
        frame, at = octets[at + 16 : at + 16 + length], at + 16 + length
        if len(frame) < length:
            return  # The capture was cut off here.
        wall = seconds + fraction * fractions
        start = wall if start is None else start
        came = udp(_without_ethernet(frame) if link == 1 else frame)
        if came and (group is None or (came[1], came[2]) == (group.address.packed, group.port)):
            source = str(ipaddress.ip_address(came[0]))
            if group is None or not group.sources or source in group.sources:
                yield Came(max(wall - start, 0.0), wall, source, came[3])


def _without_ethernet(frame: bytes) -> bytes:
    """The IP packet of a frame, behind any VLAN tags."""
    at = 12
    while frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    return frame[at + 2 :] if frame[at : at + 2] in (b"\x08\x00", b"\x86\xdd") else b""


def udp(ip: bytes) -> tuple[bytes, bytes, int, bytes] | None:
    """Source, destination, port and payload of a whole UDP datagram in an IP packet. Fragments are passed over."""
    if len(ip) >= 20 and ip[0] >> 4 == 4:
        is_whole = int.from_bytes(ip[6:8], "big") & 0x3FFF == 0
        protocol, source, destination = ip[9], ip[12:16], ip[16:20]
        rest = ip[4 * (ip[0] & 15) : int.from_bytes(ip[2:4], "big")]
    elif len(ip) >= 40 and ip[0] >> 4 == 6:
        is_whole, protocol, source, destination = True, ip[6], ip[8:24], ip[24:40]
        rest = ip[40 : 40 + int.from_bytes(ip[4:6], "big")]
    else:
        return None
    length = int.from_bytes(rest[4:6], "big")
    if not is_whole or protocol != 17 or not 8 <= length <= len(rest):
        return None
    return source, destination, int.from_bytes(rest[2:4], "big"), rest[8:length]
