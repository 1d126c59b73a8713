"""Section 5: how an image becomes blocks, chunks, positions and cells."""

from dataclasses import dataclass

from . import require

BLOCK = 4096


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True)
class Geometry:
    """The five numbers of a component; all sizes in octets."""

    size: int
    chunk: int
    cell: int
    repair: int
    digest: int

    def check(self) -> None:
        """Refuse what G-1 or G-2 does not allow."""
        ok = 1 <= self.size <= 1 << 34
        ok = ok and self.chunk % 64 == 0 and 64 <= self.chunk <= 8192
        ok = ok and self.cell % 8 == 0 and 8 <= self.cell <= 64
        ok = ok and 0 <= self.repair <= 100 and self.digest in (16, 32)
        require(ok and self.source <= 1 << 24, "geometry")

    @property
    def source(self) -> int:
        """`S` (G-2)."""
        return ceil_div(self.size, self.chunk)

    @property
    def blocks(self) -> int:
        """`Z` (G-3)."""
        return ceil_div(self.source, BLOCK)

    def k(self, block: int) -> int:
        """`K_b` (G-3)."""
        return self.source // self.blocks + (block < self.source % self.blocks)

    def r(self, block: int) -> int:
        """`R_b` (G-4)."""
        return ceil_div(self.k(block) * self.repair, 100)

    @property
    def repair_chunks(self) -> int:
        """`Q` (G-4)."""
        return sum(map(self.r, range(self.blocks)))

    @property
    def source_cells(self) -> int:
        return ceil_div(self.source, self.cell)

    @property
    def cells(self) -> int:
        """`n` (G-6)."""
        return self.source_cells + ceil_div(self.repair_chunks, self.cell)

    @property
    def height(self) -> int:
        """`h` (T-5): the least with 2^h >= n."""
        return (self.cells - 1).bit_length()

    def first_position(self, cell: int) -> int:
        if cell < self.source_cells:
            return cell * self.cell
        return self.source + (cell - self.source_cells) * self.cell

    def cell_length(self, cell: int) -> int:
        """`len_j` (G-6)."""
        end = self.source if cell < self.source_cells else self.source + self.repair_chunks
        return min(self.cell, end - self.first_position(cell))

    def block_and_esi(self, position: int) -> tuple[int, int]:
        """The block and the encoding symbol id of a position (G-3 to G-5)."""
        if position < self.source:
            return position % self.blocks, position // self.blocks
        repair = position - self.source
        block = repair % self.blocks
        return block, self.k(block) + repair // self.blocks

    def position(self, block: int, esi: int) -> int:
        """The position of a chunk, refused with `range` if there is none (G-7)."""
        require(block < self.blocks, "range")
        k = self.k(block)
        require(esi < k + self.r(block), "range")
        if esi < k:
            return esi * self.blocks + block
        return self.source + (esi - k) * self.blocks + block

    def cell_and_slot(self, position: int) -> tuple[int, int]:
        """The cell of a position and its place in the cell (G-6)."""
        if position < self.source:
            return divmod(position, self.cell)
        cell, slot = divmod(position - self.source, self.cell)
        return self.source_cells + cell, slot

    def parity_length(self, cell: int) -> int:
        """Digests in the parity page of a cell (T-4)."""
        if self.cells <= 3:
            return self.cell_length(cell)
        return max(self.cell_length(cell), self.cell_length((cell - 3) % self.cells))

    def path_levels(self, cap_octets: int) -> int:
        """`h - c` (T-5) from the length of the cap."""
        nodes, rest = divmod(cap_octets, self.digest)
        c = nodes.bit_length() - 1
        require(rest == 0 and nodes == 1 << max(c, 0) and c <= self.height, "geometry")
        return self.height - c
