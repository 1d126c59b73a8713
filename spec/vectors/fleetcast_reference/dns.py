"""Section 15: what to join by the records of a domain (D-2 to D-5)."""

from ipaddress import ip_address, ip_network

from . import require

NO_SOURCE = [ip_network(net) for net in (
    "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "::1/128", "::ffff:0:0/96", "fe80::/10",
    "ff00::/8")]
SPECIFIC = [ip_network("232.0.0.0/8")] + [ip_network(f"ff3{scope:x}::/32") for scope in range(16)]
CONTROL = ip_network("224.0.0.0/23")
MOST = 8  # sources of a group


def is_in(address, nets) -> bool:
    return any(address.version == net.version and address in net for net in nets)


def is_group(address) -> bool:
    if address.version == 4:
        return address.is_multicast and address not in CONTROL
    return address.is_multicast and bool(address.packed[1] & 0x10)


def parsed(text: str, code: str):
    require("%" not in text, code)  # no zone
    try:
        return ip_address(text)
    except ValueError:
        require(False, code)


def groups(texts: list[list[str]]) -> tuple[list, int]:
    """The base groups, and how many layers each has (D-3)."""
    require(len(texts) <= 8 and sum(len(string) for text in texts for string in text) <= 2048, "dns-too-many")
    ours = [text for text in texts if text[0] == "v=1"]
    require(len(ours) == 1, "dns-text")
    pairs = [string.split("=", 1) for string in ours[0] if "=" in string]
    pairs = [(key.lower(), value) for key, value in pairs]
    bases = sorted({parsed(value, "dns-group") for key, value in pairs if key == "group"}, key=lambda a: a.packed)
    require(bases and all(map(is_group, bases)), "dns-group")
    layers = next((value for key, value in pairs if key == "layers"), "1")
    require(layers in list("12345678"), "dns-layers")
    every = []
    for base in bases:
        for number in range(int(layers)):
            try:
                group = base + number
            except ValueError:
                require(False, "dns-layers")
            require(is_group(group) and is_in(group, SPECIFIC) == is_in(base, SPECIFIC), "dns-layers")
            every.append(group)
    require(len(set(every)) == len(every), "dns-layers")
    return bases, int(layers)


def join(srv: list[tuple[int, int, int, str]], addresses: dict[str, list], texts: list[list[str]]) -> list[str]:
    """What is joined when the first n priorities are, for each n: n, group, port, layers, sources."""
    require(len(srv) <= 8, "dns-too-many")
    if all(target == "." for *_, target in srv):
        return []
    bases, layers = groups(texts)
    for *_, port, target in srv:
        require(port != 0, "dns-port")
        require(len(addresses.get(target, [])) <= 8, "dns-too-many")
        require(not any(is_in(address, NO_SOURCE) for address in addresses.get(target, [])), "dns-source")
    # The best first (D-5).
    sources = sorted((priority, -weight, address.packed, port, address) for priority, weight, port, target in srv
                     for address in addresses.get(target, []))
    sources = [source for source in sources if any(source[4].version == base.version for base in bases)]
    require(bool(sources), "dns-no-address")
    places = {(base, port) for *_, port, address in sources for base in bases if base.version == address.version}
    require(len(places) * layers <= 16, "dns-too-many")
    lines = []
    for n, priority in enumerate(sorted({source[0] for source in sources}), 1):
        for group, port in sorted(places, key=lambda place: (place[0].packed, place[1])):
            heard = [source[4] for source in sources
                     if source[0] <= priority and source[3] == port and source[4].version == group.version]
            heard = list(dict.fromkeys(heard))[:MOST]
            if heard:
                names = ",".join(map(str, sorted(heard)))
                lines.append(f"{n} {group} {port} {layers} {names}")
    return lines


def of_vector(fields: dict) -> list[str]:
    """The answer to the records of a header."""
    srv = [line.split() for line in fields.get("srv", [])]
    addresses: dict[str, list] = {}
    for line in fields.get("address", []):
        name, address = line.split()
        addresses.setdefault(name, []).append(ip_address(address))
    texts = [line.split() for line in fields.get("text", [])]
    return join([(int(p), int(w), int(port), target) for p, w, port, target in srv], addresses, texts)
