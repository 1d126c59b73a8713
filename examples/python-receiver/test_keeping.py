"""This receiver as a device: what it keeps and refuses, floors, roots and beacons."""

import hashlib
import json
import unittest

import cbor2

import packet
from bench import DIGEST, IMAGES, MANIFEST, NOW, PACKETS, Bench, Key, beacon, in_packet, root, statement
from policy import Floors, Record, Settings, decide
from roots import bare_keys, root_file
from storage import State
from test_vectors import code


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
        self.feed(device, PACKETS)
        self.assertEqual(self.events[-1], ("waiting", {"sequence": 7, "code": "behind"}))  # K-7
        self.feed(device, [in_packet(packet.ROOT, self.TWO, 2)])
        self.assertEqual(device.trust.root.version, 2)
        self.assertEqual(self.events[-1][1], {"state": "waiting"})

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


if __name__ == "__main__":
    unittest.main()
