"""Vectors of the layer `nack`: whole datagrams against section 16."""

from .nack import encode, parse
from .vector import Vector, stream

RELEASE = stream("nack", 16)
ALL = (1 << 64) - 1
PAGE = 0x80


def cases():
    def ok(name, requirement, comment, *entries):
        datagram = encode(RELEASE, list(entries))
        return Vector("nack", f"ok-{name}", "ok", requirement, comment, parse(datagram), datagram)

    def bad(code, name, requirement, comment, datagram):
        return Vector("nack", f"{code}-{name}", code, requirement, comment, {}, datagram)

    def request(*entries, **changes):
        return encode(RELEASE, list(entries), **changes)

    one = request((0, 9, 6))
    yield ok("one-slot", "N-4", "slot 0 of cell 9 of component 0", (0, 9, 1))
    yield ok("last-slot", "N-4", "slot 63 is the highest bit", (0, 9, 1 << 63))
    yield ok("all-slots", "N-4", "all slots of the last cell there could be", (7, 0xFFFFFFFF, ALL))
    yield ok("page", "N-4", "a page and no chunk", (PAGE, 9, 0))
    yield ok("page-and-slots", "N-4", "a page and its chunks", (PAGE | 3, 9, ALL))
    yield ok("ascending", "N-4", "cells and components ascend; the page flag does not count",
             (PAGE, 0, 1), (0, 1, 1), (PAGE, 256, 0), (1, 0, 1), (7, 0, 1))
    yield ok("93-entries", "N-1 N-3", "as many as fit", *[(0, cell, 1) for cell in range(93)])

    yield bad("truncated", "empty", "N-3", "no octets at all", b"")
    yield bad("truncated", "no-entry", "N-3", "it wants nothing", one[:20])
    for length in (4, 19, 32):
        yield bad("truncated", f"{length}-octets", "N-3", f"cut to {length} octets", one[:length])
    yield bad("truncated", "trailing", "N-3", "an octet follows the last entry", one + b"\0")
    yield bad("truncated", "long-and-trailing", "N-3 N-6", "longer than 1,232 octets too: the first code counts",
              request(*[(0, cell, 1) for cell in range(94)]) + b"\0")
    yield bad("length", "94-entries", "N-1", "one entry too many", request(*[(0, cell, 1) for cell in range(94)]))
    yield bad("mark", "version-2", "N-2", "another version", request((0, 9, 6), mark=b"FCN\x02"))
    yield bad("mark", "first-octet", "N-2", "the first octet of a packet", request((0, 9, 6), mark=b"\x10CN\x01"))
    for bit in (3, 6):
        yield bad("reserved", f"bit-{bit}", "N-4", f"reserved bit {bit} of an entry", request((1 << bit, 9, 6)))
    yield bad("empty", "entry", "N-4", "an entry that wants nothing", request((0, 9, 0)))
    yield bad("empty", "second", "N-4", "the second entry wants nothing", request((0, 9, 6), (0, 10, 0)))
    yield bad("order", "twice", "N-4", "a cell twice", request((0, 9, 6), (PAGE, 9, 1)))
    yield bad("order", "cells", "N-4", "cells descend", request((0, 9, 6), (0, 8, 1)))
    yield bad("order", "components", "N-4", "components descend", request((1, 0, 6), (0, 1, 1)))
