"""Vectors of the layers `beacon` and `beacon-policy`."""

import hashlib
import struct

from .cbor import Pairs, Raw, decode, encode
from .release import CLASS
from .roots import (
    A1, B1, B2, CAMERA, CLASSES, DAY, ISSUED, OTHER_VENDOR, R1, RELEASE, THIEF, beacon, beacon_statement, entry,
    manifest_statement, role, root, root_statement)
from .statement import MANIFEST, ROOT, cose, parse, protected, signed, statement
from .statement_cases import manifest
from .vector import Vector, stream

FIRST = root_statement(root(beacon=role(1, B1, B2)), R1)
ANCHOR = {"root": FIRST.hex()}


def vector(name, expect, requirement, comment, octets, anchor=None, newest=None):
    fields = dict(ANCHOR if anchor is None else anchor)
    if newest is not None:
        fields["newest"] = newest.hex()
    if expect == "ok":
        value = decode(parse(octets)[0])
        fields |= {"issued": value[2], "until": value[3], "newest-root": value[4],
                   "current": [f"{uuid.hex()},{sequence},{digest.hex()},{security}" for uuid, sequence, digest,
                               security in value[5]]}
    return Vector("beacon", f"{expect}-{name}", expect, requirement, comment, fields, octets)


def good():
    def ok(name, requirement, comment, value, *keys, **context):
        return vector(name, "ok", requirement, comment, beacon_statement(value, *keys), **context)

    yield ok("minimal", "B-1 K-5", "one entry", beacon())
    yield ok("other-key", "K-5", "signed by the other of two beacon keys", beacon(), B2)
    two = {"root": root_statement(root(beacon=role(2, B1, B2)), R1).hex()}
    yield ok("two-keys", "K-5", "a beacon role of threshold 2", beacon(), B1, B2, anchor=two)
    sixteen = sorted([entry(i, stream(f"digest {i}", 32), i, uuid) for uuid in CLASSES for i in range(1, 9)],
                     key=lambda e: e[:2])
    yield ok("16-entries", "B-1 B-2", "eight entries for each of two classes", beacon(entries=sixteen))
    yield ok("least-values", "B-2", "every number as small as it may be",
             beacon(0, 1, 1, [entry(1, bytes(32), 0)]))
    yield ok("greatest-values", "B-2", "every number as large as it may be",
             beacon((1 << 40) - 1 - 90 * DAY, 90 * DAY, 65535, [entry((1 << 63) - 1, b"\xff" * 32, (1 << 32) - 1)]))
    yield ok("older-root", "B-1", "names root 1 to a device that trusts root 3", beacon(),
             anchor={"root": root_statement(root(3), R1).hex()})
    yield ok("later-root", "B-7", "names root 9 to a device that trusts root 1: it is taken, and the device is behind",
             beacon(newest_root=9))
    yield ok("before-root", "B-3 K-11", "issued before the root: only beacons are compared", beacon(ISSUED - DAY))
    yield ok("any-class", "B-4", "an entry for some other class", beacon(entries=[entry(uuid=stream("class", 16))]))
    newest = beacon_statement(beacon())
    yield ok("later", "B-3", "one second later than the newest", beacon(ISSUED + DAY + 1), newest=newest)
    yield ok("later-shorter", "B-3", "issued later, but with an earlier until", beacon(ISSUED + DAY + 1, 60),
             newest=newest)
    yield ok("later-lower", "B-3", "issued later, with a lower sequence and root: a beacon key may correct itself",
             beacon(ISSUED + DAY + 1, entries=[entry(3)]), newest=beacon_statement(beacon(newest_root=2)))


def refused():
    def bad(code, name, requirement, comment, value, *keys, **context):
        return vector(name, code, requirement, comment, beacon_statement(value, *keys), **context)

    newest = beacon_statement(beacon())
    yield bad("duplicate", "same", "B-3", "the newest itself", beacon(), newest=newest)
    yield bad("duplicate", "other-signature", "B-3", "the payload of the newest, signed by another key", beacon(), B2,
              newest=newest)
    for name, comment, junk in (
            ("junk-signature", "the payload of the newest in a signature that is none, under the kid of a beacon key",
             [cose(protected(B2.public), stream("junk", 64))]),
            ("junk-signatures", "the same in eight of them, the last four under kids of no key",
             [cose(protected(key), stream("junk", 64)) for key in [B1.public, B2.public] * 2
              + [stream(f"key {i}", 32) for i in range(4)]]),
            ("junk-of-nobody", "the same under the kid of no key alone",
             [cose(protected(stream("key", 32)), stream("junk", 64))])):
        yield vector(name, "duplicate", "B-3", comment, statement(encode(beacon()), *junk), newest=newest)
    yield bad("beacon-replay", "earlier", "B-3", "one second earlier than the newest", beacon(ISSUED + DAY - 1),
              newest=newest)
    yield bad("beacon-replay", "earlier-longer", "B-3", "issued earlier, but with a later until",
              beacon(ISSUED + DAY - 1, 30 * DAY), newest=newest)
    yield bad("beacon-replay", "same-time", "B-3", "issued in the same second, another payload",
              beacon(entries=[entry(9)]), newest=newest)
    yield bad("threshold", "earlier-and-unsigned", "S-8 B-3", "earlier than the newest, and signed by no beacon key",
              beacon(ISSUED), THIEF, newest=newest)
    two = {"root": root_statement(root(beacon=role(2, B1, B2)), R1).hex()}
    yield bad("threshold", "one-of-two", "K-5", "one of two beacon keys", beacon(), B1, anchor=two)
    yield bad("threshold", "same-key-twice", "K-5 S-7", "one of two beacon keys twice", beacon(), B1, B1, anchor=two)
    yield bad("threshold", "author", "K-5", "signed by the author", beacon(), A1)
    yield bad("threshold", "root-key", "K-5", "signed by the root key", beacon(), R1)
    yield bad("threshold", "no-role", "K-5", "the root has no beacon role", beacon(),
              anchor={"root": root_statement(root(beacon=None), R1).hex()})
    yield bad("threshold", "bare-keys", "K-5 K-8", "bare keys have no beacon role", beacon(), RELEASE,
              anchor={"trust": RELEASE.public.hex(), "threshold": 1})
    payload = encode(beacon())
    for kind, what in ((MANIFEST, "manifest"), (ROOT, "root")):
        yield vector(f"signed-as-{what}", "threshold", "S-5", f"signed by the beacon key as a {what}",
                     statement(payload, signed(B1, payload, kind=kind)))
    yield vector("unsigned", "template", "S-1 X-4", "no signature", statement(payload))
    yield bad("scope", "vendor", "K-5", "another vendor", beacon(k1=OTHER_VENDOR))

    whole, pairs = encode(beacon()), sorted(beacon().items())
    yield bad("cbor", "trailing", "S-9", "one octet after the beacon", whole + b"\0")
    yield bad("cbor", "unsorted", "S-9", "key 2 before key 1",
              Raw(encode(Pairs([pairs[0], pairs[2], pairs[1], *pairs[3:]]))))
    yield bad("cbor", "float", "S-9", "until as a double float",
              beacon(k3=Raw(b"\xfb" + struct.pack(">d", ISSUED + 2 * DAY))))
    yield bad("structure-version", "2", "M-1", "structure version 2", beacon(k0=2, k9=0))
    yield bad("schema", "unknown-key", "S-9", "key 6", beacon(k6=0))
    for key in range(6):
        yield bad("schema", f"missing-{key}", "S-9", f"no key {key}", {k: v for k, v in beacon().items() if k != key})
    yield bad("schema", "issued-negative", "S-9", "issued at -1", beacon(k2=-1))
    yield bad("schema", "vendor-text", "S-9", "text for bytes: vendor", beacon(k1="0123456789abcdef"))
    yield bad("schema", "entry-three", "B-2", "an entry with three elements", beacon(k5=[entry()[:3]]))
    yield bad("schema", "entry-five", "B-2", "an entry with five elements", beacon(k5=[[*entry(), 0]]))
    yield bad("schema", "entry-map", "B-2", "a map for an array: an entry", beacon(k5=[dict(enumerate(entry()))]))
    yield bad("schema", "entry-class-text", "B-2", "text for bytes: a class",
              beacon(k5=[["0123456789abcdef", *entry()[1:]]]))
    yield bad("schema", "current-entry", "B-2", "an entry without its array", beacon(k5=entry()))

    def ranged(name, comment, value):
        return bad("range", name, "B-2", comment, value)

    yield ranged("issued-2-40", "issued at 2^40", beacon(1 << 40))
    yield ranged("until-2-40", "until 2^40", beacon((1 << 40) - 1, 1))
    yield ranged("until-is-issued", "until is issued", beacon(validity=0))
    yield ranged("until-below", "until is below issued", beacon(validity=-1))
    yield ranged("validity", "90 days and a second", beacon(validity=90 * DAY + 1))
    yield ranged("validity-max", "until is 2^64-1", beacon(k3=(1 << 64) - 1))
    yield ranged("vendor-17", "a vendor of 17 octets", beacon(k1=beacon()[1] + b"\0"))
    yield ranged("root-0", "newest root 0", beacon(newest_root=0))
    yield ranged("root-65536", "newest root 65536", beacon(newest_root=65536))
    yield ranged("current-0", "no entry", beacon(k5=[]))
    yield ranged("current-17", "17 entries", beacon(k5=[entry(i) for i in range(1, 18)]))
    yield ranged("sequence-0", "sequence 0", beacon(entries=[entry(0)]))
    yield ranged("sequence-2-63", "sequence 2^63", beacon(entries=[entry(1 << 63)]))
    yield ranged("security-version-2-32", "security version 2^32", beacon(entries=[entry(security=1 << 32)]))
    yield ranged("class-15", "a class of 15 octets", beacon(entries=[entry(uuid=CLASS[:15])]))
    yield ranged("digest-31", "a digest of 31 octets", beacon(entries=[entry(digest=bytes(31))]))
    yield ranged("order-sequence", "sequences of one class that do not ascend", beacon(entries=[entry(8), entry(7)]))
    yield ranged("order-class", "classes that do not ascend",
                 beacon(entries=[entry(7, uuid=CLASSES[1]), entry(8, uuid=CLASSES[0])]))
    yield ranged("same-sequence", "one class and sequence twice, with two digests",
                 beacon(entries=[entry(7), entry(7, b"\1" * 32)]))


def policies():
    def policy(code, name, comment, entries, sequence=7, security=1, classes=(CLASS,), requirement="B-4 M-4"):
        value = manifest(k1=sequence, k2=security, k5=[CLASS, CAMERA])
        digest = hashlib.sha256(encode(value)).digest()
        raw = [entry(s, digest if own else stream(f"digest {s}", 32), floor, uuid) for s, own, floor, uuid in entries]
        octets = beacon_statement(beacon(entries=sorted(raw, key=lambda e: e[:2])))
        fields = ANCHOR | {"manifest": manifest_statement(value, A1).hex(), "class": [uuid.hex() for uuid in classes]}
        return Vector("beacon-policy", f"{code}-{name}", code, requirement, comment, fields, octets)

    def other(sequence, floor=1, uuid=CLASS):
        return sequence, False, floor, uuid

    def own(sequence=7, floor=1, uuid=CLASS):
        return sequence, True, floor, uuid

    yield policy("ok", "current", "the release that is current", [own()])
    yield policy("ok", "above", "above what is current", [other(6)])
    yield policy("ok", "far-above", "far above what is current: far-jump looks at the installed release", [other(1)],
                 1 << 40)
    yield policy("ok", "stepping-stone", "the lower of two current releases", [own(), other(9)])
    yield policy("ok", "stepping-stone-security", "the lower of two current releases, with a lower security version",
                 [own(), other(9, 5)])
    yield policy("ok", "highest-of-two", "the higher of two current releases", [other(3), own()])
    yield policy("ok", "no-entry", "no entry for the device's class", [other(9, 5, CAMERA)])
    yield policy("ok", "second-class", "current for the second of the device's classes", [own(7, 1, CAMERA), other(9)],
                 classes=(CLASS, CAMERA))
    yield policy("ok", "above-security-same", "above what is current, with the same security version", [other(6, 1)])
    yield policy("superseded", "below", "below what is current", [other(8)])
    yield policy("superseded", "between", "between two current releases", [other(3), other(9)])
    yield policy("superseded", "below-all", "below two current releases", [other(8), other(9)])
    yield policy("superseded", "second-class", "below what is current for the second of the device's classes",
                 [other(6), other(9, 1, CAMERA)], classes=(CLASS, CAMERA))
    yield policy("superseded", "current-for-others", "current for a class that is not the device's",
                 [own(7, 1, CAMERA), other(9)])
    yield policy("equivocation", "same", "the sequence of what is current, with another digest", [other(7)])
    yield policy("equivocation", "lower",
                 "the sequence of the lower of two current releases: this comes before superseded",
                 [other(7), other(9)])
    yield policy("security-version", "above", "above what is current, with a lower security version", [other(6, 2)])
    yield policy("security-version", "highest", "the highest security version of all entries counts",
                 [other(5, 3), other(6, 1)], security=2)
    yield policy("security-version", "below", "below what is current, with a lower security version: this comes first",
                 [other(9, 2)])
    yield policy("security-version", "same",
                 "the sequence of what is current, with another digest and a lower security version: "
                 "this comes first", [other(7, 2)])
    yield policy("ok", "security-for-others", "a higher security version for a class that is not the device's",
                 [other(6, 1), other(5, 9, CAMERA)])


def cases():
    yield from good()
    yield from refused()
    yield from policies()
