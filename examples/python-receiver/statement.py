"""Signed statements: their template, signatures, and strict CBOR (section 3, V-3)."""

import hashlib
import io
from typing import Any, NamedTuple

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from packet import Refused, need

AAD = [b"fleetcast-manifest-1", b"fleetcast-root-1", b"fleetcast-beacon-1"]  # W-8
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
# The y coordinates of the eight points of small order; their x have both signs.
SMALL_ORDER = {0, 1, P - 1} | {
    int.from_bytes(bytes.fromhex(y), "little")
    for y in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
}


class Statement(NamedTuple):
    """A statement that matches the template. Nothing is known of its payload."""

    payload: bytes
    signatures: list[tuple[bytes, bytes]]  # protected header, signature

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.payload).digest()


def parse(octets: bytes) -> Statement:
    """S-1, S-2: the template to the last octet."""
    need(len(octets) <= 8192, "template")
    stream = io.BytesIO(octets)

    def take(count: int) -> bytes:
        taken = stream.read(count)
        need(len(taken) == count, "template")
        return taken

    need(take(1) == b"\x82", "template")
    major, length = _head(stream)
    need(major == 2, "template")
    payload = take(length)
    count = take(1)[0] - 0x80
    need(1 <= count <= 8, "template")
    signatures = []
    for _ in range(count):
        need(take(2) == b"\x84\x4d", "template")
        protected = take(13)
        need(protected[:2] == b"\xa2\x01" and protected[3:5] == b"\x04\x48", "template")
        need(protected[2] in (0x32, 0x27), "template")  # S-3
        need(take(4) == b"\xa0\xf6\x58\x40", "template")
        signatures.append((protected, take(64)))
    need(stream.read() == b"", "template")
    return Statement(payload, signatures)


def _head(stream: io.BytesIO) -> tuple[int, int]:
    """A CBOR head in its shortest form: major type and argument."""
    first = stream.read(1)
    need(len(first) == 1, "template")
    major, argument = first[0] >> 5, first[0] & 31
    if argument >= 24:
        width = 1 << argument - 24
        octets = stream.read(width)
        need(argument <= 27 and len(octets) == width, "template")
        argument = int.from_bytes(octets, "big")
        need(argument >= (24 if width == 1 else 1 << 4 * width), "template")
    return major, argument


def kid(key: bytes) -> bytes:
    """S-4."""
    return hashlib.sha256(key).digest()[:8]


def is_sound(key: bytes) -> bool:
    """Whether a key may be trusted: canonical, on the curve, not of small order (S-6)."""
    y = int.from_bytes(key, "little") & ~(1 << 255)
    if len(key) != 32 or y >= P or y in SMALL_ORDER:
        return False
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    return pow(square, (P - 1) // 2, P) == 1


def is_valid(key: bytes, signed: bytes, signature: bytes) -> bool:
    """S-6 for a sound key. The library refuses S >= L and compares the octets of R; R of small order is left to us."""
    if int.from_bytes(signature[:32], "little") & ~(1 << 255) in SMALL_ORDER:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def signers(statement: Statement, kind: int, keys: set[bytes]) -> set[bytes]:
    """Those of the keys that have a valid signature in it under their kid (S-7)."""
    valid = set()
    for protected, signature in statement.signatures:
        signed = cbor2.dumps(["Signature1", protected, AAD[kind], statement.payload])  # S-5
        valid |= {k for k in keys if kid(k) == protected[5:] and is_valid(k, signed, signature)}
    return valid


class Maybe(NamedTuple):
    """In a shape: a key that may be absent."""

    shape: Any


def fits(item: Any, shape: Any) -> bool:
    """Whether an item has a shape: `int` (unsigned), `bytes`, `str`, `[each]`, `(first, second)`, `{key: value}`."""
    if isinstance(shape, Maybe):
        return fits(item, shape.shape)
    if isinstance(shape, dict):
        required = {key for key, of in shape.items() if not isinstance(of, Maybe)}
        return (
            isinstance(item, dict)
            and required <= item.keys() <= shape.keys()
            and all(fits(value, shape[key]) for key, value in item.items())
        )
    if isinstance(shape, list):
        return isinstance(item, list) and all(fits(each, shape[0]) for each in item)
    if isinstance(shape, tuple):
        return isinstance(item, list) and len(item) == len(shape) and all(map(fits, item, shape))
    return type(item) is shape and (shape is not int or item >= 0)


def decode(payload: bytes, shape: Any) -> Any:
    """The payload of a statement whose signatures have been verified (S-8)."""
    try:
        stream = io.BytesIO(payload)
        other = _head(stream)[0] == 5 and _head(stream) == (0, 0)
        major, version = _head(stream)
        other = other and major == 0 and version != 1
    except Refused:
        other = False
    need(not other, "structure-version")  # M-1
    try:
        item = cbor2.loads(payload)
        left = _count(item, 512, 1)
        # Lengths, order and forms other than the strict ones do not come out again as they went in, nor do tags.
        is_strict = left >= 0 and cbor2.dumps(item, canonical=True) == payload
    except Exception:  # Whatever the library says of bytes that it cannot read.
        is_strict = False
    need(is_strict, "cbor")  # S-9
    need(fits(item, shape), "schema")  # S-9
    return item


def _count(item: Any, left: int, depth: int) -> int:
    """What is left of the items allowed after `item`; negative if it has too many, or what S-9 does not allow."""
    left -= 1
    if left < 0 or type(item) not in (int, bytes, str, list, dict):
        return -1
    if isinstance(item, int):
        return left if -(2**64) <= item < 2**64 else -1
    if isinstance(item, (list, dict)):
        if depth > 4:
            return -1
        if isinstance(item, dict):
            if not all(type(key) is int and key >= 0 for key in item):
                return -1
            left -= len(item)
        for each in item.values() if isinstance(item, dict) else item:
            left = _count(each, left, depth + 1)
            if left < 0:
                return -1
    return left
