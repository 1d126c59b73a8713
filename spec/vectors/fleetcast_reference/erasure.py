"""Section 7: Reed-Solomon over GF(2^16), straight from its definition."""

import struct
from functools import lru_cache

ORDER = 65535
MODULUS = 0x1002D
# F-1: the Cantor basis, in polynomial form.
BASIS = [int(word, 16) for word in """
    0001 ACCA 3C0E 163E C582 ED2E 914C 4012 6C98 10D8 6A72 B900 FDB8 FB34 FF38 991E""".split()]


def _tables() -> tuple[list[int], list[int]]:
    """Logarithm of every coordinate word, and the word of every power, to the base x, which is primitive."""
    polynomial = [0] * 65536
    for word in range(1, 65536):
        low = word & -word
        polynomial[word] = polynomial[word ^ low] ^ BASIS[low.bit_length() - 1]
    word_of = [0] * 65536
    for word, value in enumerate(polynomial):
        word_of[value] = word
    log, power, element = [0] * 65536, [0] * ORDER, 1
    for exponent in range(ORDER):
        power[exponent] = word_of[element]
        log[word_of[element]] = exponent
        element <<= 1
        if element >> 16:
            element ^= MODULUS
    assert len(set(power)) == ORDER and len(set(word_of)) == 65536
    return log, power


LOG, POWER = _tables()


def multiply(a: int, b: int) -> int:
    """The product of two coordinate words."""
    return POWER[(LOG[a] + LOG[b]) % ORDER] if a and b else 0


@lru_cache(maxsize=None)
def _log_s_over_c(m: int, x: int) -> int:
    """The logarithm of `s(x) / c` (F-3); x is at least m, so no factor is zero."""
    return (sum(LOG[x ^ v] for v in range(m)) - sum(LOG[v] for v in range(1, m))) % ORDER


def divide(a: int, b: int) -> int:
    """The quotient of two coordinate words; `b` is not zero."""
    return POWER[(LOG[a] - LOG[b]) % ORDER] if a else 0


def coefficient(m: int, i: int, j: int) -> int:
    """What source chunk j counts for in repair chunk i (F-3)."""
    return POWER[(_log_s_over_c(m, m + j) - LOG[i ^ (m + j)]) % ORDER]


def constants(m: int, x: int) -> tuple[int, int]:
    """`c` and `s(x)` of F-3, for x of at least m."""
    c, s = 1, 1
    for v in range(m):
        c, s = multiply(c, v) if v else c, multiply(s, x ^ v)
    return c, s


def polynomial(word: int) -> int:
    """The element of a coordinate word in polynomial form (F-1)."""
    result = 0
    for bit, element in enumerate(BASIS):
        result ^= element if word >> bit & 1 else 0
    return result


def words(chunk: bytes) -> list[int]:
    """The words of a chunk, group by group (F-2)."""
    groups = (chunk[at : at + 64] for at in range(0, len(chunk), 64))
    return [group[w] | group[32 + w] << 8 for group in groups for w in range(32)]


def octets(of_words: tuple[int, ...]) -> bytes:
    """The chunk of these words: the inverse of `words`."""
    groups = (of_words[at : at + 32] for at in range(0, len(of_words), 32))
    return b"".join(bytes(w & 255 for w in g) + bytes(w >> 8 for w in g) for g in groups)


def _multiples(of_words: list[int]) -> list[list[int]]:
    """The chunk, as one large integer of 16-bit lanes, times every word that has one nibble set.

    A product is linear in the coefficient, so four look-ups and exclusive ors multiply a whole chunk by any word.
    """
    form = f"<{len(of_words)}H"
    result = []
    for nibble in range(4):
        row = [0] * 16
        for bit in range(4):
            product = (multiply(1 << 4 * nibble + bit, word) for word in of_words)
            value = int.from_bytes(struct.pack(form, *product), "little")
            for index in range(1 << bit):
                row[index | 1 << bit] = row[index] ^ value
        result.append(row)
    return result


def encode(source: list[bytes], r: int) -> list[bytes]:
    """The `r` repair chunks of a block, by the sum of F-3."""
    m = 1 << (r - 1).bit_length() if r else 0
    size = len(source[0])
    tables = [_multiples(words(chunk)) for chunk in source]
    logs = [_log_s_over_c(m, m + j) for j in range(len(source))] if r else []
    repair = []
    for i in range(r):
        total = 0
        for j, (t0, t1, t2, t3) in enumerate(tables):
            c = POWER[(logs[j] - LOG[i ^ (m + j)]) % ORDER]
            total ^= t0[c & 15] ^ t1[c >> 4 & 15] ^ t2[c >> 8 & 15] ^ t3[c >> 12]
        repair.append(octets(struct.unpack(f"<{size // 2}H", total.to_bytes(size, "little"))))
    return repair
