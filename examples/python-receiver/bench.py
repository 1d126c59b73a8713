"""What the tests of the device have in common: the session of the vectors, statements, and a device in a folder."""

import hashlib
import pathlib
import tempfile
import unittest

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import packet
from device import Device
from policy import Settings
from roots import bare_keys
from statement import AAD, kid
from storage import State
from test_vectors import VECTORS, Vector
from tree import Geometry, Tree, xor

CYCLE = Vector(VECTORS / "session" / "ok-cycle.vec")
RELEASE = Vector(VECTORS / "release" / "ok-three-components.vec")
VENDOR, CLASS = (bytes.fromhex(RELEASE.get(key)) for key in ("vendor", "class"))
NOW = 1_800_000_000


def image(seed: str, size: int) -> bytes:
    """An image of the vectors."""
    blocks = (hashlib.sha256(seed.encode() + n.to_bytes(8, "big")).digest() for n in range(size // 32 + 1))
    return b"".join(blocks)[:size]


# By target.
IMAGES = {line[1]: image(line[3], int(line[2])) for line in (text.split(",") for text in RELEASE.all("component"))}


class Key:
    """A test key of the vectors."""

    def __init__(self, name: str):
        seed = hashlib.sha256(f"fleetcast UNSAFE test {name}".encode()).digest()
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def statement(kind: int, payload: dict | bytes, *keys: Key) -> bytes:
    """A statement signed by these keys."""
    octets = payload if isinstance(payload, bytes) else cbor2.dumps(payload, canonical=True)
    signatures = []
    for key in keys:
        protected = cbor2.dumps({1: -19, 4: kid(key.public)}, canonical=True)
        signed = cbor2.dumps(["Signature1", protected, AAD[kind], octets])
        signatures.append([protected, {}, None, key.private.sign(signed)])
    return cbor2.dumps([octets, signatures])


def root(version: int, root_keys: list[str], release_keys: list[str], signers: list[str], **fields) -> bytes:
    """A root with one grant and the key `beacon-1`."""
    names = sorted({*root_keys, *release_keys, "beacon-1"}, key=lambda name: Key(name).public)
    role = lambda of: [1, sum(1 << names.index(name) for name in of)]
    payload = {0: 1, 1: version, 2: VENDOR, 3: NOW, 4: [Key(name).public for name in names]}
    payload |= {5: role(root_keys), 6: [{0: role(release_keys)}], 7: role(["beacon-1"])}
    return statement(packet.ROOT, payload | fields, *map(Key, signers))


def beacon(issued: int, digest: bytes, sequence: int = 7, until: int = 3600, of_root: int = 1) -> bytes:
    payload = {0: 1, 1: VENDOR, 2: issued, 3: issued + until, 4: of_root, 5: [[CLASS, sequence, digest, 3]]}
    return statement(packet.BEACON, payload, Key("beacon-1"))


def in_packet(kind: int, octets: bytes, number: int = 0) -> bytes:
    return packet.HEADER.pack(0x10, 0xA0, 4, 0, 0, 0, 0, kind << 24 | number) + octets


PACKETS = CYCLE.parts()
MANIFEST = packet.decode(PACKETS[0])
DIGEST = bytes.fromhex(RELEASE.get("manifest-digest"))


def release(sequence: int, octets: bytes) -> list[bytes]:
    """The packets of a release of one image for `boot`, without repair: manifest, pages, chunks."""
    sha256, g = hashlib.sha256(octets).digest(), Geometry(len(octets), 64, 8, 0, 16)
    tree = Tree(g, bytes(16), sequence, 0, sha256)
    chunks = [octets[at : at + 64].ljust(64, b"\0") for at in range(0, len(octets), 64)]
    digests = [tree.hash(1, 0, 0, chunk) for chunk in chunks]
    pages = [b"".join(digests[8 * j : 8 * j + 8]) for j in range(g.cells)]
    parities = [page if g.cells <= 3 else xor(page, pages[j - 3]) for j, page in enumerate(pages)]  # T-4
    others = [tree.hash(3, 0, 0, parity) for parity in parities]
    nodes = [tree.hash(4, 0, j, tree.hash(2, 0, 0, page) + others[j]) for j, page in enumerate(pages)]
    levels = [nodes + [bytes(16)] * ((1 << g.height) - len(nodes))]  # T-5
    for level in range(1, g.height + 1):
        pairs = zip(levels[-1][::2], levels[-1][1::2])
        levels.append([tree.hash(5, level, i, left + right) for i, (left, right) in enumerate(pairs)])
    part = {0: "boot", 1: "boot", 2: len(octets), 3: sha256, 4: 0, 5: 1, 6: 64, 7: 8, 8: 0, 9: 16, 10: levels[-1][0]}
    payload = cbor2.dumps({0: 1, 1: sequence, 2: 3, 3: "1", 4: VENDOR, 5: [CLASS], 6: [part]}, canonical=True)
    tsi = int.from_bytes(hashlib.sha256(payload).digest()[:4], "big")
    made = [(0, 0, 0, statement(packet.MANIFEST, payload, Key("release")))]
    for j, page in enumerate(pages):
        path = b"".join(levels[level][j >> level ^ 1] for level in range(g.height))  # T-6
        made.append((packet.PAGE, 2, j, page + others[j] + path))
    made += [(packet.CHUNK, 1, i, chunk) for i, chunk in enumerate(chunks)]
    return [packet.HEADER.pack(0x10, 0xA0, 4, kind, 0, tsi, toi, fec) + rest for kind, toi, fec, rest in made]


class Bench(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.targets = {name: (self.folder / f"{name}.img", 1 << 20) for name in IMAGES}
        self.settings = Settings(VENDOR, [CLASS], self.targets)
        self.events: list[tuple[str, dict]] = []
        self.now = 0.0

    def device(self, trusted=None) -> Device:
        """A device, started or started again."""
        trusted = trusted or bare_keys([Key("release").public], 1)
        tell = lambda event, **what: self.events.append((event, what))
        device = Device(self.settings, State(self.folder), trusted, tell)
        self.addCleanup(lambda: [session.discard() for session in device.sessions])
        return device

    def feed(self, device: Device, datagrams, source="192.0.2.1"):
        for datagram in datagrams:
            device.handle(datagram, source, self.now, NOW + self.now)

    def names(self) -> list[str]:
        return [event for event, _ in self.events if event != "freshness"]

    def assert_installed(self):
        for name, octets in IMAGES.items():
            self.assertEqual(self.targets[name][0].read_bytes(), octets)
        self.assertEqual(list(self.folder.glob(".*.part")), [])
