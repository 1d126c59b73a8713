"""Vectors of the layer `nack-sender`: requests that come to the sender of a release."""

from .geometry import Geometry
from .nack import encode
from .nack_cases import PAGE, RELEASE
from .vector import Vector, flip

# Of the second the last cell of each kind has one chunk.
COMPONENTS = [Geometry(1000, 64, 8, 100, 16), Geometry(64 * 313, 64, 8, 100, 16)]


def cases():
    lines = [",".join(map(str, (g.size, g.chunk, g.cell, g.repair, g.digest))) for g in COMPONENTS]

    def vector(code, name, comment, *entries, requirement="N-5", release=RELEASE, octets=None):
        fields = {"release": RELEASE.hex(), "component": lines}
        datagram = octets or encode(release, list(entries))
        return Vector("nack-sender", f"{code}-{name}", code, requirement, comment, fields, datagram)

    last = [g.cells - 1 for g in COMPONENTS]
    short = COMPONENTS[1].source_cells - 1
    others = flip(RELEASE, -1)
    yield vector("ok", "full-cell", "the page and all chunks of a cell", (PAGE, 0, 0xFF))
    yield vector("ok", "last-cells", "the last chunk of the last cell of each component", (0, last[0], 0x80),
                 (1, last[1], 1))
    yield vector("ok", "short-cell", "the chunk of a short cell", (1, short, 1))
    yield vector("other-release", "last-octet", "another release: the last of the 16 octets differs", (0, 0, 1),
                 release=others)
    yield vector("other-release", "same-tsi", "another release of the same TSI", (0, 0, 1),
                 release=RELEASE[:4] + bytes(12))
    yield vector("range", "component", "a component that the release does not have", (2, 0, 1))
    yield vector("range", "cell", "the first cell that does not exist", (0, last[0] + 1, 1))
    yield vector("range", "cell-max", "the page of the highest cell", (PAGE, 0xFFFFFFFF, 0))
    yield vector("range", "slot", "the first slot that a full cell does not have", (0, 0, 0x100))
    yield vector("range", "slot-max", "the highest slot beside one that exists", (0, 0, 1 << 63 | 1))
    yield vector("range", "short-cell", "the second slot of a cell of one chunk", (1, short, 2))
    yield vector("range", "last-cell", "the second slot of the last cell", (1, last[1], 2))
    yield vector("range", "second-entry", "one wrong entry: all of the request is ignored", (0, 0, 1),
                 (0, last[0] + 1, 1))
    yield vector("other-release", "before-range", "another release, and a component that this one does not have",
                 (7, 0, 1), requirement="N-6", release=others)
    yield vector("order", "before-other-release", "another release, and a cell twice", (0, 9, 1), (0, 9, 1),
                 requirement="N-6", release=others)
    yield vector("reserved", "before-empty", "an entry with a reserved bit that wants nothing", (8, 0, 0),
                 requirement="N-6")
    yield vector("empty", "before-order", "a cell twice, and the second time nothing is wanted of it", (0, 9, 1),
                 (0, 9, 0), requirement="N-6")
    yield vector("order", "before-reserved", "the first wrong entry counts: a cell twice, then a reserved bit",
                 (0, 9, 1), (0, 9, 1), (8, 10, 1), requirement="N-6")
    yield vector("mark", "before-reserved", "another mark, and a reserved bit", requirement="N-6",
                 octets=encode(RELEASE, [(8, 0, 1)], mark=b"FCN\x02"))
    yield vector("length", "before-mark", "94 entries, and another mark", requirement="N-6",
                 octets=encode(RELEASE, [(0, cell, 1) for cell in range(94)], mark=b"FCN\x02"))
