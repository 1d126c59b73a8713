"""Vectors of the layer `dns`: records of a domain, and what is joined by them."""

from . import dns
from .vector import Vector

GROUP, LAYERED = "group=232.1.2.3", "group=ff3e::8000:1"


def vector(code, name, requirement, comment, *text, srv=("10 0 4701 a.",), address=("a. 192.0.2.10",), texts=None):
    """`text` are the strings of the one TXT record after `v=1`; or `texts` are all of them."""
    fields = {"srv": list(srv), "address": list(address), "text": texts or [" ".join(["v=1", *(text or [GROUP])])]}
    if code == "ok":
        fields["join"] = dns.of_vector(fields)
    return Vector("dns", f"{code}-{name}", code, requirement, comment, fields)


def numbered(name, net, *hosts):
    return [f"{name} {net}{host}" for host in hosts]


def texts():
    yield vector("ok", "one", "D-2 D-3", "one sender, one group")
    yield vector("ok", "of-the-document", "D-2 D-3 D-5", "the records of section 15", GROUP, LAYERED,
                 srv=["10 0 4701 head-end-1.", "10 0 4701 head-end-2.", "20 0 4701 standby."],
                 address=["head-end-1. 192.0.2.10", "head-end-1. 2001:db8::10", "head-end-2. 192.0.2.11",
                          "standby. 198.51.100.10"])
    yield vector("ok", "key-case", "D-3", "keys without regard to case", "GROUP=232.1.2.3", "Layers=2")
    yield vector("ok", "unknown-keys", "D-3", "unknown keys, strings without =, and an empty key",
                 "path=/etc/passwd", "flag", "=x", "v=2", GROUP)
    yield vector("ok", "other-texts", "D-3", "texts that begin otherwise",
                 texts=["v=spf1 -all", "v=2 x", f"v=1 {GROUP}"])
    yield vector("ok", "layers-twice", "D-3", "of layers that come twice the first counts", "layers=2", "layers=9",
                 GROUP)
    yield vector("ok", "group-twice", "D-3", "a group that comes twice is one", GROUP, GROUP)
    yield vector("ok", "layers-8", "D-3", "eight layers of a group of each family", "layers=8", GROUP, LAYERED,
                 address=["a. 192.0.2.10", "a. 2001:db8::10"])
    yield vector("ok", "layers-side-by-side", "D-3", "two groups whose layers just do not overlap", "layers=2", GROUP,
                 "group=232.1.2.5")
    yield vector("ok", "any-source", "D-3 D-5", "a group that is not source-specific is joined with sources too",
                 "group=239.1.2.3", "group=ff1e::1", address=["a. 192.0.2.10", "a. 2001:db8::10"])
    yield vector("ok", "other-family", "D-4 D-5", "a group of a family that no target has is not joined", GROUP,
                 LAYERED)
    yield vector("dns-text", "none", "D-3", "no text of this version", texts=[f"v=2 {GROUP}"])
    yield vector("dns-text", "two", "D-3", "two texts of this version", texts=[f"v=1 {GROUP}", "v=1 group=232.1.2.4"])
    yield vector("dns-text", "not-first", "D-3", "v=1 is not the first string", texts=[f"{GROUP} v=1"])
    yield vector("dns-text", "case", "D-3", "V=1 is another string", texts=[f"V=1 {GROUP}"])
    for name, group, comment in (
            ("unicast", "192.0.2.7", "no multicast address"), ("control", "224.0.0.251", "in 224.0.0.0/24"),
            ("control-1", "224.0.1.1", "in 224.0.1.0/24"), ("no-t-flag", "ff0e::1", "IPv6 without the T flag"),
            ("port", "232.1.2.3:4701", "an address with a port"), ("empty", "", "no address"),
            ("name", "a.example", "a name"), ("beside", "ff3e::8000:1%1", "an address with a zone")):
        yield vector("dns-group", name, "D-4", f"a group that is {comment}" if name != "empty" else "an empty group",
                     f"group={group}")
    yield vector("dns-group", "second", "D-4", "the second group is no multicast address", GROUP, "group=192.0.2.7")
    yield vector("dns-group", "none", "D-3", "no group", "layers=1")
    for layers in ("0", "9", "x", "", "1.0", "-1", "256"):
        yield vector("dns-layers", layers or "empty", "D-4", f"layers is {layers or 'empty'}", GROUP,
                     f"layers={layers}")
    yield vector("dns-layers", "overlap", "D-4", "the second layer of one group is another group", "layers=2", GROUP,
                 "group=232.1.2.4")
    yield vector("dns-layers", "end", "D-4", "the second layer is no multicast address", "layers=2",
                 "group=239.255.255.255")
    yield vector("dns-layers", "kind", "D-3 D-4", "the second layer is not source-specific, as the first is",
                 "layers=2", "group=232.255.255.255")
    yield vector("dns-layers", "kind-back", "D-3 D-4", "the second layer is source-specific, as the first is not",
                 "layers=2", "group=231.255.255.255")


def senders():
    def weighted(low, high):
        return [f"10 {low} 4701 a.", f"10 {high} 4701 b."]

    five = numbered("a.", "192.0.2.", 20, 21, 22, 23, 24) + numbered("b.", "192.0.2.", 30, 31, 32, 33, 34)
    yield vector("ok", "no-sender", "D-2", "the target is .: there is no sender", srv=["0 0 0 ."], address=[])
    yield vector("ok", "no-address-of-one", "D-2", "a target without an address is passed over",
                 srv=["10 0 4701 a.", "10 0 4701 b."])
    yield vector("ok", "priorities", "D-2", "three priorities, in no order",
                 srv=["30 0 4701 c.", "10 0 4701 a.", "20 0 4701 b."],
                 address=["a. 192.0.2.1", "b. 192.0.2.2", "c. 192.0.2.3"])
    yield vector("ok", "ports", "D-2", "each target with a port of its own", srv=["10 0 1 a.", "10 0 65535 b."],
                 address=["a. 192.0.2.1", "b. 192.0.2.2"])
    yield vector("ok", "same-address", "D-5", "two targets with one address are one source", srv=weighted(0, 0),
                 address=["a. 192.0.2.1", "b. 192.0.2.1"])
    yield vector("ok", "eight-sources", "D-5", "eight sources",
                 address=numbered("a.", "192.0.2.", *range(1, 9)))
    yield vector("ok", "weight", "D-5", "of ten sources those of the heavier target stay, and the lower of the other",
                 srv=weighted(1, 2), address=five)
    yield vector("ok", "addresses", "D-5", "of ten sources of one weight the lower addresses stay", srv=weighted(1, 1),
                 address=numbered("a.", "192.0.2.", 1, 20, 21, 22, 23) + numbered("b.", "192.0.2.", 2, 3, 4, 5, 6))
    yield vector("ok", "priority-first", "D-5", "of ten sources those of the first priority stay, whatever their "
                 "weight and address", srv=["20 9 4701 a.", "10 0 4701 b."], address=five)
    yield vector("ok", "addresses-of-each-family", "D-5", "each group has room for eight sources", GROUP, LAYERED,
                 srv=weighted(0, 0), address=numbered("a.", "192.0.2.", *range(1, 9))
                 + numbered("b.", "2001:db8::", *range(1, 9)))
    yield vector("dns-too-many", "srv", "D-4", "nine SRV records", srv=[f"{i} 0 4701 a." for i in range(9)])
    yield vector("dns-too-many", "texts", "D-4", "nine TXT records", texts=[f"v=1 {GROUP}"] + ["x"] * 8)
    yield vector("ok", "most-text", "D-4", "2,048 octets of text in eight records",
                 texts=[f"v=1 {GROUP}"] + ["x" * 255] * 6 + ["x" * (2048 - 18 - 6 * 255 - 255) + " " + "y" * 255])
    yield vector("dns-too-many", "text", "D-4", "2,049 octets of text",
                 texts=[f"v=1 {GROUP}"] + ["x" * 255] * 6 + ["x" * (2049 - 18 - 6 * 255 - 255) + " " + "y" * 255])
    yield vector("dns-too-many", "addresses", "D-4", "nine addresses of a target",
                 address=numbered("a.", "192.0.2.", *range(1, 10)))
    yield vector("dns-too-many", "layers", "D-4", "three groups of six layers: 18", "layers=6", GROUP,
                 "group=232.2.2.3", "group=232.3.2.3")
    yield vector("dns-too-many", "ports", "D-4", "a group of six layers on three ports: 18", "layers=6", GROUP,
                 srv=[f"10 0 {port} a." for port in (1, 2, 3)])
    yield vector("ok", "most-groups", "D-4", "a group of eight layers on two ports: 16", "layers=8", GROUP,
                 srv=[f"10 0 {port} a." for port in (1, 2)])
    yield vector("dns-port", "0", "D-4", "port 0", srv=["10 0 0 a."])
    yield vector("dns-port", "second", "D-4", "port 0 of the second target", srv=["10 0 4701 a.", "20 0 0 b."],
                 address=["a. 192.0.2.1", "b. 192.0.2.2"])
    for name, address in (
            ("multicast", "232.1.2.3"), ("multicast-6", "ff3e::1"), ("unspecified", "0.0.0.0"),
            ("unspecified-6", "::"), ("loopback", "127.9.9.9"), ("loopback-6", "::1"), ("link-local-6", "fe80::1"),
            ("mapped", "::ffff:192.0.2.1"), ("this-network", "0.1.2.3"), ("reserved", "240.0.0.1"),
            ("broadcast", "255.255.255.255")):
        yield vector("dns-source", name, "D-4", f"a target with the address {address}", GROUP, LAYERED,
                     address=["a. 192.0.2.10", f"a. {address}"])
    yield vector("ok", "link-local-4", "D-4", "link-local in IPv4 is a source like any other",
                 address=["a. 169.254.1.1"])
    yield vector("dns-no-address", "family", "D-4", "a group of the other family", LAYERED)
    yield vector("dns-no-address", "none", "D-4", "no target has an address", address=[])


def cases():
    yield from texts()
    yield from senders()
