"""Sections 3 and 4: the signed statement of every kind, and the manifest."""

import hashlib
import re

from . import Refused, cbor, curve, require
from .geometry import Geometry

ED25519, EDDSA = -19, -8
MANIFEST, ROOT, BEACON = 0, 1, 2
AADS = [b"fleetcast-manifest-1", b"fleetcast-root-1", b"fleetcast-beacon-1"]
MAX_STATEMENT = 8192
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,31}", re.ASCII)


def kid(public: bytes) -> bytes:
    """S-4."""
    return hashlib.sha256(public).digest()[:8]


def protected(public: bytes, alg: int = ED25519) -> bytes:
    """The protected header, without its byte string head."""
    return cbor.encode({1: alg, 4: kid(public)})


def to_be_signed(header: bytes, payload: bytes, aad: bytes = AADS[MANIFEST]) -> bytes:
    """The `Sig_structure` (S-5)."""
    return cbor.encode(["Signature1", header, aad, payload])


def cose(header: bytes, signature: bytes) -> cbor.Raw:
    """One `COSE_Sign1` with detached payload (S-1)."""
    return cbor.Raw(b"\x84" + cbor.encode(header) + b"\xa0\xf6" + cbor.encode(signature))


def signed(key: curve.Key, payload: bytes, alg: int = ED25519, kind: int = MANIFEST) -> cbor.Raw:
    """The signature of `key` over `payload`."""
    header = protected(key.public, alg)
    return cose(header, key.sign(to_be_signed(header, payload, AADS[kind])))


def statement(payload: bytes, *signatures: cbor.Raw) -> bytes:
    """S-1."""
    return cbor.encode([payload, list(signatures)])


def parse(octets: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The payload and the (protected, signature) pairs of a statement that matches the template (S-1, S-2)."""
    require(len(octets) <= MAX_STATEMENT, "template")
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        require(at + count <= len(octets), "template")
        at += count
        return octets[at - count : at]

    def expect(pattern: bytes) -> None:
        require(take(len(pattern)) == pattern, "template")

    expect(b"\x82")
    first = take(1)[0]
    width = {0x58: 1, 0x59: 2}.get(first, 0)
    require(width > 0 or 0x40 <= first <= 0x57, "template")
    length = int.from_bytes(take(width), "big") if width else first - 0x40
    require(cbor.head(2, length)[0] == first, "template")
    payload, pairs = take(length), []
    count = take(1)[0] - 0x80
    require(1 <= count <= 8, "template")
    for _ in range(count):
        expect(b"\x84\x4d")
        header = take(13)
        require(header[:2] == b"\xa2\x01" and header[2] in (0x32, 0x27) and header[3:5] == b"\x04\x48", "template")
        expect(b"\xa0\xf6\x58\x40")
        pairs.append((header, take(64)))
    require(at == len(octets), "template")
    return payload, pairs


def signers(octets: bytes, keys: set[bytes], kind: int) -> tuple[bytes, set[bytes]]:
    """The payload, and those of the keys that have a valid signature under their kid (S-7)."""
    payload, pairs = parse(octets)
    valid = {key for key in keys for header, signature in pairs
             if header[5:] == kid(key) and curve.verify(key, to_be_signed(header, payload, AADS[kind]), signature)}
    return payload, valid


def decode(payload: bytes):
    """The item of a payload whose structure version is known (M-1, S-9)."""
    check_structure(payload)
    return cbor.decode(payload)


def check_structure(payload: bytes) -> None:
    """M-1: nothing is read of a map that begins with another structure version."""
    try:
        version = cbor.first_value(payload)
    except Refused:
        return
    require(version in (None, 1), "structure-version")


MANIFEST_TYPES = {0: int, 1: int, 2: int, 3: str, 4: bytes, 5: list, 6: list, 7: list, 8: list, 9: list}
COMPONENT_TYPES = {0: str, 1: str, 2: int, 3: bytes, 4: int, 5: int, 6: int, 7: int, 8: int, 9: int, 10: bytes}


def check_type(value, kind) -> None:
    """`schema` unless the value has this type."""
    require(isinstance(value, kind) and not (kind is int and value < 0), "schema")


def check_array(value, kinds: list) -> None:
    """`schema` unless the value is an array of just these types."""
    check_type(value, list)
    require(len(value) == len(kinds), "schema")
    for item, kind in zip(value, kinds):
        check_type(item, kind)


def check_map(value, types: dict, optional: set) -> None:
    """`schema` unless the value is a map of these keys and types."""
    check_type(value, dict)
    require(set(types) - optional <= set(value) <= set(types), "schema")
    for key, item in value.items():
        check_type(item, types[key])


def check(manifest) -> dict:
    """Refuse a decoded payload that is not a manifest of section 4."""
    check_map(manifest, MANIFEST_TYPES, {7, 8, 9})
    for item in manifest[5]:
        check_type(item, bytes)
    for item in manifest[6]:
        check_map(item, COMPONENT_TYPES, set())
    ranges = [manifest.get(7, [0, 0]), manifest.get(8, [0, 0])]
    waves = manifest.get(9, [[1000, 0]])
    for pair in ranges + waves:
        check_array(pair, [int, int])
    components = manifest[6]
    ok = 1 <= manifest[1] < 1 << 63 and manifest[2] < 1 << 32
    ok = ok and all(low <= high for low, high in ranges)
    ok = ok and 1 <= len(waves) <= 8 and all(1 <= share <= 1000 and time < 1 << 40 for share, time in waves)
    ok = ok and all(a[0] < b[0] and a[1] < b[1] for a, b in zip(waves, waves[1:]))
    ok = ok and all(len(uuid) == 16 for uuid in [manifest[4], *manifest[5]])
    ok = ok and 1 <= len(manifest[5]) <= 8 and 1 <= len(components) <= 8
    tokens = [manifest[3]] + [c[0] for c in components] + [c[1] for c in components]
    ok = ok and all(map(TOKEN.fullmatch, tokens))
    ok = ok and all(len({c[key] for c in components}) == len(components) for key in (0, 1))
    ok = ok and all(len(c[3]) == 32 and c[4] == 0 and c[5] == 1 for c in components)
    require(ok, "range")
    for component in components:
        geometry = geometry_of(component)
        geometry.check()
        geometry.path_levels(len(component[10]))
    return manifest


def geometry_of(component: dict) -> Geometry:
    """The geometry of a component map."""
    return Geometry(component[2], component[6], component[7], component[8], component[9])


def wave_number(seed: bytes, sequence: int) -> int:
    """A device's number in the waves of a release, M-10."""
    return int.from_bytes(hashlib.sha256(b"fleetcast-wave-1" + seed + sequence.to_bytes(8, "big")).digest()[:8], "big") % 1000
