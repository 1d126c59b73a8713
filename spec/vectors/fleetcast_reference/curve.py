"""Ed25519: the strict check of S-6 written out, and what is needed to make signatures that break it.

Honest signatures come from the `cryptography` package, so that the two check each other.
"""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
IDENTITY = (0, 1)


class Key:
    """A private key whose seed is the SHA-256 of a public text: for tests only."""

    def __init__(self, name: str):
        self.name = name
        self.seed = hashlib.sha256(f"fleetcast UNSAFE test {name}".encode()).digest()
        self._private = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    @property
    def scalar(self) -> int:
        """The secret scalar (RFC 8032 section 5.1.5)."""
        low = int.from_bytes(hashlib.sha512(self.seed).digest()[:32], "little")
        return low & ~7 & (1 << 254) - 1 | 1 << 254


def add(p, q):
    """The sum of two points, in affine coordinates."""
    (x1, y1), (x2, y2) = p, q
    t = D * x1 * x2 * y1 * y2 % P
    inverse = pow((1 + t) * (1 - t), -1, P)
    x = (x1 * y2 + x2 * y1) * (1 - t) * inverse
    y = (y1 * y2 + x1 * x2) * (1 + t) * inverse
    return x % P, y % P


def multiply(scalar: int, point):
    """`scalar` times `point`, by doubling and adding."""
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def compress(point) -> bytes:
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(octets: bytes):
    """The point of an encoding (RFC 8032 section 5.1.3), or None."""
    number = int.from_bytes(octets, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square or (x == 0 and sign):
        return None
    return (x if x & 1 == sign else P - x), y


def small_order(point) -> bool:
    return multiply(8, point) == IDENTITY


def challenge(r: bytes, a: bytes, message: bytes) -> int:
    """`k` of S-6."""
    return int.from_bytes(hashlib.sha512(r + a + message).digest(), "little") % L


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Strict, cofactorless verification (S-6)."""
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    key, commitment = decompress(public), decompress(r)
    if s >= L or key is None or commitment is None or compress(key) != public:
        return False
    if small_order(key) or small_order(commitment):
        return False
    k = challenge(r, public, message)
    negative = (P - key[0]) % P, key[1]
    return compress(add(multiply(s, BASE), multiply(k, negative))) == r


def torsion_point():
    """A point of order 8: what is left of the first suitable point after multiplying by L."""
    y = 2
    while True:
        point = decompress(y.to_bytes(32, "little"))
        y += 1
        if point and multiply(4, multiply(L, point)) != IDENTITY:
            return multiply(L, point)


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
