"""Where chunks are, and how they are proven: geometry (section 5) and hash tree (section 6)."""

import hashlib

from packet import PAGE, PARITY, need

LONGEST_BLOCK = 4096  # G-3


def ceil(a: int, b: int) -> int:
    """V-2."""
    return -(-a // b)


class Geometry:
    """What follows from the numbers of a component."""

    def __init__(self, size: int, chunk: int, cell: int, repair: int, digest: int):
        is_good = 1 <= size <= 2**34 and chunk % 64 == 0 and 64 <= chunk <= 8192
        is_good = is_good and cell % 8 == 0 and 8 <= cell <= 64 and repair <= 100 and digest in (16, 32)
        need(is_good and ceil(size, chunk) <= 2**24, "geometry")  # G-1, G-2
        self.size, self.chunk, self.cell, self.repair, self.digest = size, chunk, cell, repair, digest
        self.source = ceil(size, chunk)  # S
        self.blocks = ceil(self.source, LONGEST_BLOCK)  # Z
        self.repairs = sum(self.block(b)[1] for b in range(self.blocks))  # Q
        self.source_cells = ceil(self.source, cell)
        self.cells = self.source_cells + ceil(self.repairs, cell)  # n
        self.height = (self.cells - 1).bit_length()  # h

    def block(self, b: int) -> tuple[int, int]:
        """K and R of a block (G-3, G-4)."""
        k = self.source // self.blocks + (b < self.source % self.blocks)
        return k, ceil(k * self.repair, 100)

    def position(self, b: int, esi: int) -> int:
        """The position of a chunk (G-4, G-5)."""
        need(b < self.blocks and esi < sum(self.block(b)), "range")  # G-7
        k = self.block(b)[0]
        if esi < k:
            return esi * self.blocks + b
        # A block with one source chunk more may have one repair chunk more: round-robin still holds for all others.
        return self.source + (esi - k) * self.blocks + b

    def symbol(self, position: int) -> tuple[int, int]:
        """Block and ESI of a position."""
        if position < self.source:
            return position % self.blocks, position // self.blocks
        number, b = divmod(position - self.source, self.blocks)
        return b, self.block(b)[0] + number

    def slot(self, position: int) -> tuple[int, int]:
        """Cell and slot of a position (G-6)."""
        if position < self.source:
            return divmod(position, self.cell)
        cell, slot = divmod(position - self.source, self.cell)
        return self.source_cells + cell, slot

    def cell_length(self, cell: int) -> int:
        """Chunks of a cell (G-6)."""
        need(cell < self.cells, "range")  # G-7
        if cell < self.source_cells:
            return min(self.cell, self.source - cell * self.cell)
        return min(self.cell, self.repairs - (cell - self.source_cells) * self.cell)

    def first_position(self, cell: int) -> int:
        """The position in slot 0 of a cell."""
        if cell < self.source_cells:
            return cell * self.cell
        return self.source + (cell - self.source_cells) * self.cell

    def page_length(self, codepoint: int, cell: int) -> int:
        """Octets of a page (T-3) or parity page (T-4)."""
        length = self.cell_length(cell)
        if codepoint == PARITY and self.cells > 3:
            length = max(length, self.cell_length((cell - 3) % self.cells))
        return length * self.digest


class Tree:
    """The hash tree of a component, of which the manifest has the cap."""

    def __init__(self, geometry: Geometry, cap: bytes, sequence: int, number: int, sha256: bytes):
        self.geometry, self.cap = geometry, cap
        nodes, rest = divmod(len(cap), geometry.digest)
        need(rest == 0 and nodes.bit_count() == 1 and nodes <= 1 << geometry.height, "geometry")  # T-5
        self.levels = geometry.height - nodes.bit_length() + 1  # h - c
        seed = b"fleetcast-salt-1" + sequence.to_bytes(8, "big") + number.to_bytes(4, "big") + sha256
        self.salt = hashlib.sha256(seed).digest()[:16]  # T-1

    def hash(self, kind: int, level: int, index: int, data: bytes) -> bytes:
        """H (T-2)."""
        head = bytes([kind, level, 0, 0]) + index.to_bytes(4, "big")
        return hashlib.sha256(head + self.salt + data).digest()[: self.geometry.digest]

    def check_page(self, codepoint: int, cell: int, payload: bytes) -> bytes:
        """The page or parity page of a payload that verifies (T-6, T-7, T-8)."""
        d = self.geometry.digest
        length = self.geometry.page_length(codepoint, cell)
        need(len(payload) == length + (1 + self.levels) * d, "length")  # W-10
        page, other = payload[:length], payload[length : length + d]
        if codepoint == PAGE:
            node = self.hash(4, 0, cell, self.hash(2, 0, 0, page) + other)
        else:
            node = self.hash(4, 0, cell, other + self.hash(3, 0, 0, page))
        for level in range(self.levels):
            sibling = payload[length + (1 + level) * d :][:d]
            pair = sibling + node if cell >> level & 1 else node + sibling
            node = self.hash(5, level + 1, cell >> level + 1, pair)
        at = (cell >> self.levels) * d
        need(node == self.cap[at : at + d], "page-digest")
        return page

    def is_chunk(self, page: bytes, slot: int, chunk: bytes) -> bool:
        """Whether a chunk is the one that its page names (T-9)."""
        d = self.geometry.digest
        return self.hash(1, 0, 0, chunk) == page[slot * d : (slot + 1) * d]


def xor(a: bytes, b: bytes) -> bytes:
    """The exclusive or, the shorter padded with zero octets (T-4)."""
    length = max(len(a), len(b))
    number = int.from_bytes(a.ljust(length, b"\0"), "big") ^ int.from_bytes(b.ljust(length, b"\0"), "big")
    return number.to_bytes(length, "big")
