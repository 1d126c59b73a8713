"""Vector files, and the octets they are made of."""

import hashlib
from dataclasses import dataclass, field


def stream(seed: str, length: int) -> bytes:
    """Reproducible octets: the blocks SHA-256(seed ‖ counter, 64 bits), counter from 0, cut to `length`."""
    blocks = (hashlib.sha256(seed.encode() + counter.to_bytes(8, "big")).digest() for counter in range(-(-length // 32)))
    return b"".join(blocks)[:length]


def flip(octets: bytes, bit: int) -> bytes:
    """`octets` with one bit inverted, bit 0 being the lowest of the first octet; negative counts from the end."""
    changed = bytearray(octets)
    changed[(bit >> 3) % len(octets)] ^= 1 << (bit & 7)
    return bytes(changed)


@dataclass
class Vector:
    """One file: `layer/name.vec`. `fields` are the header lines after the first three; a list makes repeated lines."""

    layer: str
    name: str
    expect: str
    requirement: str
    comment: str
    fields: dict = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return f"{self.layer}/{self.name}.vec"

    def encode(self) -> bytes:
        lines = [("expect", self.expect), ("requirement", self.requirement), ("comment", self.comment)]
        for key, value in self.fields.items():
            lines += [(key, item) for item in (value if isinstance(value, list) else [value])]
        text = "".join(f"{key}: {value}\n" for key, value in lines)
        assert text.isascii() and text.count("\n") == len(lines), self.path
        return text.encode() + b"\n" + self.body
