#!/usr/bin/env python3
"""Write all test vectors and their index, or compare with what is there: `generate.py [--check]`.

Needs Python 3.11 and the package `cryptography`. Every vector is judged by the reference before it is written, so a
vector whose `expect` does not follow from the specification stops the program.
"""

import sys
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing in the tree but the vectors

from fleetcast_reference import (  # noqa: E402
    Refused, code_cases, manifest_cases, nack, nack_cases, packet, packet_cases, release, release_cases,
    schedule_cases, statement, statement_cases)
from fleetcast_reference.vector import Vector  # noqa: E402

HERE = Path(__file__).resolve().parent
LAYERS = ["packet", "statement", "fec", "geometry", "release", "session", "schedule", "nack"]
MODULES = [packet_cases, statement_cases, manifest_cases, code_cases, release_cases, schedule_cases, nack_cases]


def judge(vector: Vector, files: dict[str, Vector]) -> str:
    """`ok` or the code with which the reference refuses a vector."""
    trust = [release_cases.KEY.public]
    try:
        if vector.layer == "packet":
            packet.parse(vector.body)
        elif vector.layer == "nack":
            nack.parse(vector.body)
        elif vector.layer == "statement":
            keys = [bytes.fromhex(key) for key in vector.fields["trust"].split(",")]
            statement.accept(vector.body, keys, vector.fields["threshold"])
        elif vector.layer == "release":
            release.read_file(vector.body, trust)
        elif vector.layer == "session":
            context = files[vector.fields["release"]]
            if not hasattr(context, "read"):
                context.read = release.read_file(context.body, trust)
            for datagram in datagrams(vector):
                release.place(datagram, *context.read)
    except Refused as refused:
        return refused.code
    return "ok"


def datagrams(vector: Vector) -> list[bytes]:
    """The packets of a session vector: one, or a whole cycle with lengths."""
    if "packets" not in vector.fields:
        return [vector.body]
    result, rest = [], vector.body
    while rest:
        length = int.from_bytes(rest[:2], "big")
        result.append(rest[2 : 2 + length])
        rest = rest[2 + length :]
    assert len(result) == vector.fields["packets"]
    return result


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
    return {path: vector.encode() for path, vector in files.items()} | {"INDEX.md": index(vectors).encode()}


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
    print(f"{len(files) - 1} vectors, {sum(map(len, files.values()))} octets, {len(differ)} written, "
          f"{len(surplus)} removed")


if __name__ == "__main__":
    main()
