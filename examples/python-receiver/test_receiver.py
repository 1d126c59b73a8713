"""This receiver as a device: whole sessions, what is kept, and what is refused."""

import hashlib
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import packet
import receiver
import sources
from device import Device
from policy import Floors, Record, Settings, decide
from roots import bare_keys, root_file
from session import Waiting
from statement import AAD, kid
from storage import State
from test_vectors import VECTORS, Vector, code, layer

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


class Sessions(Bench):
    def test_a_lossless_cycle_installs_every_image(self):
        device = self.device()
        self.feed(device, PACKETS)
        self.assert_installed()
        self.assertEqual(self.names(), ["begin", "complete", "installed"])
        self.feed(device, PACKETS)
        self.assertEqual(self.names(), ["begin", "complete", "installed"], "it is not received again")
        self.assertGreater(device.dropped["installed"], 0)

    def test_loss_order_repetition_and_forgeries_change_nothing(self):
        for seed in range(4):
            with self.subTest(seed=seed):
                self.setUp()
                draw = random.Random(seed)
                stream = [p for p in PACKETS * 2 if draw.random() < 0.55]
                draw.shuffle(stream)
                device = self.device()
                self.feed(device, PACKETS[:1])
                for genuine in stream + PACKETS:
                    forged = bytearray(genuine)
                    forged[draw.randrange(len(forged))] ^= 1 << draw.randrange(8)
                    self.feed(device, [bytes(forged)], "192.0.2.66")
                    self.feed(device, [genuine])
                self.assert_installed()
                self.assertGreater(device.dropped["chunk-digest"], 0)

    def test_repair_chunks_alone_restore_everything(self):
        # And parity pages: of most cells no page comes.
        def comes(datagram: bytes) -> bool:
            p = packet.decode(datagram)
            if p.codepoint == packet.CHUNK:
                g = device.sessions[0].parts[p.component].geometry if device.sessions else None
                return g is not None and p.symbol[1] >= g.block(p.symbol[0])[0]
            return p.codepoint != packet.PAGE or p.number % 3 == 0

        device = self.device()
        for datagram in PACKETS * 2:
            if comes(datagram):
                self.feed(device, [datagram])
        self.assert_installed()
        complete = dict(self.events)["complete"]
        self.assertEqual(complete["restored"], 1 + 16 + 313)

    def test_layer_session(self):
        # A device that has all pages, and one chunk: the last.
        for v in layer("session"):
            if v.get("expect") == "ok":
                continue
            self.setUp()
            device = self.device()
            pages = [p for p in PACKETS if packet.decode(p).codepoint == packet.PAGE]
            last = [p for p in PACKETS if packet.decode(p).codepoint == packet.CHUNK][-1:]
            self.feed(device, PACKETS[:1] + pages + last + pages)
            self.assertIsNotNone(device.active)
            self.assertEqual(device.dropped, {})
            self.feed(device, [v.body])
            self.assertEqual(device.dropped, {v.get("expect"): 1}, v.name)

    def test_chunks_that_wait_for_pages_are_bounded_and_each_source_displaces_its_own(self):
        waiting = Waiting()
        waiting.add("genuine", "cell", 5, b"right")
        for n in range(10_000):
            waiting.add(f"forger {n % 50}", "cell", 5, b"wrong %d" % n)
        taken = waiting.take("cell")
        self.assertIn(("genuine", 5, b"right"), taken)
        self.assertLessEqual(len(taken), Waiting.SOURCES * Waiting.EACH)
        self.assertEqual(waiting.queues, {})

    def test_storage_without_room_leaves_the_release_alone(self):
        self.targets["slot"] = (self.folder / "none" / "slot.img", 1 << 20)
        device = self.device()
        self.feed(device, PACKETS)
        self.assertEqual(self.names(), ["fault"])
        self.assertEqual(list(self.folder.glob(".*.part")), [])
        self.assertIsNone(device.state.floors.seen, "no floor rises (M-7)")


class Keeping(Bench):
    def test_an_install_cut_between_two_renames_is_finished_at_the_start(self):
        for damaged in (False, True):
            with self.subTest(damaged=damaged):
                self.setUp()
                state, plan = State(self.folder), []
                for nth, (name, octets) in enumerate(IMAGES.items()):
                    new, to = self.folder / f".{name}.img.{DIGEST.hex()}.part", self.targets[name][0]
                    (to if nth == 0 else new).write_bytes(octets[:-1] if damaged and nth == 1 else octets)
                    plan.append([str(new), str(to), len(octets), hashlib.sha256(octets).hexdigest()])
                release = {"sequence": 7, "security": 3, "digest": DIGEST.hex(), "root": 0}
                state.installing = {"release": release, "files": plan}
                state.save()
                device = self.device()
                if damaged:
                    self.assertIsNone(device.state.floors.installed)
                    self.feed(device, PACKETS)
                self.assertEqual(device.state.floors.installed.sequence, 7)
                self.assert_installed()

    def test_floors_stand_after_a_restart(self):
        device = self.device()
        self.feed(device, PACKETS[:20])
        self.assertEqual(self.names(), ["begin"])
        m = bare_keys([Key("release").public], 1).verify_manifest(MANIFEST.payload)
        device = self.device()
        self.assertEqual(list(self.folder.glob(".*.part")), [], "what was half received goes (I-3)")
        self.assertEqual(device.state.floors.seen, Record.of(m, 0))
        self.feed(device, PACKETS)
        self.assert_installed()
        self.assertEqual(self.device().state.floors.installed, Record.of(m, 0))

    def test_damaged_state_is_an_error_and_no_fresh_start(self):
        (self.folder / "state.json").write_text("{")
        self.assertRaises(json.JSONDecodeError, self.device)

    def test_a_manifest_is_refused_for_the_first_reason(self):
        m = bare_keys([Key("release").public], 1).verify_manifest(MANIFEST.payload)
        other, far = bytes(32), 2**32 + 1
        cases = [
            ("ok", Floors()),
            ("installed", Floors(Record(7, 3, DIGEST, 0))),
            ("security-version", Floors(Record(6, 4, other, 0))),
            ("rollback", Floors(Record(6, 3, other, 0), Record(8, 3, other, 0))),
            ("rollback", Floors(Record(8, 3, other, 0))),
            ("equivocation", Floors(None, Record(7, 3, other, 0))),
            ("ok", Floors(None, Record(7, 3, DIGEST, 0))),
            ("ok", Floors(Record(6, 4, other, 0), Record(8, 3, other, 0), void_before=1)),
            ("installed", Floors(Record(7, 3, DIGEST, 0), void_before=1)),
        ]
        for expected, floors in cases:
            self.assertEqual(code(decide, m, self.settings, floors, None, 0), expected, floors)
        for expected, field, value in [
            ("vendor", "vendor", other[:16]),
            ("class", "classes", [other[:16]]),
            ("target", "targets", {}),
            ("size", "targets", self.targets | {"slot": (self.folder / "slot", 19_999)}),
        ]:
            settings = Settings(**(vars(self.settings) | {field: value}))
            self.assertEqual(code(decide, m, settings, Floors(), None, 0), expected)
        payload = cbor2.loads(packet.decode(PACKETS[0]).payload)[0]
        for expected, fields in [
            ("far-jump", {1: far + 6}),
            ("ok", {1: far + 5}),
            ("from", {7: [0, 5]}),
            ("ok", {7: [6, 6]}),
            ("hardware", {8: [0, 9]}),
            ("wave", {9: [[500, 0]]}),
            ("ok", {9: [[500, 0], [501, 9]]}),
        ]:
            changed = statement(packet.MANIFEST, cbor2.loads(payload) | fields, Key("release"))
            m = bare_keys([Key("release").public], 1).verify_manifest(changed)
            floors = Floors(Record(6, 3, other, 0))
            self.assertEqual(code(decide, m, self.settings, floors, None, 500), expected, fields)

    def test_the_wave_number_is_that_of_the_example(self):
        m = bare_keys([Key("release").public], 1).verify_manifest(MANIFEST.payload)
        self.assertEqual(m.wave_number(bytes(range(16))), 565)  # M-10


class Roots(Bench):
    ONE = root(1, ["root-1"], ["release"], ["root-1"])
    TWO = root(2, ["root-2"], ["author-2"], ["root-1", "root-2"])

    def test_a_root_is_taken_kept_and_ends_what_the_old_key_signed(self):
        device = self.device(root_file(self.ONE))
        self.feed(device, PACKETS[:20])
        self.assertEqual(self.names(), ["begin"])
        floor = device.state.floors
        self.assertEqual(floor.standing(), [floor.seen])
        self.feed(device, [in_packet(packet.ROOT, self.TWO, 2)])
        self.assertEqual(self.names(), ["begin", "root", "given-up"])
        self.assertEqual(floor.standing(), [], "no release key is left: the floors are void (K-9)")
        self.feed(device, PACKETS)
        self.assertGreater(device.dropped["threshold"], 0)
        device = self.device(root_file(self.ONE))
        self.assertEqual(device.trust.root.version, 2)
        self.assertEqual(device.state.floors.standing(), [], "also after a restart")
        self.feed(device, PACKETS)
        self.assertEqual(self.names(), ["begin", "root", "given-up"])

    def test_roots_out_of_order_or_by_strangers_are_not_taken(self):
        device = self.device(root_file(self.ONE))
        three = root(3, ["root-2"], ["author-2"], ["root-1", "root-2"])
        stranger = root(2, ["root-2"], ["author-2"], ["root-2"])
        self.feed(device, [in_packet(packet.ROOT, three, 3), in_packet(packet.ROOT, three, 2)])
        self.feed(device, [in_packet(packet.ROOT, stranger, 2)] * 2)
        self.assertEqual(device.dropped, {"root-version": 2, "threshold": 2})
        self.assertEqual((device.trust.root.version, device.state.roots), (1, []))

    def test_a_damaged_chain_is_walked_anew_from_where_it_broke(self):
        device = self.device(root_file(self.ONE))
        self.feed(device, [in_packet(packet.ROOT, self.TWO, 2)])
        device.state.roots[0] = self.TWO[:-1] + b"\0"
        device.state.save()
        device = self.device(root_file(self.ONE))
        self.assertEqual(device.trust.root.version, 1)
        self.feed(device, [in_packet(packet.ROOT, self.TWO, 2)])
        self.assertEqual(device.trust.root.version, 2)

    def test_bare_keys_take_no_root_of_another_vendor(self):
        self.settings.vendor = bytes(16)
        device = self.device(bare_keys([Key("root-1").public], 1))
        self.feed(device, [in_packet(packet.ROOT, root(1, ["root-1"], ["release"], ["root-1"]), 1)])
        self.assertEqual(device.dropped, {"vendor": 1})

    def test_a_complete_release_waits_for_a_beacon_that_holds(self):
        device = self.device(root_file(self.ONE))
        self.feed(device, PACKETS)
        self.assertEqual(self.events[-1], ("waiting", {"sequence": 7, "code": "waiting"}))
        self.feed(device, [in_packet(packet.BEACON, beacon(NOW, DIGEST))])
        self.now = 9.9
        self.feed(device, PACKETS[:1])
        self.assertNotIn("installed", self.names())
        self.now = 10.0
        self.feed(device, PACKETS[:1])
        self.assert_installed()
        states = [what["state"] for event, what in self.events if event == "freshness"]
        self.assertEqual(states, ["waiting", "fresh"])

    def test_a_beacon_ends_a_release_that_is_superseded_also_after_a_restart(self):
        device = self.device(root_file(self.ONE))
        self.feed(device, PACKETS[:20])
        self.feed(device, [in_packet(packet.BEACON, beacon(NOW, DIGEST, sequence=8))])
        self.assertEqual(self.events[-1], ("given-up", {"sequence": 7, "code": "superseded"}))
        device = self.device(root_file(self.ONE))
        self.feed(device, PACKETS)
        self.assertEqual(self.names(), ["begin", "given-up"])
        self.feed(device, [in_packet(packet.BEACON, beacon(NOW - 1, DIGEST))])
        self.assertEqual(device.dropped["beacon-replay"], 1)

    def test_who_floods_with_statements_uses_up_nobody_elses_share(self):
        device = self.device()
        for n in range(100):
            forged = MANIFEST.payload[:-1] + bytes([n])
            self.feed(device, [PACKETS[0][: packet.HEADER.size] + forged], "192.0.2.66")
        self.assertGreater(device.dropped["budget"], 70)
        self.feed(device, PACKETS)
        self.assert_installed()
        self.assertLessEqual(len(device.trust.known), 1024)


def pcap(datagrams: list[bytes], v6: bool = False, tag: bytes = b"") -> bytes:
    """A capture of datagrams to 239.1.2.3 or ff15::1, port 4000, a millisecond apart."""
    packets = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for n, datagram in enumerate(datagrams):
        udp = struct.pack(">4H", 9, 4000, 8 + len(datagram), 0) + datagram
        if v6:
            ip = struct.pack(">IHBB", 6 << 28, len(udp), 17, 1)
            ip += bytes(15) + b"\1" + bytes.fromhex("ff15" + "0" * 27 + "1")
        else:
            ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 1, 17, 0)
            ip += bytes([192, 0, 2, 1, 239, 1, 2, 3])
        frame = bytes(12) + tag + (b"\x86\xdd" if v6 else b"\x08\x00") + ip + udp
        frame = frame.ljust(60, b"\0")
        packets += [struct.pack("<4I", NOW, 1000 * n, len(frame), len(frame)), frame]
    return b"".join(packets)


class Captures(Bench):
    def read(self, octets: bytes, group: str | None = None) -> list[sources.Came]:
        path = self.folder / "session.pcap"
        path.write_bytes(octets)
        return list(sources.capture(path, sources.Group.parse(group) if group else None))

    def test_datagrams_are_found_in_both_families_and_behind_tags(self):
        for v6, group in ((False, "239.1.2.3:4000"), (True, "[ff15::1]:4000")):
            for tag in (b"", b"\x81\x00\0\1"):
                came = self.read(pcap([b"one", b"two"], v6, tag), group)
                self.assertEqual([c.datagram for c in came], [b"one", b"two"])
                self.assertEqual(came[0].source, "::1" if v6 else "192.0.2.1")
                self.assertAlmostEqual(came[1].now, 0.001, places=5)
        self.assertEqual(self.read(pcap([b"one"]), "239.1.2.4:4000"), [])
        self.assertEqual(self.read(pcap([b"one"])[:-1]), [], "cut off")
        self.assertRaises(ValueError, self.read, b"no capture at all, but long enough")

    def test_the_program_installs_from_a_capture(self):
        (self.folder / "session.pcap").write_bytes(pcap(PACKETS))
        command = [sys.executable, receiver.__file__, "--pcap", f"{self.folder}/session.pcap", "--once"]
        command += ["--trust", Key("release").public.hex(), "--vendor", VENDOR.hex(), "--class", CLASS.hex()]
        command += ["--state", f"{self.folder}/state"]
        for name, (path, _) in self.targets.items():
            command += ["--target", f"{name}={path}"]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
        self.assertEqual(events, ["ready", "freshness", "begin", "complete", "installed", "stopped"])
        self.assert_installed()
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, "nothing new to install")


if __name__ == "__main__":
    unittest.main()
