"""This receiver against the vectors of the specification: walks the folders, and compares every code."""

import pathlib
import re
import unittest
from unittest import mock

import beacons
import erasure
import packet
import policy
import roots
from packet import Refused
from statement import is_sound, parse
from tree import Geometry

VECTORS = pathlib.Path(__file__).resolve().parents[2] / "spec" / "vectors"
# For who sends, signs, publishes or asks, or finds senders by DNS: this receiver does none of it.
NOT_FOR_RECEIVERS = {"release", "schedule", "nack", "nack-sender", "dns"}
# In `test_receiver.py`, by a whole device.
ELSEWHERE = {"session"}


class Vector:
    """Header lines, an empty line, octets."""

    def __init__(self, path: pathlib.Path):
        head, self.body = path.read_bytes().split(b"\n\n", 1)
        self.name = f"{path.parent.name}/{path.stem}"
        self.lines = [line.split(": ", 1) for line in head.decode().splitlines()]

    def all(self, key: str) -> list[str]:
        return [line[1] for line in self.lines if line[0] == key]

    def get(self, key: str) -> str:
        return self.all(key)[0]

    def number(self, key: str) -> int:
        return int(self.get(key))

    def parts(self) -> list[bytes]:
        """Packets or statements, each after its length in 16 bits."""
        parts, rest = [], self.body
        while rest:
            length = 2 + int.from_bytes(rest[:2], "big")
            parts.append(rest[2:length])
            rest = rest[length:]
        return parts

    def trust(self) -> roots.Root:
        if self.all("root"):
            return roots.root_file(bytes.fromhex(self.get("root")))
        keys = [bytes.fromhex(key) for key in self.get("trust").replace(",", " ").split()]
        return roots.bare_keys(keys, self.number("threshold"))


def layer(name: str) -> list[Vector]:
    """All vectors of a folder: those that the index lists."""
    vectors = [Vector(path) for path in sorted((VECTORS / name).glob("*.vec"))]
    sections = (VECTORS / "INDEX.md").read_text().split("\n## ")
    section = next(section for section in sections if section.startswith(f"{name}\n"))
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    listed = {f"{name}/{row}" for row in rows if row not in ("name", "---")}
    assert listed == {v.name for v in vectors}, f"{name} and INDEX.md differ"
    return vectors


def code(call, *arguments) -> str:
    """What becomes of something: `ok`, or why it was refused."""
    try:
        call(*arguments)
    except Refused as refused:
        return refused.code
    return "ok"


def settings(v: Vector) -> policy.Settings:
    """The device of a header."""
    targets = [line.split(",") for line in v.all("target")]
    return policy.Settings(
        bytes.fromhex(v.get("device-vendor")),
        [bytes.fromhex(each) for each in v.all("device-class")],
        {name: (pathlib.Path(name), int(size)) for name, size in targets},
        next((int(revision) for revision in v.all("device-hardware")), None),
    )


def floors(v: Vector) -> policy.Floors:
    """What it remembers. Root 1 made void what was installed, if something did, and what was seen came after it."""
    records = {}
    for key, root in (("installed", 0), ("seen", 1)):
        for line in v.all(key):
            sequence, digest, *security = line.split(",")
            records[key] = policy.Record(int(sequence), int((security + ["0"])[0]), bytes.fromhex(digest), root)
    return policy.Floors(**records, void_before=int(v.get("floors") == "void"))


class Vectors(unittest.TestCase):
    def check(self, v: Vector, call, *arguments) -> bool:
        """Compares what becomes of a vector with what must; gives whether it is a good one."""
        got = code(call, *arguments)
        self.assertEqual(got, v.get("expect"), v.name)
        return got == "ok"

    def test_every_layer_is_tested_here_or_is_not_for_receivers(self):
        found = {path.parent.name for path in VECTORS.glob("*/*.vec")}
        tested = {name.removeprefix("test_layer_").replace("_", "-") for name in dir(self) if "test_layer_" in name}
        self.assertEqual(found, tested | NOT_FOR_RECEIVERS | ELSEWHERE)

    def test_layer_packet(self):
        for v in layer("packet"):
            if not self.check(v, packet.decode, v.body):
                continue
            p = packet.decode(v.body)
            self.assertEqual((p.layer, p.count, p.tsi.hex()), (v.number("layer"), v.number("count"), v.get("tsi")))
            self.assertEqual(len(p.payload), v.number("payload-length"))
            if p.codepoint == packet.STATEMENT:
                expected = {"statement-kind": p.kind, "statement-number": p.number}
            elif p.codepoint == packet.CHUNK:
                expected = {"component": p.component, "sbn": p.symbol[0], "esi": p.symbol[1]}
            else:
                expected = {"component": p.component, "cell": p.number}
            self.assertEqual({key: v.number(key) for key in expected}, expected, v.name)
            kind = ["statement", "page", "parity-page", "chunk"][p.codepoint]
            self.assertEqual(kind, v.get("kind"), v.name)

    def test_layer_statement(self):
        for v in layer("statement"):
            root = v.trust()
            if self.check(v, root.verify_manifest, v.body):
                m = root.verify_manifest(v.body)
                self.assertEqual((m.digest.hex(), m.tsi.hex()), (v.get("manifest-digest"), v.get("tsi")), v.name)

    def test_layer_geometry(self):
        for v in layer("geometry"):
            g = Geometry(*(v.number(key) for key in ("size", "chunk", "cell", "repair", "digest")))
            path = (g.height - v.number("cap-nodes").bit_length() + 1) * g.digest
            last_repair = g.cell_length(g.cells - 1) if g.cells > g.source_cells else 0
            header = packet.HEADER.size + g.digest + path
            expected = {
                "source": g.source,
                "blocks": g.blocks,
                "repair-chunks": g.repairs,
                "cells": g.cells,
                "source-cells": g.source_cells,
                "height": g.height,
                "last-source-cell": g.cell_length(g.source_cells - 1),
                "last-repair-cell": last_repair,
                "path": path,
                "page-packet": header + g.page_length(packet.PAGE, 0),
                "parity-packet": header + g.page_length(packet.PARITY, 0),
            }
            self.assertEqual({key: v.number(key) for key in expected}, expected, v.name)
            for key, block in (("first-block", 0), ("last-block", g.blocks - 1)):
                self.assertEqual(list(g.block(block)), [int(n) for n in v.get(key).replace(",", " ").split()], v.name)
            for line in v.all("position"):
                position, block, esi, cell, slot = (int(n) for n in line.replace(",", " ").split())
                self.assertEqual((g.symbol(position), g.slot(position)), ((block, esi), (cell, slot)), v.name)
                self.assertEqual(g.position(block, esi), position, v.name)
                self.assertEqual(g.first_position(cell) + slot, position, v.name)

    def test_layer_fec(self):
        for v in layer("fec"):
            k, r, size = v.number("k"), v.number("r"), v.number("chunk")
            chunks = [v.body[at : at + size] for at in range(0, len(v.body), size)]
            self.assertEqual(erasure.repair_chunks(chunks[:k], r), chunks[k:], v.name)
            # The last source chunks are lost, and the last repair chunks are there; then every other one of all.
            for lost in (set(range(max(k - r, 0), k)), set(range(0, k + r, 2))):
                missing = [j for j in range(k) if j in lost]
                there = [i for i in reversed(range(r)) if k + i not in lost][: len(missing)]
                if missing and len(there) == len(missing):
                    restored = dict(erasure.restore(k, r, missing, there, chunks.__getitem__))
                    self.assertEqual(restored, {j: chunks[j] for j in missing}, v.name)

    def test_layer_root(self):
        for v in layer("root"):
            is_file = not v.all("root") and not v.all("trust")
            take = roots.root_file if is_file else v.trust().step
            if self.check(v, take, v.body):
                root, digest = take(v.body), parse(v.body).digest.hex()
                self.assertEqual((root.version, root.issued), (v.number("version"), v.number("issued")), v.name)
                self.assertEqual((root.vendor.hex(), digest), (v.get("vendor"), v.get("payload-digest")), v.name)

    def test_layer_walk(self):
        for v in layer("walk"):
            root, answers, is_void = v.trust(), [], False
            for octets in v.parts():
                answers.append(code(root.step, octets))
                if answers[-1] == "ok":
                    after = root.step(octets)
                    is_void, root = is_void or root.makes_void(after), after
            self.assertEqual(answers, v.all("answer"), v.name)
            self.assertEqual((root.version, is_void), (v.number("reached"), v.get("floors") == "void"), v.name)

    def test_layer_beacon(self):
        for v in layer("beacon"):
            freshness = beacons.Freshness(v.trust())
            for newest in v.all("newest"):
                freshness.keep(bytes.fromhex(newest))
            if self.check(v, freshness.hear, 0, v.body):
                b = freshness.newest
                numbers = [v.number(key) for key in ("issued", "until", "newest-root")]
                self.assertEqual([b.issued, b.until, b.root], numbers, v.name)
                told = [f"{e.device_class.hex()},{e.sequence},{e.digest.hex()},{e.security}" for e in b.current]
                self.assertEqual(told, [line.replace(" ", "") for line in v.all("current")], v.name)

    def test_layer_beacon_policy(self):
        for v in layer("beacon-policy"):
            root = v.trust()
            m = root.verify_manifest(bytes.fromhex(v.get("manifest")))
            codes = root.verify_beacon(v.body, beacons.read).refuses(m, [bytes.fromhex(c) for c in v.all("class")])
            order = [c for c in ("security-version", "equivocation", "superseded") if c in codes]  # M-4
            self.assertEqual((order + ["ok"])[0], v.get("expect"), v.name)

    def test_layer_policy(self):
        for v in layer("policy"):
            if v.all("trial") or v.all("given-up"):
                continue  # Nothing is ever on trial here.
            root = v.trust()
            m = root.verify_manifest(v.body)
            newest = [root.verify_beacon(bytes.fromhex(octets), beacons.read) for octets in v.all("beacon")]
            fixed = [int(number) for number in v.all("wave-number")]
            wave = fixed[0] if fixed else m.wave_number(bytes.fromhex(v.get("wave-seed")))
            with mock.patch.object(policy, "BUFFER", v.number("largest-packet")):
                if self.check(v, policy.decide, m, settings(v), floors(v), newest[0] if newest else None, wave):
                    self.assertEqual((wave, m.wave_time(wave)), (v.number("number"), v.number("not-before")), v.name)

    def test_layer_freshness(self):
        for v in layer("freshness"):
            root, parts = v.trust(), v.parts()
            freshness = beacons.Freshness(root, v.number("built"))
            for line in v.all("at"):
                seconds, what, *rest = line.split()
                now, system = int(seconds), [int(time) + int(seconds) for time in v.all("system")]
                trusted = system[0] if system else None
                if what == "state":
                    got = [freshness.state(now, trusted), str(freshness.clock(now, trusted))]
                    self.assertEqual(got, rest, f"{v.name}: {line}")
                    continue
                octets = parts[int(rest[0])]
                if what == "keep":
                    freshness.keep(octets)
                elif what == "hear":
                    self.assertEqual(code(freshness.hear, now, octets), rest[1], f"{v.name}: {line}")
                else:
                    self.assertEqual(code(root.step, octets), rest[1], f"{v.name}: {line}")
                    if rest[1] == "ok":
                        root = root.step(octets)
                        freshness.follow(now, root)

    def test_every_rule_for_receivers_is_cited_or_left_out_by_name(self):
        here = pathlib.Path(__file__).parent
        rules = set(re.findall(r"^- \*\*([A-Z]-\d+)\*\*", (VECTORS.parent / "protocol.md").read_text(), re.MULTILINE))
        of_tests = {here / "bench.py", *here.glob("test_*.py")}
        modules = [path.read_text() for path in set(here.glob("*.py")) - of_tests]
        cited = set(re.findall(r"\b[A-Z]-\d+\b", "".join(modules)))
        self.assertLessEqual(cited, rules)
        left_out = (here / "README.md").read_text().split("## What it leaves out")[1]
        # Whole sections by their letter.
        named = {rule for rule in rules if re.search(rf"\b{rule}\b|`{rule[0]}-\*`", left_out)}
        self.assertEqual(rules - cited - named, set())

    def test_keys_of_small_order_are_refused(self):
        for key in (bytes(32), bytes(31) + b"\x80", b"\1" + bytes(31), bytes.fromhex("ec" + "ff" * 30 + "7f")):
            self.assertFalse(is_sound(key))


if __name__ == "__main__":
    unittest.main()
