"""CBOR: a deterministic encoder that can be told to misbehave, and the strict decoder of S-9."""

from . import Refused, require

MAX_DEPTH = 4
MAX_ITEMS = 512


class Raw(bytes):
    """An item that is already encoded, rightly or wrongly."""


class Pairs(list):
    """A map whose pairs are encoded in the order given, for maps that break the rules."""


def head(major: int, value: int) -> bytes:
    """The head of an item in its shortest form (RFC 8949 section 4.2.1)."""
    if value < 24:
        return bytes([major << 5 | value])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << 8 * size:
            return bytes([major << 5 | info]) + value.to_bytes(size, "big")
    raise ValueError(f"{value} does not fit a CBOR head")


def encode(item) -> bytes:
    """The core deterministic encoding of an item; maps are dicts with unsigned integer keys."""
    if isinstance(item, Raw):
        return bytes(item)
    if isinstance(item, int):
        return head(0, item) if item >= 0 else head(1, -1 - item)
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        return head(3, len(item.encode())) + item.encode()
    if isinstance(item, dict):
        return encode(Pairs(sorted(item.items())))
    if isinstance(item, Pairs):
        return head(5, len(item)) + b"".join(encode(key) + encode(value) for key, value in item)
    if isinstance(item, list):
        return head(4, len(item)) + b"".join(map(encode, item))
    raise TypeError(type(item))


def decode(octets: bytes):
    """Decode one strict item that takes all of `octets` (S-9), else refuse with `cbor`."""
    decoder = _Decoder(octets)
    item = decoder.item(1)
    require(decoder.at == len(octets), "cbor")
    require(encode(item) == octets, "cbor")
    return item


def first_value(octets: bytes) -> int | None:
    """The value of key 0, if the octets start with a map whose first key that is and whose first value is a uint."""
    decoder = _Decoder(octets)
    if decoder.head()[0] != 5 or decoder.head() != (0, 0):
        return None
    major, value = decoder.head()
    return value if major == 0 else None


class _Decoder:
    def __init__(self, octets: bytes):
        self.octets, self.at, self.items = octets, 0, 0

    def take(self, count: int) -> bytes:
        require(count <= len(self.octets) - self.at, "cbor")
        self.at += count
        return self.octets[self.at - count : self.at]

    def head(self) -> tuple[int, int]:
        first = self.take(1)[0]
        major, value = first >> 5, first & 31
        # 7 is floats and simple values; 6 is tags; 28..31 are reserved or indefinite.
        require(major < 6 and value < 28, "cbor")
        if value >= 24:
            value = int.from_bytes(self.take(1 << value - 24), "big")
        require(head(major, value)[0] == first, "cbor")
        return major, value

    def item(self, depth: int):
        self.items += 1
        require(self.items <= MAX_ITEMS and depth <= MAX_DEPTH + 1, "cbor")
        major, value = self.head()
        if major >= 4:
            require(depth <= MAX_DEPTH, "cbor")
        if major == 0:
            return value
        if major == 1:
            return -1 - value
        if major == 2:
            return self.take(value)
        if major == 3:
            try:
                return self.take(value).decode()
            except UnicodeDecodeError:
                raise Refused("cbor") from None
        if major == 4:
            return [self.item(depth + 1) for _ in _count(value)]
        result, last = {}, -1
        for _ in _count(value):
            key = self.item(depth + 1)
            require(isinstance(key, int) and key > last, "cbor")
            result[key], last = self.item(depth + 1), key
        return result


def _count(value: int) -> range:
    """Every element is an item, so a count above the limit needs no walk to be refused."""
    require(value <= MAX_ITEMS, "cbor")
    return range(value)
