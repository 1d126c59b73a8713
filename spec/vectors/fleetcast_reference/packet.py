"""Section 2: the 20-octet header."""

from . import require

HEADER = 20
STATEMENT, PAGE, PARITY, CHUNK = 0, 1, 2, 3
NAMES = ["statement", "page", "parity-page", "chunk"]


def toi(codepoint: int, component: int) -> int:
    """W-7."""
    return 0 if codepoint == STATEMENT else 2 * component + (1 if codepoint == CHUNK else 2)


def encode(codepoint: int, tsi: int, payload: bytes, *, component: int = 0, payload_id: int = 0, layer: int = 0,
           count: int = 0, **wrong) -> bytes:
    """A packet. `wrong` replaces header fields by name: octet0, octet1, length, toi."""
    first = [wrong.get("octet0", 0x10), wrong.get("octet1", 0xA0), wrong.get("length", 4), codepoint]
    words = [layer << 28 | count, tsi, wrong.get("toi", toi(codepoint, component)), payload_id]
    return bytes(first) + b"".join(word.to_bytes(4, "big") for word in words) + payload


def chunk_id(block: int, esi: int) -> int:
    return block << 16 | esi


def statement_id(kind: int, number: int) -> int:
    return kind << 24 | number


def parse(datagram: bytes) -> dict:
    """The fields of a packet in the order a vector's header lists them, and `payload`; else refused (W-1 to W-9, W-13)."""
    require(len(datagram) >= HEADER, "truncated")
    require(datagram[0] == 0x10, "version")
    require(datagram[1] & ~3 == 0xA0, "flags")
    require(datagram[2] == 4, "header-length")
    codepoint = datagram[3]
    require(codepoint <= CHUNK, "codepoint")
    cci, tsi, object_id, payload_id = (int.from_bytes(datagram[at : at + 4], "big") for at in (4, 8, 12, 16))
    fields = {"kind": NAMES[codepoint], "layer": cci >> 28, "count": cci & (1 << 28) - 1, "tsi": f"{tsi:08x}",
              "toi": object_id}
    if codepoint == STATEMENT:
        require(object_id == 0, "toi")
        kind, number = payload_id >> 24, payload_id & 0xFFFFFF
        require(1 <= number <= 0xFFFF if kind == 1 else kind in (0, 2) and number == 0, "statement-kind")
        fields |= {"statement-kind": kind, "statement-number": number}
    else:
        component = (object_id - 1) // 2
        require(0 <= component <= 7 and object_id == toi(codepoint, component), "toi")
        fields["component"] = component
        if codepoint == CHUNK:
            fields |= {"sbn": payload_id >> 16, "esi": payload_id & 0xFFFF}
        else:
            fields["cell"] = payload_id
    payload = datagram[HEADER:]
    require(payload != b"", "truncated")
    return fields | {"payload-length": len(payload), "payload": payload}
