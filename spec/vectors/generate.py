#!/usr/bin/env python3
"""Write all test vectors, their index and the worked example, or compare with what is there: `generate.py [--check]`.

Needs Python 3.11 and the package `cryptography`. Every vector is judged by the reference before it is written, so a
vector whose `expect` does not follow from the specification stops the program.
"""

import sys
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing in the tree but the vectors

from fleetcast_reference import (  # noqa: E402
    Refused, beacon, beacon_cases, code_cases, example, freshness_cases, grant_cases, manifest_cases, nack, nack_cases,
    packet, packet_cases, release, release_cases, root_cases, schedule_cases, statement, statement_cases, trust,
    walk_cases)
from fleetcast_reference.vector import Vector  # noqa: E402

HERE = Path(__file__).resolve().parent
LAYERS = ["packet", "statement", "fec", "geometry", "release", "session", "schedule", "nack", "root", "walk", "beacon",
          "beacon-policy", "freshness"]
MODULES = [packet_cases, statement_cases, manifest_cases, grant_cases, code_cases, release_cases, schedule_cases,
           nack_cases, root_cases, walk_cases, beacon_cases, freshness_cases, example]


def judge(vector: Vector, files: dict[str, Vector]) -> str:
    """`ok` or the code with which the reference refuses a vector."""
    key = trust.bare([release_cases.KEY.public], 1)
    try:
        if vector.layer == "packet":
            packet.parse(vector.body)
        elif vector.layer == "nack":
            nack.parse(vector.body)
        elif vector.layer == "statement":
            trust.manifest(vector.body, trusted(vector))
        elif vector.layer == "root":
            anchor = trusted(vector)
            trust.following(vector.body, anchor) if anchor else trust.root_file(vector.body)
        elif vector.layer == "walk":
            judge_walk(vector)
        elif vector.layer == "beacon":
            newest = vector.fields.get("newest")
            beacon.take(vector.body, trusted(vector), newest and bytes.fromhex(newest))
        elif vector.layer == "beacon-policy":
            anchor, manifest = trusted(vector), bytes.fromhex(vector.fields["manifest"])
            trust.manifest(manifest, anchor)
            classes = [bytes.fromhex(uuid) for uuid in vector.fields["class"]]
            beacon.policy(beacon.accept(vector.body, anchor), classes, statement.parse(manifest)[0])
        elif vector.layer == "freshness":
            judge_freshness(vector)
        elif vector.layer == "release":
            release.read_file(vector.body, key)
        elif vector.layer == "session":
            context = files[vector.fields["release"]]
            if not hasattr(context, "read"):
                context.read = release.read_file(context.body, key)
            for datagram in datagrams(vector):
                release.place(datagram, *context.read)
    except Refused as refused:
        return refused.code
    return "ok"


def datagrams(vector: Vector) -> list[bytes]:
    """The packets of a session vector: one, or a whole cycle with lengths."""
    if "packets" not in vector.fields:
        return [vector.body]
    result = split(vector.body)
    assert len(result) == vector.fields["packets"]
    return result


def split(rest: bytes) -> list[bytes]:
    """Packets or statements, each after its length in 16 bits."""
    result = []
    while rest:
        length = int.from_bytes(rest[:2], "big")
        result.append(rest[2 : 2 + length])
        rest = rest[2 + length :]
    return result


def trusted(vector: Vector) -> trust.Trust | None:
    """The root or bare keys of a vector's header."""
    if "root" in vector.fields:
        return trust.root_file(bytes.fromhex(vector.fields["root"]))
    if "trust" in vector.fields:
        keys = [bytes.fromhex(key) for key in vector.fields["trust"].split(",")]
        return trust.bare(keys, vector.fields["threshold"])
    return None


def judge_walk(vector: Vector) -> None:
    """Stops the program unless a walk goes as the header says."""
    reached, void, answers = trust.walk(trusted(vector), split(vector.body))
    got = {"answer": answers, "reached": reached.version, "floors": "void" if void else "keep"}
    assert got == {key: vector.fields[key] for key in got}, (vector.path, got)


def judge_freshness(vector: Vector) -> None:
    """Stops the program unless a device's states are as the header says."""
    device = beacon.Device(trusted(vector), vector.fields["built"], vector.fields.get("system"))
    statements = split(vector.body)
    for line in vector.fields["at"]:
        now, what, *rest = line.split()
        now = int(now)
        if what == "keep":
            device.keep(statements[int(rest[0])])
        elif what == "state":
            got = [device.state(now), str(device.clock(now))]
            assert got == rest, (vector.path, line, got)
        else:
            answer = (device.hear if what == "hear" else device.step)(now, statements[int(rest[0])])
            assert answer == rest[1], (vector.path, line, answer)


def index(vectors: list[Vector]) -> str:
    """INDEX.md."""
    counts = Counter(v.layer for v in vectors)
    lines = ["# Index of the vectors", "", "Written by `generate.py`; do not edit.", "", "| layer | vectors |",
             "| --- | --- |"]
    lines += [f"| {layer} | {counts[layer]} |" for layer in LAYERS] + [f"| total | {len(vectors)} |"]
    for layer in LAYERS:
        lines += ["", f"## {layer}", "", "| name | expect | requirement | comment |", "| --- | --- | --- | --- |"]
        lines += [f"| {v.name} | {v.expect} | {v.requirement} | {v.comment} |" for v in vectors if v.layer == layer]
    return "\n".join(lines) + "\n"


def generate() -> dict[str, bytes]:
    """All files by path, each vector checked."""
    vectors = [vector for module in MODULES for vector in module.cases()]
    files = {vector.path: vector for vector in vectors}
    assert len(files) == len(vectors), "two vectors of one name"
    wrong = [f"{v.path}: expect {v.expect}, judged {got}" for v in vectors if (got := judge(v, files)) != v.expect]
    if wrong:
        sys.exit("\n".join(wrong))
    pages = {"INDEX.md": index(vectors).encode(), "../example.md": example.page().encode()}
    return {path: vector.encode() for path, vector in files.items()} | pages


def main() -> None:
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit("usage: generate.py [--check]")
    files = generate()
    there = {str(p.relative_to(HERE)) for layer in LAYERS for p in (HERE / layer).glob("**/*") if p.is_file()}
    surplus = sorted(there - set(files))
    differ = [name for name, octets in files.items()
              if not (HERE / name).is_file() or (HERE / name).read_bytes() != octets]
    if sys.argv[1:]:
        for name in differ + surplus:
            print(f"{name}: differs; run generate.py", file=sys.stderr)
        sys.exit(1 if differ or surplus else 0)
    for name in differ:
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_bytes(files[name])
    for name in surplus:
        (HERE / name).unlink()
    print(f"{len(files) - 2} vectors, {sum(map(len, files.values()))} octets, {len(differ)} written, "
          f"{len(surplus)} removed")


if __name__ == "__main__":
    main()
