"""Which packet goes in which slot, on which layer (C-2, C-3, C-7)."""

from fractions import Fraction

from .geometry import Geometry


class Schedule:
    """The carousel of components on layers, with a manifest in every `every`-th slot."""

    def __init__(self, components: list[Geometry], layers: int, every: int):
        self.components, self.layers, self.every = components, layers, every
        self.group = 2 ** (layers - 1)
        cells = [(Fraction(2 * j + 1, g.cells), a, j) for a, g in enumerate(components) for j in range(g.cells)]
        order = [(a, j) for _, a, j in sorted(cells)]
        self.groups = [order[i : i + self.group] for i in range(0, len(order), self.group)]
        self.frames = max(g.cell for g in components) + 2
        # The slots of a frame: layer, and which of the layer's slots it is.
        seen = [0] * layers
        self.turns = []
        for slot in range(self.group):
            zeros = next((t for t in range(layers - 1) if slot >> t & 1), None)
            layer = 0 if zeros is None else layers - 1 - zeros
            self.turns.append((layer, seen[layer]))
            seen[layer] += 1
        assert seen == [1] + [2**layer for layer in range(layers - 1)]

    def at(self, slot: int) -> tuple[int, str]:
        """Layer and packet of a slot."""
        if slot % self.every == 0:
            return self.turns[slot // self.every % self.group][0], "manifest"
        frame, place = divmod(slot - slot // self.every - 1, self.group)
        layer, number = self.turns[place]
        groups, x = divmod(frame, self.frames)
        group, turn = groups % len(self.groups), groups // len(self.groups)
        first = 0 if layer == 0 else 2 ** (layer - 1)
        mask = sum((turn >> bit & 1) << (self.layers - 2 - bit) for bit in range(self.layers - 1))
        cell = (first + number) ^ mask
        if cell >= len(self.groups[group]):
            return layer, "empty"
        a, j = self.groups[group][cell]
        g = self.components[a]
        if x == 0:
            return layer, f"page {a} {j}"
        if x <= g.cell_length(j):
            return layer, f"chunk {a} {g.first_position(j) + x - 1}"
        return layer, f"parity-page {a} {j}" if x == g.cell_length(j) + 1 else "empty"
