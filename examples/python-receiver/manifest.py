"""The manifest (section 4)."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

from packet import HEADER, need
from statement import Maybe, Statement, decode
from tree import Geometry, Tree

TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,31}", re.ASCII)  # M-2
COMPONENT = {0: str, 1: str, 2: int, 3: bytes, 4: int, 5: int, 6: int, 7: int, 8: int, 9: int, 10: bytes}
MANIFEST = {
    0: int, 1: int, 2: int, 3: str, 4: bytes, 5: [bytes], 6: [COMPONENT],
    7: Maybe((int, int)), 8: Maybe((int, int)), 9: Maybe([(int, int)]),
}  # fmt: skip


@dataclass(frozen=True)
class Component:
    name: str
    target: str
    size: int
    sha256: bytes
    tree: Tree

    @property
    def largest_packet(self) -> int:
        """M-4."""
        g = self.tree.geometry
        return HEADER.size + max(g.chunk, (g.cell + 1 + self.tree.levels) * g.digest)


@dataclass(frozen=True)
class Manifest:
    """A manifest whose signatures have been verified. It is named by its digest (M-8)."""

    digest: bytes
    sequence: int
    security: int
    version: str
    vendor: bytes
    classes: list[bytes]
    components: list[Component]
    runs_from: tuple[int, int] | None
    hardware: tuple[int, int] | None
    waves: list[tuple[int, int]]

    @cached_property
    def tsi(self) -> bytes:
        """W-6."""
        return self.digest[:4]

    def wave_time(self, number: int) -> int | None:
        """The time from which a device of this wave number may install; `None` if never (M-10)."""
        if not self.waves:
            return 0
        return next((time for share, time in self.waves if share > number), None)

    def wave_number(self, seed: bytes) -> int:
        """M-10."""
        octets = b"fleetcast-wave-1" + seed + self.sequence.to_bytes(8, "big")
        return int.from_bytes(hashlib.sha256(octets).digest()[:8], "big") % 1000


def read(statement: Statement) -> Manifest:
    """The manifest of a statement that is valid (S-8)."""
    m = decode(statement.payload, MANIFEST)
    span, waves, parts = [m.get(7), m.get(8)], m.get(9), m[6]
    is_good = (
        1 <= m[1] < 2**63
        and m[2] < 2**32
        and len(m[4]) == 16
        and 1 <= len(m[5]) <= 8
        and all(len(each) == 16 for each in m[5])
        and 1 <= len(parts) <= 8
        and all(pair is None or pair[0] <= pair[1] for pair in span)
        and all(TOKEN.fullmatch(token) for token in [m[3]] + [part[key] for part in parts for key in (0, 1)])
        and all(len({part[key] for part in parts}) == len(parts) for key in (0, 1))
        and all(len(part[3]) == 32 and part[4] == 0 and part[5] == 1 for part in parts)
    )
    if waves is not None:
        is_good = is_good and 1 <= len(waves) <= 8
        is_good = is_good and all(1 <= share <= 1000 and time < 2**40 for share, time in waves)
        is_good = is_good and all(a[0] < b[0] and a[1] < b[1] for a, b in zip(waves, waves[1:]))
    need(is_good, "range")  # M-3
    components = []
    for number, part in enumerate(parts):
        geometry = Geometry(part[2], part[6], part[7], part[8], part[9])
        tree = Tree(geometry, part[10], m[1], number, part[3])
        components.append(Component(part[0], part[1], part[2], part[3], tree))
    from_, hardware = (None if pair is None else (pair[0], pair[1]) for pair in span)
    waves = [(share, time) for share, time in waves or []]
    return Manifest(statement.digest, m[1], m[2], m[3], m[4], m[5], components, from_, hardware, waves)
