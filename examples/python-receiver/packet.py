"""Packets: the 20-octet header, and what lies under it (section 2). Integers are unsigned and big-endian (V-1)."""

import struct
from typing import NamedTuple

HEADER = struct.Struct(">4B4I")
STATEMENT, PAGE, PARITY, CHUNK = range(4)  # W-4
MANIFEST, ROOT, BEACON = range(3)  # W-8


class Refused(Exception):
    """Bytes that are not taken. `code` is a word of section 12."""

    def __init__(self, code: str):
        super().__init__(code)
        self.code = code


def need(holds: bool, code: str) -> None:
    """Refuses with `code` what does not hold."""
    if not holds:
        raise Refused(code)


class Packet(NamedTuple):
    """A packet that keeps section 2. None of its fields is a fact about the release (W-11)."""

    codepoint: int
    layer: int
    count: int  # W-5
    tsi: bytes
    component: int  # 0 for a statement
    kind: int  # of a statement
    number: int  # of a statement; the cell of a page; block and ESI of a chunk
    payload: bytes

    @property
    def symbol(self) -> tuple[int, int]:
        """Block and ESI of a chunk (W-8)."""
        return self.number >> 16, self.number & 0xFFFF


def decode(datagram: bytes) -> Packet:
    """Takes a datagram apart. The order of the checks is that of W-13."""
    need(len(datagram) >= HEADER.size, "truncated")  # W-9
    version, flags, words, codepoint, cci, _, toi, fec = HEADER.unpack_from(datagram)
    need(version == 0x10, "version")  # W-1
    need(flags & ~3 == 0xA0, "flags")  # W-2
    need(words == 4, "header-length")  # W-3
    need(codepoint <= CHUNK, "codepoint")  # W-4
    kind, number = 0, fec
    if codepoint == STATEMENT:
        component = 0
        need(toi == 0, "toi")  # W-7
        kind, number = fec >> 24, fec & 0xFFFFFF
        need(kind <= BEACON and (1 <= number <= 65535 if kind == ROOT else number == 0), "statement-kind")  # W-8
    else:
        component, is_page = divmod(toi - 1, 2)
        need(0 <= component <= 7 and is_page == (codepoint != CHUNK), "toi")  # W-7
    payload = datagram[HEADER.size :]
    need(payload != b"", "truncated")  # W-9
    return Packet(codepoint, cci >> 28, cci & 0xFFFFFFF, datagram[8:12], component, kind, number, payload)
