"""This receiver as a device: whole sessions, from the vectors and from captures."""

import json
import random
import struct
import subprocess
import sys
import unittest

import packet
import receiver
import sources
from bench import CLASS, NOW, PACKETS, VENDOR, Bench, Key, image, release
from session import IDLE_PAGES, Waiting
from test_vectors import VECTORS, layer


class Sessions(Bench):
    def test_a_lossless_cycle_installs_every_image(self):
        device = self.device()
        self.feed(device, PACKETS)
        self.assert_installed()
        self.assertEqual(self.names(), ["begin", "complete", "installed"])
        self.feed(device, PACKETS)
        self.assertEqual(self.names(), ["begin", "complete", "installed"], "it is not received again")
        self.assertGreater(device.dropped["installed"], 0)

    def test_the_packets_of_the_worked_example_become_its_image(self):
        path = self.folder / "rootfs.img"
        self.targets["rootfs"] = (path, 1 << 20)
        listing = (VECTORS.parent / "example.md").read_text().split("```text\npacket ")[1].split("```")[0]
        packets = [bytes.fromhex("".join(text.split()[1:])) for text in listing.split("packet ")]
        device = self.device()
        self.feed(device, packets[:-1])
        self.assertEqual(self.names(), ["begin"])
        self.feed(device, packets[-1:])
        self.assertEqual(self.names(), ["begin", "complete", "installed"])
        self.assertEqual(path.read_bytes(), image("image example", 1060))

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

    def test_a_newer_release_takes_over_by_a_chunk_and_an_older_one_never(self):
        old, new = image("old", 5000), image("new", 5000)
        device, packets, newer = self.device(), release(8, old), release(9, new)
        self.feed(device, packets[:30] + newer[:1])
        self.assertEqual(device.active.manifest.sequence, 8, "a manifest without data wins nothing (M-6)")
        self.feed(device, newer[1:30])
        self.assertEqual(device.active.manifest.sequence, 9)
        self.feed(device, packets)
        self.assertEqual(device.dropped["rollback"], 1)
        self.feed(device, newer)
        self.assertEqual(self.targets["boot"][0].read_bytes(), new)
        self.assertEqual(self.names(), ["begin", "begin", "complete", "installed"])
        self.assertEqual(list(self.folder.glob(".*.part")), [])

    def test_of_many_releases_the_eight_highest_are_considered(self):
        device, made = self.device(), [release(n, b"image") for n in range(1, 13)]
        self.feed(device, [packets[0] for packets in made[2:10] + made[:2] + made[10:]])
        self.assertEqual(sorted(s.manifest.sequence for s in device.sessions), list(range(5, 13)))
        self.assertEqual(device.dropped["outnumbered"], 2)

    def test_of_a_release_without_chunks_few_pages_are_kept(self):
        octets = image("any", 64 * 8 * 40)
        packets, device = release(8, octets), self.device()
        self.feed(device, packets[:41])
        self.assertEqual(len(device.sessions[0].parts[0].pages), IDLE_PAGES)
        self.feed(device, reversed(packets))
        self.feed(device, packets)
        self.assertEqual(self.targets["boot"][0].read_bytes(), octets)

    def test_storage_that_gives_back_something_else_is_noticed(self):
        packets, device = release(8, image("any", 5000)), self.device()
        self.feed(device, packets[:-1])
        device.active.parts[0].store.write(0, bytes(64))
        self.feed(device, packets[-1:])
        self.assertEqual(self.events[-1], ("given-up", {"sequence": 8, "code": "image-digest"}))
        self.feed(device, packets)
        self.assertEqual(self.targets["boot"][0].read_bytes(), image("any", 5000))

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
