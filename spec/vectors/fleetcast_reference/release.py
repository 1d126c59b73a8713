"""Section 10, and the carousel of section 8: a whole release from its inputs."""

import hashlib
import uuid
from dataclasses import dataclass
from fractions import Fraction

from . import cbor, erasure, packet, require, statement, trust
from .curve import Key
from .geometry import Geometry
from .tree import CHUNK, Hasher, Tree, check_page, salt
from .vector import stream

MAGIC = bytes.fromhex("894643520D0A1A01")
VENDOR = uuid.uuid5(uuid.NAMESPACE_DNS, "vendor.example").bytes
CLASS = uuid.uuid5(uuid.UUID(bytes=VENDOR), "gateway").bytes
STATEMENT_EVERY = 256


@dataclass(frozen=True)
class Input:
    """What a `component:` header line says."""

    name: str
    target: str
    size: int
    seed: str
    chunk: int
    cell: int
    repair: int
    digest: int
    cap_nodes: int

    def line(self) -> str:
        return ",".join(map(str, vars(self).values()))


class Component:
    """One component with its chunks in send order and its tree."""

    def __init__(self, number: int, sequence: int, given: Input):
        image = stream(given.seed, given.size)
        self.sha256 = hashlib.sha256(image).digest()
        self.given = given
        self.geometry = g = Geometry(given.size, given.chunk, given.cell, given.repair, given.digest)
        padded = image.ljust(g.source * g.chunk, b"\0")
        source = [padded[i * g.chunk : (i + 1) * g.chunk] for i in range(g.source)]
        repair = [erasure.encode(source[b :: g.blocks], g.r(b)) for b in range(g.blocks)]
        self.chunks = source + [repair[q % g.blocks][q // g.blocks] for q in range(g.repair_chunks)]
        self.hasher = Hasher(salt(sequence, number, self.sha256), g.digest)
        self.tree = Tree(g, self.hasher, self.chunks, given.cap_nodes)

    def manifest(self) -> dict:
        g, given = self.geometry, self.given
        return {0: given.name, 1: given.target, 2: g.size, 3: self.sha256, 4: 0, 5: 1, 6: g.chunk, 7: g.cell,
                8: g.repair, 9: g.digest, 10: self.tree.cap}

    def records(self) -> bytes:
        """The pages of the release file (X-1)."""
        record = record_length(self.geometry, len(self.tree.cap))
        return b"".join(self.tree.page_payload(j).ljust(record, b"\0") for j in range(self.geometry.cells))


def record_length(geometry: Geometry, cap_octets: int) -> int:
    """X-1."""
    return (geometry.cell + 1 + geometry.path_levels(cap_octets)) * geometry.digest


class Release:
    """A release signed by one key."""

    def __init__(self, name: str, key: Key, sequence: int, inputs: list[Input], limits: list[int] | None = None):
        self.name, self.key, self.sequence, self.limits = name, key, sequence, limits
        self.components = [Component(number, sequence, given) for number, given in enumerate(inputs)]
        manifest = {0: 1, 1: sequence, 2: 3, 3: "1.4.0", 4: VENDOR, 5: [CLASS],
                    6: [c.manifest() for c in self.components]}
        if limits:
            manifest[7] = limits
        self.payload = cbor.encode(manifest)
        self.statement = statement.statement(self.payload, statement.signed(key, self.payload))

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.payload).digest()

    @property
    def tsi(self) -> int:
        """W-6."""
        return int.from_bytes(self.digest[:4], "big")

    def file(self) -> bytes:
        """X-1."""
        length = len(self.statement).to_bytes(4, "big")
        return MAGIC + length + self.statement + b"".join(c.records() for c in self.components)

    def fields(self) -> dict:
        """The header lines of a release vector."""
        parity = b"".join(c.tree.parity_payload(j) for c in self.components for j in range(c.geometry.cells))
        limits = {"from": "{},{}".format(*self.limits)} if self.limits else {}
        return {"key": self.key.name, "vendor": VENDOR.hex(), "class": CLASS.hex(), "sequence": self.sequence,
                "security-version": 3, "version": "1.4.0", **limits,
                "component": [c.given.line() for c in self.components], "manifest-digest": self.digest.hex(),
                "tsi": f"{self.tsi:08x}", "parity-sha256": hashlib.sha256(parity).hexdigest()}

    def packet(self, codepoint: int, component: int, payload_id: int, payload: bytes, count: int = 0) -> bytes:
        return packet.encode(codepoint, self.tsi, payload, component=component, payload_id=payload_id, count=count)

    def page(self, component: int, cell: int, payload: bytes | None = None) -> bytes:
        payload = payload or self.components[component].tree.page_payload(cell)
        return self.packet(packet.PAGE, component, cell, payload)

    def parity(self, component: int, cell: int, payload: bytes | None = None) -> bytes:
        payload = payload or self.components[component].tree.parity_payload(cell)
        return self.packet(packet.PARITY, component, cell, payload)

    def chunk(self, component: int, position: int, payload: bytes | None = None) -> bytes:
        c = self.components[component]
        payload_id = packet.chunk_id(*c.geometry.block_and_esi(position))
        return self.packet(packet.CHUNK, component, payload_id, payload or c.chunks[position])

    def cell_order(self) -> list[tuple[int, int]]:
        """The (component, cell) pairs of one cycle in send order (C-2)."""
        cells = [(Fraction(2 * j + 1, c.geometry.cells), a, j)
                 for a, c in enumerate(self.components) for j in range(c.geometry.cells)]
        return [(a, j) for _, a, j in sorted(cells)]

    def cycle(self) -> list[bytes]:
        """All packets of one cycle; packets 0, 256, 512, ... are the manifest (C-2, C-3)."""
        data = []
        for a, j in self.cell_order():
            g = self.components[a].geometry
            first = g.first_position(j)
            data.append(self.page(a, j))
            data += [self.chunk(a, position) for position in range(first, first + g.cell_length(j))]
            data.append(self.parity(a, j))
        packets = []
        for start in range(0, len(data), STATEMENT_EVERY - 1):
            packets.append(self.packet(packet.STATEMENT, 0, 0, self.statement))
            packets += data[start : start + STATEMENT_EVERY - 1]
        # W-5: the packet count; the layer is 0.
        return [p[:4] + count.to_bytes(4, "big") + p[8:] for count, p in enumerate(packets)]


def read_file(octets: bytes, trusted: trust.Trust) -> tuple[dict, list[list[bytes]]]:
    """The manifest and, for each component, the verified pages of a release file; else refused (X-1)."""
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        require(at + count <= len(octets), "truncated")
        at += count
        return octets[at - count : at]

    require(take(len(MAGIC)) == MAGIC, "magic")
    manifest = trust.manifest(take(int.from_bytes(take(4), "big")), trusted)
    pages = []
    for number, component in enumerate(manifest[6]):
        g, cap = statement.geometry_of(component), component[10]
        hasher = Hasher(salt(manifest[1], number, component[3]), g.digest)
        levels = g.path_levels(len(cap))
        pages.append([])
        for j in range(g.cells):
            payload = take(record_length(g, len(cap)))[: (g.cell_length(j) + 1 + levels) * g.digest]
            pages[-1].append(check_page(g, hasher, cap, j, payload, parity=False))
    require(at == len(octets), "trailing")
    return manifest, pages


def place(datagram: bytes, manifest: dict, pages: list[list[bytes]]) -> None:
    """Check one packet of a session against its manifest and verified pages (W-10, G-7, T-8, T-9)."""
    fields = packet.parse(datagram)
    if fields["kind"] == "statement":
        return
    require(fields["component"] < len(manifest[6]), "range")
    component, payload = manifest[6][fields["component"]], fields["payload"]
    g, cap = statement.geometry_of(component), component[10]
    hasher = Hasher(salt(manifest[1], fields["component"], component[3]), g.digest)
    if fields["kind"] != "chunk":
        check_page(g, hasher, cap, fields["cell"], payload, fields["kind"] == "parity-page")
        return
    position = g.position(fields["sbn"], fields["esi"])
    require(len(payload) == g.chunk, "length")
    cell, slot = g.cell_and_slot(position)
    page = pages[fields["component"]][cell]
    require(hasher(CHUNK, payload) == page[slot * g.digest : (slot + 1) * g.digest], "chunk-digest")
