"""Vectors of the layers `release` and `session`."""

from . import cbor
from .curve import Key
from .packet import CHUNK, PAGE, PARITY, chunk_id
from .release import STATEMENT_EVERY, Input, Release
from .vector import Vector, flip

KEY = Key("release")


def one(name, sequence, size, chunk, cell, repair, digest, cap_nodes, limits=None):
    given = Input("rootfs", "rootfs", size, f"image {name}", chunk, cell, repair, digest, cap_nodes)
    return Release(name, KEY, sequence, [given], limits)


def releases():
    """Each release with its comment."""
    return [
        (one("one-octet", 1, 1, 64, 8, 100, 16, 1), "one octet: one source and one repair chunk, X is P"),
        (one("small", 2, 1000, 64, 8, 100, 16, 1), "four cells: the least with X other than P"),
        (one("no-repair", 3, 1000, 64, 8, 0, 16, 2), "no repair chunks; two cells, both in the cap"),
        (one("short-cells", 4, 100_000, 64, 8, 50, 16, 4), "short last cells of both kinds, a cap of four nodes"),
        (one("digest-32", 5, 100_000, 1024, 8, 100, 32, 1), "digests of 32 octets, T 1024"),
        (one("greatest-sequence", (1 << 63) - 1, 1000, 1024, 8, 100, 16, 1, [2, 5]), "the greatest sequence, and from"),
        (one("two-blocks", 6, 300_033, 64, 64, 50, 16, 1), "two blocks of different K and R, cells of 64"),
        (Release("three-components", KEY, 7, [
            Input("boot", "boot", 1, "image boot", 64, 8, 100, 16, 1),
            Input("kernel", "kernel", 1000, "image kernel", 64, 8, 100, 16, 1),
            Input("rootfs", "slot", 20_000, "image rootfs", 64, 8, 100, 16, 32)]),
         "three components; the paths of the second and the third are equally long"),
        (Release("mixed-geometry", KEY, 8, [
            Input("boot", "boot", 1, "image boot", 1024, 8, 0, 32, 1),
            Input("kernel", "kernel", 1000, "image kernel", 64, 16, 100, 16, 2),
            Input("rootfs", "slot", 100_000, "image rootfs", 1024, 24, 33, 16, 1)]),
         "three components of different geometry"),
    ]


def cases():
    made = releases()
    for release, comment in made:
        yield Vector("release", f"ok-{release.name}", "ok", "X-1 X-2 T-1 T-2 T-3 T-4 T-5 T-6 F-3 S-1 W-6", comment,
                     release.fields(), release.file())
    by_name = {release.name: release for release, _ in made}
    yield from files(by_name["small"])
    yield from session(by_name["three-components"])


def files(release: Release):
    def bad(code, name, comment, octets, requirement="X-1"):
        return Vector("release", f"{code}-{name}", code, requirement, comment, {"release": "release/ok-small.vec"},
                      octets)

    whole, statement = release.file(), release.statement
    tree = release.components[0].tree
    record = len(tree.page_payload(0))
    first = 12 + len(statement)
    page = len(tree.pages[0])
    yield bad("magic", "first-octet", "the first octet is 09", b"\x09" + whole[1:])
    yield bad("magic", "line-end", "0D 0A became 0A, as a text transfer does", whole[:4] + whole[5:])
    yield bad("magic", "version-2", "file version 2", whole[:7] + b"\x02" + whole[8:])
    yield bad("truncated", "in-length", "ends inside the length of the statement", whole[:10])
    yield bad("truncated", "in-statement", "ends inside the statement", whole[: first - 1])
    yield bad("truncated", "statement-length", "the statement's length points past the end",
              whole[:8] + len(whole).to_bytes(4, "big") + whole[12:])
    yield bad("truncated", "statement-length-max", "the statement's length is 2^32-1",
              whole[:8] + b"\xff" * 4 + whole[12:])
    yield bad("truncated", "no-records", "ends after the statement", whole[:first])
    yield bad("truncated", "in-record", "the last octet is missing", whole[:-1])
    yield bad("truncated", "record", "the last record is missing", whole[:-record])
    payload = cbor.encode(release.payload)
    unsigned = b"\x82" + payload + b"\x80"
    yield bad("template", "unsigned", "an unsigned release file",
              whole[:8] + len(unsigned).to_bytes(4, "big") + unsigned + whole[first:], "X-4")
    yield bad("trailing", "octet", "one octet after the last record", whole + b"\0")
    yield bad("trailing", "record", "the last record twice", whole + whole[-record:])
    rule = "X-1 T-8"
    yield bad("page-digest", "page", "one bit of the first page inverted", flip(whole, 8 * first), rule)
    yield bad("page-digest", "parity", "one bit of the digest of the first parity page inverted",
              flip(whole, 8 * (first + page)), rule)
    yield bad("page-digest", "path", "one bit of the first path inverted", flip(whole, 8 * (first + page + 16)), rule)
    yield bad("page-digest", "last", "one bit of the last record inverted", flip(whole, -1), rule)
    swapped = whole[:first] + whole[first + record : first + 2 * record] + whole[first : first + record]
    yield bad("page-digest", "order", "the first two records in each other's place",
              swapped + whole[first + 2 * record :], rule)


def session(release: Release):
    base = {"release": f"release/ok-{release.name}.vec"}
    packets = release.cycle()
    body = b"".join(len(p).to_bytes(2, "big") + p for p in packets)
    fields = base | {"packets": len(packets), "layer": 0, "first-count": 0, "statement-every": STATEMENT_EVERY,
                     "layout": "each packet after its length, 16 bits; packets 0, 256, 512, ... are the manifest,"
                               " the others follow each other in the order of C-2"}
    yield Vector("session", "ok-cycle", "ok", "C-2 C-3 G-5 T-6 T-7 W-5 W-6 W-7 W-8 W-10",
                 "one whole cycle, nothing lost", fields, body)

    def bad(code, name, requirement, comment, datagram):
        return Vector("session", f"{code}-{name}", code, requirement, comment, base, datagram)

    small, large = release.components[1:]
    cell = 13  # a full source cell of the third component
    page, parity = large.tree.page_payload(cell), large.tree.parity_payload(cell)
    digests = len(large.tree.pages[cell])

    rule = "T-8"
    yield bad("page-digest", "page-digest", rule, "page: one bit of the first digest inverted",
              release.page(2, cell, flip(page, 0)))
    yield bad("page-digest", "page-parity", rule, "page: one bit of the parity page's digest inverted",
              release.page(2, cell, flip(page, 8 * digests)))
    yield bad("page-digest", "page-path", rule, "page: one bit of the path inverted",
              release.page(2, cell, flip(page, -1)))
    yield bad("page-digest", "page-path-order", rule, "page: the two siblings of the path in each other's place",
              release.page(2, cell, page[:-32] + page[-16:] + page[-32:-16]))
    yield bad("page-digest", "page-other-cell", rule, "page: that of the next cell", release.page(2, cell + 1, page))
    yield bad("page-digest", "page-far-cell", rule, "page: that of a cell under another cap node",
              release.page(2, cell + 16, page))
    yield bad("page-digest", "page-other-component", rule,
              "page: cell 0 of the second component as cell 0 of the third",
              release.page(2, 0, small.tree.page_payload(0)))
    yield bad("page-digest", "page-as-parity", rule, "parity page: the page of the same cell under codepoint 2",
              release.parity(2, cell, page))
    yield bad("page-digest", "parity-digest", rule, "parity page: one bit of the first digest inverted",
              release.parity(2, cell, flip(parity, 0)))
    yield bad("page-digest", "parity-page", rule, "parity page: one bit of the page's digest inverted",
              release.parity(2, cell, flip(parity, 8 * digests)))
    yield bad("page-digest", "parity-path", rule, "parity page: one bit of the path inverted",
              release.parity(2, cell, flip(parity, -1)))
    yield bad("page-digest", "parity-other-cell", rule, "parity page: that of the next cell",
              release.parity(2, cell + 1, parity))
    yield bad("page-digest", "parity-as-page", rule, "page: the parity page of the same cell under codepoint 1",
              release.page(2, cell, parity))

    rule, source = "T-9", large.geometry.source
    at = 8 * cell + 3
    chunk = large.chunks[at]
    yield bad("chunk-digest", "flipped-first", rule, "chunk: the first bit inverted",
              release.chunk(2, at, flip(chunk, 0)))
    yield bad("chunk-digest", "flipped-last", rule, "chunk: the last bit inverted",
              release.chunk(2, at, flip(chunk, -1)))
    yield bad("chunk-digest", "zero", rule, "chunk: all zeros", release.chunk(2, at, bytes(64)))
    yield bad("chunk-digest", "other-slot", rule, "chunk: that of the next slot",
              release.chunk(2, at, large.chunks[at + 1]))
    yield bad("chunk-digest", "other-cell", rule, "chunk: that of the same slot of the next cell",
              release.chunk(2, at, large.chunks[at + 8]))
    yield bad("chunk-digest", "other-component", rule, "chunk: chunk 0 of the second component as chunk 0 of the third",
              release.chunk(2, 0, small.chunks[0]))
    yield bad("chunk-digest", "repair-as-source", rule, "chunk: the first repair chunk as the first source chunk",
              release.chunk(2, 0, large.chunks[source]))
    yield bad("chunk-digest", "repair-flipped", rule, "repair chunk: the first bit inverted",
              release.chunk(2, source + 5, flip(large.chunks[source + 5], 0)))
    yield bad("chunk-digest", "padding", "G-2 T-9", "last source chunk: the last octet of its padding is 80",
              release.chunk(2, source - 1, flip(large.chunks[source - 1], -1)))

    rule = "W-10"
    yield bad("length", "chunk-63", rule, "chunk: one octet short", release.chunk(2, at, chunk[:-1]))
    yield bad("length", "chunk-128", rule, "chunk: 64 zero octets at its end", release.chunk(2, at, chunk + bytes(64)))
    yield bad("length", "chunk-unpadded", rule, "last source chunk: without its padding",
              release.chunk(2, source - 1, large.chunks[source - 1][: 20_000 % 64]))
    yield bad("length", "page-short", rule, "page: one octet short", release.page(2, cell, page[:-1]))
    yield bad("length", "page-no-path", rule, "page: without its path", release.page(2, cell, page[: digests + 16]))
    yield bad("length", "page-long", rule, "page: one sibling too many", release.page(2, cell, page + bytes(16)))
    short = large.geometry.source_cells - 1
    payload = large.tree.page_payload(short)
    own = len(large.tree.pages[short])
    yield bad("length", "page-padded", rule, "page of the short last source cell: padded as in the release file",
              release.page(2, short, payload.ljust(11 * 16, b"\0")))
    yield bad("length", "parity-long", rule, "parity page: one octet too many", release.parity(2, cell, parity + b"\0"))
    parity_short = large.tree.parity_payload(short)
    yield bad("length", "parity-of-short-cell", "T-4 W-10",
              "parity page of the short last source cell: cut to the length of its own page",
              release.parity(2, short, parity_short[:own] + parity_short[digests:]))

    rule = "W-13"
    yield bad("range", "before-length", rule, "chunk: one octet short, of a symbol that does not exist",
              release.packet(CHUNK, 2, 0xFFFF, chunk[:-1]))
    yield bad("range", "page-before-length", rule, "page: one octet short, of a cell that does not exist",
              release.packet(PAGE, 2, large.geometry.cells, page[:-1]))
    yield bad("length", "before-chunk-digest", rule, "chunk: one octet short, and its first bit inverted",
              release.chunk(2, at, flip(chunk[:-1], 0)))
    yield bad("length", "before-page-digest", rule, "page: one octet short, and its first bit inverted",
              release.page(2, cell, flip(page[:-1], 0)))

    rule = "G-7"
    g = large.geometry
    total = g.k(0) + g.r(0)
    yield bad("range", "esi", rule, "chunk: the first symbol that does not exist",
              release.packet(CHUNK, 2, chunk_id(0, total), chunk))
    yield bad("range", "esi-max", rule, "chunk: the highest symbol", release.packet(CHUNK, 2, 0xFFFF, chunk))
    yield bad("range", "block", rule, "chunk: the first block that does not exist",
              release.packet(CHUNK, 2, chunk_id(1, 0), chunk))
    yield bad("range", "block-max", rule, "chunk: the highest block",
              release.packet(CHUNK, 2, chunk_id(0xFFFF, 0), chunk))
    for codepoint, what, octets in ((PAGE, "page", page), (PARITY, "parity", parity)):
        name = "page" if codepoint == PAGE else "parity page"
        yield bad("range", f"{what}-cell", rule, f"{name}: the first cell that does not exist",
                  release.packet(codepoint, 2, g.cells, octets))
        yield bad("range", f"{what}-cell-max", rule, f"{name}: the highest cell",
                  release.packet(codepoint, 2, 0xFFFFFFFF, octets))
        yield bad("range", f"{what}-component", rule, f"{name}: a component the release does not have",
                  release.packet(codepoint, 3, cell, octets))
    yield bad("range", "chunk-component", rule, "chunk: a component the release does not have",
              release.packet(CHUNK, 3, chunk_id(0, at), chunk))
