"""The device of the worked example: what becomes of each packet, and the figures of what it computes."""

from . import erasure, packet, require, statement
from .tree import CHUNK, LEAF, NODE, PAGE, PARITY, Hasher, check_page, salt, xor


class Device:
    """What becomes of each packet on a device that has installed nothing: lines of the table, and what it stores."""

    def __init__(self, trusted: bytes):
        self.trusted, self.told = trusted, []
        self.pages, self.parities, self.chunks, self.waiting = {}, {}, {}, {}

    def hear(self, number: int, datagram: bytes, is_lost: bool) -> None:
        fields = packet.parse(datagram)
        what = {"statement": "manifest", "page": "page {cell}", "parity-page": "parity page {cell}",
                "chunk": "chunk, ESI {esi}"}[fields["kind"]].format(**fields)
        done = "lost" if is_lost else getattr(self, fields["kind"].replace("-", "_"))(fields)
        self.told.append((number, what, done))

    def statement(self, fields) -> str:
        """S-1 to S-9; the rest of M-4 is in the text."""
        payload, valid = statement.signers(fields["payload"], {self.trusted}, statement.MANIFEST)
        require(valid == {self.trusted}, "threshold")
        self.manifest = statement.check(statement.decode(payload))
        component = self.manifest[6][0]
        self.g, self.cap = statement.geometry_of(component), component[10]
        self.hasher = Hasher(salt(self.manifest[1], 0, component[3]), self.g.digest)
        self.image = bytearray(self.g.size)
        return "verified; acceptable (M-4): room for the image is made ready"

    def page(self, fields) -> str:
        j = fields["cell"]
        self.pages[j] = check_page(self.g, self.hasher, self.cap, j, fields["payload"], False)
        return self.settle(f"verified (T-8){self.wait_over(j)}")

    def parity_page(self, fields) -> str:
        j = fields["cell"]
        self.parities[j] = check_page(self.g, self.hasher, self.cap, j, fields["payload"], True)
        return self.settle("verified (T-8)")

    def settle(self, done: str) -> str:
        """T-9: pages that follow from parity pages."""
        for j, parity in self.parities.items():
            pair = (j, (j - 3) % self.g.cells)
            for lost, there in (pair, pair[::-1]):
                if lost not in self.pages and there in self.pages:
                    self.pages[lost] = xor(parity, self.pages[there])[: self.g.cell_length(lost) * self.g.digest]
                    return self.settle(f"{done}; page {lost} follows (T-9){self.wait_over(lost)}")
        return done

    def wait_over(self, j: int) -> str:
        ready = [position for position in self.waiting if self.g.cell_and_slot(position)[0] == j]
        for position in ready:
            self.take(position, self.waiting.pop(position))
        return f": chunks {ready[0]} to {ready[-1]} verified and written" if ready else ""

    def chunk(self, fields) -> str:
        position = self.g.position(fields["sbn"], fields["esi"])
        if self.g.cell_and_slot(position)[0] not in self.pages:
            self.waiting[position] = fields["payload"]
            return "waits for its page (T-11)"
        return self.take(position, fields["payload"])

    def take(self, position: int, chunk: bytes) -> str:
        cell, slot = self.g.cell_and_slot(position)
        size = self.g.digest
        require(self.hasher(CHUNK, chunk) == self.pages[cell][slot * size : (slot + 1) * size], "chunk-digest")
        self.chunks[position] = chunk
        if position >= self.g.source:
            return f"verified (T-9); kept as repair chunk {position - self.g.source}" + (
                f"; **complete: {len(self.chunks)} chunks**" if len(self.chunks) == self.g.k(0) else "")
        start, end = position * self.g.chunk, min((position + 1) * self.g.chunk, self.g.size)
        self.image[start:end] = chunk[: end - start]
        return f"verified (T-9); octets {start} to {end - 1} of the image written"


def climb(device: Device, j: int, payload: bytes, is_parity: bool) -> list[str]:
    """The steps of T-8 in figures."""
    g, hasher, size = device.g, device.hasher, device.g.digest
    length = (g.parity_length(j) if is_parity else g.cell_length(j)) * size
    body, other, path = payload[:length], payload[length : length + size], payload[length + size :]
    own = hasher(PARITY if is_parity else PAGE, body)
    pair = other + own if is_parity else own + other
    node = hasher(LEAF, pair, 0, j)
    name = ("X" if is_parity else "P") + f"_{j}"
    lines = [f"{own.hex()}  H({PARITY if is_parity else PAGE}, 0, 0, {name})",
             f"{node.hex()}  H({LEAF}, 0, {j}, digest of P_{j} | digest of X_{j}): leaf {j}"]
    for level in range(g.path_levels(len(device.cap))):
        sibling = path[level * size : (level + 1) * size]
        right = j >> level & 1
        node = hasher(NODE, sibling + node if right else node + sibling, level + 1, j >> level + 1)
        order = "sibling | node" if right else "node | sibling"
        lines.append(f"{node.hex()}  H({NODE}, {level + 1}, {j >> level + 1}, {order}): bit {level} of {j} is {right}")
    at = j >> g.path_levels(len(device.cap))
    assert node == device.cap[at * size : (at + 1) * size]
    return lines + [f"{node.hex()}  cap node {at}, from the manifest: the same"]


def restore(device: Device, lost: int) -> tuple[bytes, list[list], list[tuple]]:
    """The lost chunk by F-3, the table of coefficients with word 0 of all chunks, and word 0 of what is divided."""
    g, repair = device.g, erasure.words(device.chunks[device.g.source])
    m = 1 << (g.r(0) - 1).bit_length()
    body, rest = [], repair
    for j in range(g.k(0)):
        coefficient = erasure.coefficient(m, 0, j)
        if j == lost:
            body.append([j, m + j, f"`{coefficient:04X}`", "?", "?"])
            divisor = coefficient
            continue
        products = [erasure.multiply(coefficient, word) for word in erasure.words(device.chunks[j])]
        body.append([j, m + j, f"`{coefficient:04X}`", f"`{erasure.words(device.chunks[j])[0]:04X}`",
                     f"`{products[0]:04X}`"])
        rest = [a ^ b for a, b in zip(rest, products)]
    words = [erasure.divide(word, divisor) for word in rest]
    return erasure.octets(tuple(words)), body, [repair[0], rest[0], divisor, words[0]]
