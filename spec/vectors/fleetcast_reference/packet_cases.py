"""Vectors of the layer `packet`: whole datagrams against section 2."""

from .packet import CHUNK, PAGE, PARITY, STATEMENT, chunk_id, encode, parse, statement_id
from .vector import Vector, stream

TSI = 0x5EA50001
COUNT_MAX = (1 << 28) - 1


def cases():
    data = stream("packet", 64)

    def ok(name, requirement, comment, datagram):
        fields = parse(datagram)
        del fields["payload"]
        return Vector("packet", f"ok-{name}", "ok", requirement, comment, fields, datagram)

    def bad(code, name, requirement, comment, datagram):
        return Vector("packet", f"{code}-{name}", code, requirement, comment, {}, datagram)

    def chunk(**changes):
        return encode(CHUNK, TSI, data, **({"payload_id": chunk_id(2, 3), "component": 1, "count": 7} | changes))

    def statement(**changes):
        return encode(STATEMENT, TSI, data, **changes)

    yield ok("statement", "W-7 W-8", "a manifest; its payload is not looked at by this layer", statement(count=1))
    yield ok("page", "W-7 W-8", "page of cell 9 of component 0", encode(PAGE, TSI, data, payload_id=9))
    yield ok("parity-page", "V-1 W-7 W-8", "parity page of cell 66051 of component 0",
             encode(PARITY, TSI, data, payload_id=0x010203))
    yield ok("chunk", "W-7 W-8", "block 2, symbol 3 of component 1", chunk())
    yield ok("close-session", "W-2", "the Close Session flag is ignored", chunk(octet1=0xA2))
    yield ok("close-object", "W-2", "the Close Object flag is ignored", chunk(octet1=0xA1))
    yield ok("close-both", "W-2", "both close flags are ignored", chunk(octet1=0xA3))
    yield ok("layer-15", "W-5", "the highest layer", chunk(layer=15))
    yield ok("count-max", "W-5", "the highest packet count", chunk(count=COUNT_MAX))
    yield ok("layer-15-count-max", "W-5", "all bits of the CCI set", chunk(layer=15, count=COUNT_MAX))
    yield ok("tsi-zero", "W-6", "a TSI of zero is a TSI like any other", encode(CHUNK, 0, data))
    yield ok("tsi-max", "W-6", "a TSI of all ones", encode(CHUNK, 0xFFFFFFFF, data))
    yield ok("chunk-component-7", "W-7", "chunk of the last component: TOI 15", chunk(component=7))
    yield ok("page-component-7", "W-7", "page of the last component: TOI 16", encode(PAGE, TSI, data, component=7))
    yield ok("parity-page-component-7", "W-7", "parity page of the last component: TOI 16",
             encode(PARITY, TSI, data, component=7))
    yield ok("chunk-ids-max", "W-8", "the highest block and symbol: whether they exist is not for this layer",
             chunk(payload_id=0xFFFFFFFF))
    yield ok("cell-max", "W-8", "the highest cell: whether it exists is not for this layer",
             encode(PAGE, TSI, data, payload_id=0xFFFFFFFF))
    yield ok("one-octet", "W-9", "the shortest payload: whether it fits is not for this layer",
             encode(CHUNK, TSI, b"\0"))
    yield ok("8192-octets", "W-9 W-10", "the longest chunk", encode(CHUNK, TSI, stream("packet", 8192)))

    for version in (1, 2, 65535):
        yield ok(f"root-{version}", "W-8", f"root {version}", statement(payload_id=statement_id(1, version)))
    yield ok("beacon", "W-8", "a beacon", statement(payload_id=statement_id(2, 0)))
    yield ok("beacon-tsi-zero", "W-6 W-8", "a beacon under a TSI of zero",
             encode(STATEMENT, 0, data, payload_id=statement_id(2, 0)))

    yield bad("truncated", "empty", "W-9", "no octets at all", b"")
    for length in (1, 4, 19):
        yield bad("truncated", f"{length}-octets", "W-9", f"cut to {length} octets", chunk()[:length])
    yield bad("truncated", "empty-chunk", "W-9", "a chunk packet with an empty payload", chunk()[:20])
    yield bad("truncated", "empty-statement", "W-9", "a statement packet with an empty payload", statement()[:20])
    yield from several(data)
    for octet, what in ((0x00, "LCT version 0"), (0x20, "LCT version 2"), (0x90, "LCT version 9"),
                        (0x14, "a CCI of 64 bits"), (0x1C, "a CCI of 128 bits"), (0x11, "PSI of 1"),
                        (0x12, "PSI of 2, a source packet"), (0xFF, "all bits set")):
        yield bad("version", f"{octet:02x}", "W-1", what, chunk(octet0=octet))
    for octet, what in ((0x20, "no TSI flag"), (0x80, "no TOI"), (0xC0, "a TOI of 64 bits"), (0xB0, "half-word flag"),
                        (0xA4, "low reserved bit"), (0xA8, "high reserved bit"), (0x00, "no flag at all"),
                        (0xA7, "low reserved bit beside both close flags")):
        yield bad("flags", f"{octet:02x}", "W-2", what, chunk(octet1=octet))
    for length in (0, 3, 5, 255):
        yield bad("header-length", str(length), "W-3", f"header length {length}", chunk(length=length))
    for codepoint in (4, 128, 255):
        yield bad("codepoint", str(codepoint), "W-4", f"codepoint {codepoint}",
                  encode(codepoint, TSI, data, toi=3))
    for name, codepoint, toi, what in (
            ("statement-1", STATEMENT, 1, "a statement under the TOI of chunks"),
            ("statement-2", STATEMENT, 2, "a statement under the TOI of pages"),
            ("chunk-0", CHUNK, 0, "a chunk under the TOI of statements"),
            ("chunk-2", CHUNK, 2, "a chunk under the TOI of pages"),
            ("page-0", PAGE, 0, "a page under the TOI of statements"),
            ("page-1", PAGE, 1, "a page under the TOI of chunks"),
            ("parity-page-0", PARITY, 0, "a parity page under the TOI of statements"),
            ("parity-page-3", PARITY, 3, "a parity page under the TOI of chunks"),
            ("chunk-component-8", CHUNK, 17, "a chunk of component 8"),
            ("page-component-8", PAGE, 18, "a page of component 8"),
            ("parity-page-component-8", PARITY, 18, "a parity page of component 8"),
            ("chunk-high-octet", CHUNK, 0x01000001, "a chunk whose TOI is 1 only in its low octets"),
            ("chunk-max", CHUNK, 0xFFFFFFFF, "a chunk with the highest TOI")):
        yield bad("toi", name, "W-7", what, encode(codepoint, TSI, data, toi=toi))
    yield bad("statement-kind", "kind-1", "W-8", "statement kind 1", statement(payload_id=1 << 24))
    yield bad("statement-kind", "kind-255", "W-8", "statement kind 255", statement(payload_id=255 << 24))
    yield bad("statement-kind", "number-1", "W-8", "a manifest with number 1", statement(payload_id=1))
    yield bad("statement-kind", "number-max", "W-8", "a manifest with the highest number",
              statement(payload_id=(1 << 24) - 1))
    for name, kind, number, what in (
            ("root-65536", 1, 65536, "a root with number 65536"),
                                     ("root-65537", 1, 65537, "a root whose number is 1 only in its low octets"),
            ("root-max", 1, (1 << 24) - 1, "a root with the highest number"),
                                     ("beacon-1", 2, 1, "a beacon with number 1"),
            ("beacon-max", 2, (1 << 24) - 1, "a beacon with the highest number"), ("kind-3", 3, 0, "statement kind 3")):
        yield bad("statement-kind", name, "W-8", what, statement(payload_id=statement_id(kind, number)))


def several(data):
    """Packets that break several rules (W-13)."""
    wrong = [("version", "octet0", 0x20), ("flags", "octet1", 0x20), ("header-length", "length", 5),
             ("codepoint", "codepoint", 4), ("toi", "toi", 99), ("statement-kind", "payload_id", statement_id(9, 0)),
             ("truncated", "payload", b"")]

    def bad(code, name, comment, changes, cut=None):
        fields = {"codepoint": STATEMENT, "payload": data} | {key: value for _, key, value in changes}
        datagram = encode(fields.pop("codepoint"), TSI, fields.pop("payload"), **fields)[:cut]
        return Vector("packet", f"{code}-{name}", code, "W-13", comment, {}, datagram)

    yield bad("truncated", "before-all", "cut to 19 octets, and everything in them is wrong", wrong, 19)
    for at, (code, *_) in enumerate(wrong[:-1]):
        after = wrong[at + 1][0]
        what = f"{after}, for the payload is empty," if after == "truncated" else after
        yield bad(code, f"before-{after}", f"this comes before {what} in W-13", wrong[at : at + 2])
        if at < len(wrong) - 2:
            yield bad(code, "before-all", "this, and all that comes later in W-13", wrong[at:])
