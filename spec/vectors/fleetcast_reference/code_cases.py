"""Vectors of the layers `fec` and `geometry`."""

from .erasure import encode
from .geometry import Geometry
from .packet import HEADER
from .release import record_length
from .vector import Vector, stream

SIZES = [(1, 1), (2, 1), (2, 2), (3, 3), (5, 3), (5, 5), (7, 6), (12, 9), (16, 16), (33, 20), (100, 7), (64, 64),
         (300, 300)]
MIB, GIB = 1 << 20, 1 << 30


def fec():
    for k, r, chunk in [(k, r, 64) for k, r in SIZES] + [(5, 3, 128), (12, 9, 128), (5, 5, 1024), (33, 20, 1024)]:
        yield block(k, r, chunk, "random octets")
    yield block(4096, 41, 64, "the largest block, repair 1")
    unit = [bytes(64 * j) + b"\1" + bytes(63) + bytes(64 * (6 - j)) for j in range(7)]
    for j, source in enumerate(unit):
        yield block(7, 6, 64, f"only word 0 of source chunk {j} is set, to 1: the coefficients", source, f"-unit-{j}")


def block(k, r, chunk, comment, octets=b"", suffix=""):
    octets = octets or stream(f"fec {k} {r} {chunk}", k * chunk)
    source = [octets[i * chunk : (i + 1) * chunk] for i in range(k)]
    fields = {"k": k, "r": r, "chunk": chunk}
    name = f"k{k}-r{r}-t{chunk}{suffix}"
    return Vector("fec", name, "ok", "F-1 F-2 F-3 F-4", comment, fields, octets + b"".join(encode(source, r)))


def geometry():
    for name, size in (("1", 1), ("t-minus-1", 1023), ("t", 1024), ("t-plus-1", 1025), ("1-mib", MIB),
                       ("16-mib", 16 * MIB), ("64-mib", 64 * MIB), ("256-mib", 256 * MIB), ("1-gib", GIB),
                       ("4-gib", 4 * GIB), ("16-gib", 16 * GIB), ("12345678", 12_345_678)):
        yield one(name, Geometry(size, 1024, 64, 100, 16), least_cap(Geometry(size, 1024, 64, 100, 16)))
    for repair in (0, 1, 33, 50):
        for name, size in (("1", 1), ("4096-chunks", 4 * MIB), ("4097-chunks", 4 * MIB + 1),
                           ("12345678", 12_345_678), ("1-gib", GIB)):
            yield one(f"{name}-repair-{repair}", Geometry(size, 1024, 64, repair, 16), 1)
    for cell in (8, 56):
        for name, size in (("1", 1), ("t-plus-1", 1025), ("12345678", 12_345_678), ("4-gib", 4 * GIB)):
            yield one(f"{name}-cell-{cell}", Geometry(size, 1024, cell, 100, 16), 1)
    for digest, cell in ((32, 16), (32, 24)):
        yield one(f"1-gib-digest-{digest}-cell-{cell}", Geometry(GIB, 1024, cell, 50, digest), 16)
    yield one("1-gib-chunk-64", Geometry(GIB, 64, 64, 100, 16), 1)
    yield one("16-gib-chunk-8192", Geometry(16 * GIB, 8192, 64, 100, 32), 64)
    yield one("65537-chunk-1408", Geometry(65537, 1408, 32, 77, 16), 2)
    for cells in (1, 2, 3, 4, 5):
        size = 64 * 8 * cells - 1
        g = Geometry(size, 64, 8, 0, 16)
        yield one(f"{cells}-cells-no-repair", g, 1)
        yield one(f"{cells}-cells-all-cap", g, 1 << g.height)
    yield one("12345678-all-cap", Geometry(12_345_678, 1024, 64, 100, 16), 512)


def least_cap(g: Geometry) -> int:
    """The fewest cap nodes with which the longest page fits a packet of 1,232 octets."""
    levels = (1232 - HEADER) // g.digest - g.cell - 1
    return 1 << max(0, g.height - levels)


def one(name: str, g: Geometry, cap_nodes: int) -> Vector:
    g.check()
    levels = g.path_levels(cap_nodes * g.digest)
    total = g.source + g.repair_chunks
    last = g.blocks - 1
    wanted = {0, 1, g.cell - 1, g.cell, g.blocks - 1, g.blocks, 4095, 4096, g.source // 2, g.source - 1, g.source,
              g.source + 1, g.source + g.cell, g.source + g.blocks, g.source + g.repair_chunks // 2, total - 1}
    positions = []
    for position in sorted(p for p in wanted if 0 <= p < total):
        block, esi = g.block_and_esi(position)
        assert g.position(block, esi) == position
        positions.append(" ".join(map(str, (position, block, esi, *g.cell_and_slot(position)))))
    longest = max(g.cell_length(j) for j in (0, g.source_cells % g.cells))
    assert longest == g.cell_length(0)
    fields = {
        "size": g.size, "chunk": g.chunk, "cell": g.cell, "repair": g.repair, "digest": g.digest,
        "cap-nodes": cap_nodes, "source": g.source, "blocks": g.blocks, "repair-chunks": g.repair_chunks,
        "cells": g.cells, "source-cells": g.source_cells, "last-source-cell": g.cell_length(g.source_cells - 1),
        "last-repair-cell": g.cell_length(g.cells - 1) if g.repair_chunks else 0, "height": g.height,
        "path": levels * g.digest, "page-packet": HEADER + (g.cell_length(0) + 1 + levels) * g.digest,
        "parity-packet": HEADER + (g.parity_length(0) + 1 + levels) * g.digest,
        "record": record_length(g, cap_nodes * g.digest), "first-block": f"{g.k(0)} {g.r(0)}",
        "last-block": f"{g.k(last)} {g.r(last)}", "position": positions,
    }
    comment = f"{g.size} octets in chunks of {g.chunk}, cells of {g.cell}, repair {g.repair}, digests of {g.digest}"
    rules = "G-2 G-3 G-4 G-5 G-6 T-5 T-6 T-7 X-1" + (" V-2" if g.size >= 1 << 32 else "")
    return Vector("geometry", name, "ok", rules, comment, fields)


def cases():
    yield from fec()
    yield from geometry()
