"""Roots and beacons made for vectors."""

import uuid

from . import cbor
from .curve import Key
from .release import CLASS, VENDOR
from .statement import BEACON, MANIFEST, ROOT, signed, statement

ROOTS = [Key(f"root-{i}") for i in range(1, 6)]
AUTHORS = [Key(f"author-{i}") for i in range(1, 4)]
OPERATORS = [Key(f"operator-{i}") for i in range(1, 3)]
BEACONS = [Key(f"beacon-{i}") for i in range(1, 3)]
RELEASE, OTHER, THIEF = Key("release"), Key("other"), Key("thief")
R1, R2, R3, R4, R5 = ROOTS
A1, A2, A3 = AUTHORS
O1, O2 = OPERATORS
B1, B2 = BEACONS
CAMERA = uuid.uuid5(uuid.UUID(bytes=VENDOR), "camera").bytes
CLASSES = sorted([CLASS, CAMERA])
OTHER_VENDOR = uuid.uuid5(uuid.NAMESPACE_DNS, "other.example").bytes
ISSUED = 1_700_000_000
DAY = 24 * 3600


def role(threshold: int, *keys: Key) -> tuple[int, list[Key]]:
    return threshold, list(keys)


def grant(author, operator=None, classes=None, targets=None) -> dict:
    """A grant whose roles still name keys."""
    given = {0: author, 1: operator, 2: classes, 3: targets}
    return {key: value for key, value in given.items() if value is not None}


def root(version=1, root=role(1, R1), grants=(grant(role(1, A1)),), beacon=role(1, B1), *, vendor=VENDOR,
         issued=ISSUED, spare=(), **changes) -> dict:
    """A root map (K-1); `spare` are keys for no role, `changes` are `k0` to `k7`."""
    roles = [root] + [g[key] for g in grants for key in (0, 1) if key in g] + ([beacon] if beacon else [])
    keys = sorted({key.public for _, keys in roles for key in keys} | {key.public for key in spare})

    def raw(pair) -> list[int]:
        return [pair[0], sum(1 << keys.index(public) for public in {key.public for key in pair[1]})]

    value = {0: 1, 1: version, 2: vendor, 3: issued, 4: keys, 5: raw(root),
             6: [{key: raw(item) if key < 2 else item for key, item in g.items()} for g in grants]}
    if beacon:
        value[7] = raw(beacon)
    return value | {int(key[1:]): item for key, item in changes.items()}


def root_statement(value, *keys: Key) -> bytes:
    """A root of this value, or of these octets, signed by the keys."""
    return _statement(value, ROOT, keys)


def beacon_statement(value, *keys: Key) -> bytes:
    return _statement(value, BEACON, keys or (B1,))


def manifest_statement(value, *keys: Key) -> bytes:
    return _statement(value, MANIFEST, keys)


def _statement(value, kind: int, keys) -> bytes:
    payload = value if isinstance(value, bytes) and not isinstance(value, cbor.Raw) else cbor.encode(value)
    return statement(payload, *[signed(key, payload, kind=kind) for key in keys])


def entry(sequence=7, digest=bytes(32), security=1, uuid=CLASS) -> list:
    """An entry of a beacon."""
    return [uuid, sequence, digest, security]


def beacon(issued=ISSUED + DAY, validity=DAY, newest_root=1, entries=None, **changes) -> dict:
    """A beacon map (B-1); `changes` are `k0` to `k5`."""
    value = {0: 1, 1: VENDOR, 2: issued, 3: issued + validity, 4: newest_root, 5: entries or [entry()]}
    return value | {int(key[1:]): item for key, item in changes.items()}


def joined(statements) -> bytes:
    """Statements, each after its length in 16 bits."""
    return b"".join(len(octets).to_bytes(2, "big") + octets for octets in statements)
