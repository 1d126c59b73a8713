"""Section 6: digests, pages, parity pages and the tree above them."""

import hashlib

from . import require
from .geometry import Geometry

CHUNK, PAGE, PARITY, LEAF, NODE = 1, 2, 3, 4, 5


def salt(sequence: int, component: int, image_digest: bytes) -> bytes:
    """T-1."""
    numbers = sequence.to_bytes(8, "big") + component.to_bytes(4, "big")
    return hashlib.sha256(b"fleetcast-salt-1" + numbers + image_digest).digest()[:16]


def xor(a: bytes, b: bytes) -> bytes:
    """The exclusive or, the shorter padded with zero octets."""
    length = max(len(a), len(b))
    return bytes(x ^ y for x, y in zip(a.ljust(length, b"\0"), b.ljust(length, b"\0")))


class Hasher:
    """`H` of T-2 for one component."""

    def __init__(self, salt_octets: bytes, digest: int):
        self.salt, self.digest = salt_octets, digest

    def __call__(self, kind: int, data: bytes, level: int = 0, index: int = 0) -> bytes:
        prefix = bytes([kind, level, 0, 0]) + index.to_bytes(4, "big")
        return hashlib.sha256(prefix + self.salt + data).digest()[: self.digest]


class Tree:
    """All pages, parity pages and nodes of a component, from its chunks in send order."""

    def __init__(self, geometry: Geometry, hasher: Hasher, chunks: list[bytes], cap_nodes: int):
        n, levels = geometry.cells, [[]]
        digests = [hasher(CHUNK, chunk) for chunk in chunks]
        self.pages, self.parities, self.page_digests, self.parity_digests = [], [], [], []
        for j in range(n):
            first = geometry.first_position(j)
            self.pages.append(b"".join(digests[first : first + geometry.cell_length(j)]))
        for j, page in enumerate(self.pages):
            parity = page if n <= 3 else xor(page, self.pages[(j - 3) % n])
            self.parities.append(parity)
            self.page_digests.append(hasher(PAGE, page))
            self.parity_digests.append(hasher(PARITY, parity))
            levels[0].append(hasher(LEAF, self.page_digests[j] + self.parity_digests[j], 0, j))
        levels[0] += [bytes(geometry.digest)] * ((1 << geometry.height) - n)
        while len(levels[-1]) > cap_nodes:
            below, level = levels[-1], len(levels)
            pairs = range(len(below) // 2)
            levels.append([hasher(NODE, below[2 * i] + below[2 * i + 1], level, i) for i in pairs])
        self.levels, self.cap = levels, b"".join(levels[-1])

    def path(self, j: int) -> bytes:
        """The siblings from leaf j to the cap, lowest level first (T-6)."""
        return b"".join(nodes[(j >> level) ^ 1] for level, nodes in enumerate(self.levels[:-1]))

    def page_payload(self, j: int) -> bytes:
        """T-6."""
        return self.pages[j] + self.parity_digests[j] + self.path(j)

    def parity_payload(self, j: int) -> bytes:
        """T-7."""
        return self.parities[j] + self.page_digests[j] + self.path(j)


def check_page(geometry: Geometry, hasher: Hasher, cap: bytes, j: int, payload: bytes, parity: bool) -> bytes:
    """Verify a page or parity payload against the cap and return its page or parity page (T-8)."""
    size, levels = geometry.digest, geometry.path_levels(len(cap))
    require(j < geometry.cells, "range")
    length = (geometry.parity_length(j) if parity else geometry.cell_length(j)) * size
    require(len(payload) == length + (1 + levels) * size, "length")
    body, other, path = payload[:length], payload[length : length + size], payload[length + size :]
    own = hasher(PARITY if parity else PAGE, body)
    node = hasher(LEAF, other + own if parity else own + other, 0, j)
    for level in range(levels):
        sibling = path[level * size : (level + 1) * size]
        pair = sibling + node if j >> level & 1 else node + sibling
        node = hasher(NODE, pair, level + 1, j >> level + 1)
    at = (j >> levels) * size
    require(node == cap[at : at + size], "page-digest")
    return body
