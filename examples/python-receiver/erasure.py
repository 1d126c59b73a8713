"""The erasure code, straight from its formula (section 7). Naive: the work grows as K times what is missing."""

from collections.abc import Callable, Iterable

# F-1: the Cantor basis.
BASIS = [int(b, 16) for b in "0001 ACCA 3C0E 163E C582 ED2E 914C 4012 6C98 10D8 6A72 B900 FDB8 FB34 FF38 991E".split()]
ORDER = 65535


def _tables() -> tuple[list[int], list[int]]:
    """Powers of the element x, and the logarithms of all elements, both as coordinate words (F-1)."""
    element = [0]
    for b in BASIS:
        element += [e ^ b for e in element]
    word = {e: w for w, e in enumerate(element)}
    power, log, e = [], [0] * 65536, 1
    for exponent in range(ORDER):
        power.append(word[e])
        log[word[e]] = exponent
        e <<= 1
        e ^= 0x1002D if e >> 16 else 0
    return power, log


POWER, LOG = _tables()


def multiply(a: int, b: int) -> int:
    """The product of two coordinate words."""
    return POWER[(LOG[a] + LOG[b]) % ORDER] if a and b else 0


def _planes(factor: int) -> tuple[bytes, bytes, bytes, bytes]:
    """The product of every octet with a factor: low and high octet for low octets, then for high ones."""
    low = [multiply(factor, octet) for octet in range(256)]
    high = [multiply(factor, octet << 8) for octet in range(256)]
    return tuple(bytes(w >> shift & 255 for w in words) for words in (low, high) for shift in (0, 8))


# Products are linear: these of the 16 words of one bit make up all.
BITS = [_planes(1 << bit) for bit in range(16)]


class Multiples:
    """A chunk, for many products with a word. Chunks are large integers here, so that `^` adds them."""

    def __init__(self, chunk: bytes):
        # F-2: in groups of 64 octets the low octets of 32 words, then the high ones.
        groups = range(0, len(chunk), 64)
        low = b"".join(chunk[at : at + 32] for at in groups)
        high = b"".join(chunk[at + 32 : at + 64] for at in groups)
        self.rows = []
        for nibble in range(4):
            row = [0]
            for low_low, low_high, high_low, high_high in BITS[4 * nibble : 4 * nibble + 4]:
                parts = low.translate(low_low) + low.translate(low_high)
                others = high.translate(high_low) + high.translate(high_high)
                value = int.from_bytes(parts, "big") ^ int.from_bytes(others, "big")
                row += [each ^ value for each in row]
            self.rows.append(row)

    def times(self, word: int) -> int:
        a, b, c, d = self.rows
        return a[word & 15] ^ b[word >> 4 & 15] ^ c[word >> 8 & 15] ^ d[word >> 12]


def _chunk(value: int, length: int) -> bytes:
    """The chunk that a large integer stands for: all low octets, then all high ones."""
    octets, half = value.to_bytes(length, "big"), length // 2
    return b"".join(octets[at : at + 32] + octets[half + at : half + at + 32] for at in range(0, half, 32))


class Code:
    """The code of a block with R repair chunks (F-3)."""

    def __init__(self, r: int):
        self.m = 1 << (r - 1).bit_length()
        self.log_c = sum(LOG[v] for v in range(1, self.m))
        self.log_u: dict[int, int] = {}

    def log_s_over_c(self, j: int) -> int:
        """The logarithm of `s(m+j) / c`."""
        if j not in self.log_u:
            x = self.m + j
            self.log_u[j] = (sum(LOG[x ^ v] for v in range(self.m)) - self.log_c) % ORDER
        return self.log_u[j]

    def factor(self, i: int, j: int) -> int:
        """What source chunk j counts in repair chunk i."""
        return POWER[(self.log_s_over_c(j) - LOG[i ^ (self.m + j)]) % ORDER]


def repair_chunks(source: list[bytes], r: int) -> list[bytes]:
    """All repair chunks of a block (F-3)."""
    code, sums = Code(r), [0] * r
    for j, chunk in enumerate(source):
        multiples = Multiples(chunk)
        sums = [total ^ multiples.times(code.factor(i, j)) for i, total in enumerate(sums)]
    return [_chunk(total, len(source[0])) for total in sums]


def restore(
    k: int, r: int, missing: list[int], repairs: list[int], read: Callable[[int], bytes]
) -> Iterable[tuple[int, bytes]]:
    """Restores the missing source chunks of a block by as many of its repair chunks (F-4).

    `read` gives the chunk of an ESI. With x = repair number and y = m + source number, F-3 without the known chunks is
    a system of equations whose matrix is 1 / (x + y), a Cauchy matrix, of which the inverse is known in closed form.
    """
    code, gone = Code(r), set(missing)
    length = len(read(k + repairs[0]))
    sums = [Multiples(read(k + i)).times(1) for i in repairs]
    for j in range(k):
        if j not in gone:
            multiples = Multiples(read(j))
            sums = [total ^ multiples.times(code.factor(i, j)) for i, total in zip(repairs, sums)]
    xs, ys = repairs, [code.m + j for j in missing]
    # Logarithms of the products over all x + y, and over the differences within the rows and the columns.
    rows = [sum(LOG[x ^ y] for y in ys) - sum(LOG[x ^ other] for other in xs if other != x) for x in xs]
    columns = [sum(LOG[x ^ y] for x in xs) - sum(LOG[y ^ other] for other in ys if other != y) for y in ys]
    results = [0] * len(missing)
    for x, row, total in zip(xs, rows, sums):
        multiples = Multiples(_chunk(total, length))
        for number, (j, y, column) in enumerate(zip(missing, ys, columns)):
            log = row + column - LOG[x ^ y] - code.log_s_over_c(j)
            results[number] ^= multiples.times(POWER[log % ORDER])
    for j, value in zip(missing, results):
        yield j, _chunk(value, length)
