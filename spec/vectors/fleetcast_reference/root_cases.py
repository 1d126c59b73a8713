"""Vectors of the layer `root`."""

import hashlib
import struct

from . import cbor, curve
from .cbor import Pairs, Raw, encode
from .roots import (
    A1, A2, A3, B1, CLASSES, ISSUED, O1, O2, OTHER, OTHER_VENDOR, R1, R2, R3, R4, R5, RELEASE, THIEF, CAMERA, grant,
    role, root, root_statement)
from .statement import EDDSA, MANIFEST, ROOT, cose, parse, protected, signed, statement, to_be_signed
from .vector import Vector, stream

TWO_OF_THREE = role(2, R1, R2, R3)
FIRST = root(root=TWO_OF_THREE)
FIRST_STATEMENT = root_statement(FIRST, R1, R2)
SECOND = root(2, root=TWO_OF_THREE)


def anchored(octets: bytes) -> dict:
    """Header lines of a device that trusts this root."""
    return {"root": octets.hex()}


def bare(*keys, threshold=1) -> dict:
    """Header lines of a device that trusts these keys."""
    return {"trust": ",".join(key.public.hex() for key in keys), "threshold": threshold}


def vector(name, expect, requirement, comment, octets, anchor=None):
    fields = anchored(FIRST_STATEMENT) if anchor is None else dict(anchor)
    if expect == "ok":
        payload = parse(octets)[0]
        value = cbor.decode(payload)
        fields |= {"version": value[1], "vendor": value[2].hex(), "issued": value[3],
                   "payload-digest": hashlib.sha256(payload).hexdigest()}
    return Vector("root", f"{expect}-{name}", expect, requirement, comment, fields, octets)


def good():
    def ok(name, requirement, comment, value, *keys, anchor=None):
        return vector(name, "ok", requirement, comment, root_statement(value, *keys), anchor)

    yield ok("same-roles", "K-6", "root 2 with the roles of root 1", SECOND, R1, R2)
    yield ok("other-two", "K-6 S-7", "signed by another two of the three", SECOND, R3, R2)
    yield ok("new-keys", "K-6", "all root keys replaced: two old and two new signatures",
             root(2, root=role(2, R4, R5)), R1, R2, R4, R5)
    yield ok("shared-key", "K-6", "one key in the old and the new root role: its signature counts for both",
             root(2, root=role(2, R2, R4)), R1, R2, R4)
    yield ok("lower-threshold", "K-6", "the new root role has threshold 1: the old threshold still counts",
             root(2, root=role(1, R1)), R1, R3)
    yield ok("earlier-date", "K-6 K-11", "issued before root 1", root(2, root=TWO_OF_THREE, issued=ISSUED - 1), R1, R2)
    yield ok("date-0", "K-11 B-10", "issued at 0", root(2, root=TWO_OF_THREE, issued=0), R1, R2)
    yield ok("far-date", "K-2 K-11 B-10", "issued at 2^40-1", root(2, root=TWO_OF_THREE, issued=(1 << 40) - 1), R1, R2)
    yield ok("no-beacon", "K-1", "without a beacon role", root(2, root=TWO_OF_THREE, beacon=None), R1, R2)
    yield ok("one-key", "K-1", "one key in all roles", root(2, role(1, R1), [grant(role(1, R1))], role(1, R1)), R1, R2)
    many = grant(role(2, A1, A2, A3), role(1, O1, O2), CLASSES, ["boot", "rootfs"])
    yield ok("grants", "K-1", "an unlimited grant, and one with operator, classes and targets",
             root(2, TWO_OF_THREE, [grant(role(1, A1)), many]), R1, R2)
    yield ok("key-across-grants", "K-2 K-3", "author of one grant and operator of another",
             root(2, TWO_OF_THREE, [grant(role(1, A1), role(1, O1)), grant(role(1, O1), role(1, A1))]), R1, R2)
    many_keys = _many(30)
    yield ok("32-keys", "K-2", "32 keys, and a threshold of 8", root(2, role(8, *many_keys)), *many_keys[:8],
             anchor=anchored(root_statement(root(root=role(2, *many_keys[:8])), *many_keys[:2])))
    classes = sorted(stream(f"class {i}", 16) for i in range(8))
    most = [grant(role(1, A1), None, classes, [f"t{i}" for i in range(8)])] * 8
    yield ok("8-grants", "K-2", "8 grants of 8 classes and 8 targets each", root(2, TWO_OF_THREE, most), R1, R2)
    yield ok("bare-keys", "K-8", "root 1 after bare keys", root(), RELEASE, R1, anchor=bare(RELEASE))
    yield ok("bare-keys-two", "K-8", "root 1 after bare keys with threshold 2", root(), RELEASE, OTHER, R1,
             anchor=bare(RELEASE, OTHER, threshold=2))
    yield ok("bare-keys-other-vendor", "K-8", "bare keys are for any vendor: comparing is for the device",
             root(vendor=OTHER_VENDOR), RELEASE, R1, anchor=bare(RELEASE))
    yield ok("version-65535", "K-2", "the highest version", root(65535), R1,
             anchor=anchored(root_statement(root(65534), R1)))
    payload = encode(SECOND)
    mixed = statement(payload, signed(R1, payload, EDDSA, ROOT), signed(THIEF, payload, kind=ROOT),
                      signed(R2, payload, kind=ROOT))
    yield vector("mixed", "ok", "S-3 S-7", "one signature with alg -8, and one of a key that is in no root", mixed)
    yield ok("file", "K-10 X-3", "as a root file", FIRST, R1, R2, anchor={})
    yield ok("file-version-9", "K-10", "a root file of any version", root(9), R1, anchor={})


def _many(count: int) -> list:
    return [curve.Key(f"root-{i}") for i in range(11, 11 + count)]


def refused():
    def bad(code, name, requirement, comment, value, *keys, anchor=None):
        return vector(name, code, requirement, comment, root_statement(value, *(keys or (R1, R2))), anchor)

    new = root(2, root=role(2, R4, R5))
    yield bad("threshold", "old-only", "K-6", "the old threshold alone", new, R1, R2)
    yield bad("threshold", "new-only", "K-6", "the new threshold alone", new, R4, R5)
    yield bad("threshold", "one-old", "K-6", "one old signature of two, and the new threshold", new, R1, R4, R5)
    yield bad("threshold", "one-new", "K-6", "the old threshold, and one new signature of two", new, R1, R2, R4)
    yield bad("threshold", "same-key-twice", "S-7 K-6", "one key twice", SECOND, R1, R1)
    yield bad("threshold", "release-keys", "K-6", "signed by author and beacon key", SECOND, A1, B1)
    yield bad("threshold", "thief", "K-6", "signed by keys that only the offered root knows",
              root(2, root=role(1, THIEF)), THIEF)
    yield bad("threshold", "raised", "K-6", "the new root role asks for three, two have signed",
              root(2, root=role(3, R1, R2, R3)), R1, R2)
    payload = encode(SECOND)
    yield vector("manifest-signature", "threshold", "S-5", "signed as a manifest",
                 statement(payload, signed(R1, payload, kind=MANIFEST), signed(R2, payload, kind=MANIFEST)))
    header = protected(R1.public)
    yield vector("other-text", "threshold", "S-5", "signed over fleetcast-root-2", statement(payload, *[
        cose(protected(key.public), key.sign(to_be_signed(protected(key.public), payload, b"fleetcast-root-2")))
        for key in (R1, R2)]))
    yield vector("kid-of-other", "threshold", "S-7", "the second signature stands under the kid of the first key",
                 statement(payload, signed(R1, payload, kind=ROOT),
                           cose(header, R2.sign(to_be_signed(header, payload, b"fleetcast-root-1")))))
    yield bad("threshold", "not-decoded", "S-8 K-6", "no strict CBOR, and signed by the new keys alone",
              encode(new) + b"\0", R4, R5)
    yield bad("threshold", "bare-keys", "K-8", "root 1 after bare keys, signed by its own key alone", root(), R1,
              anchor=bare(RELEASE))
    yield bad("threshold", "bare-keys-one", "K-8", "root 1 after bare keys with threshold 2, one of them has signed",
              root(),
              RELEASE, R1, anchor=bare(RELEASE, OTHER, threshold=2))
    yield bad("threshold", "file", "K-10", "a root file that one of two root keys has signed", FIRST, R1, anchor={})
    yield vector("file-trailing", "template", "X-3 S-2", "a root file with a line end after the statement",
                 root_statement(FIRST, R1, R2) + b"\n", {})
    yield vector("file-unsigned", "template", "K-10 X-4", "an unsigned root file", statement(encode(FIRST)), {})
    yield vector("unsigned", "template", "S-1 X-4", "no signature", statement(payload))
    yield vector("trailing", "template", "S-2", "one octet after the statement", root_statement(SECOND, R1, R2) + b"\0")

    for version, what in ((1, "the version that the device has"), (3, "a version left out"),
                          (65535, "the highest version")):
        yield bad("root-version", str(version), "K-6", what, root(version, root=TWO_OF_THREE))
    yield bad("root-version", "before-vendor", "K-6", "version 3, and another vendor",
              root(3, root=TWO_OF_THREE, vendor=OTHER_VENDOR))
    yield bad("root-version", "before-own-role", "K-6", "version 3, and its own root role not met",
              root(3, root=role(2, R4, R5)))
    yield bad("root-version", "bare-keys-2", "K-8", "root 2 after bare keys", root(2), RELEASE, R1,
              anchor=bare(RELEASE))
    yield bad("scope", "vendor", "K-6", "another vendor", root(2, root=TWO_OF_THREE, vendor=OTHER_VENDOR))
    yield bad("scope", "before-own-role", "K-6", "another vendor, and its own root role not met",
              root(2, root=role(2, R4, R5), vendor=OTHER_VENDOR))


def payloads():
    whole, pairs = encode(SECOND), sorted(SECOND.items())

    def bad(code, name, requirement, comment, value):
        return vector(name, code, requirement, comment, root_statement(value, R1, R2))

    def changed(**changes):
        return root(2, root=TWO_OF_THREE, **changes)

    yield bad("cbor", "trailing", "S-9", "one octet after the root", whole + b"\0")
    yield bad("cbor", "unsorted", "S-9", "key 2 before key 1",
              Raw(encode(Pairs([pairs[0], pairs[2], pairs[1], *pairs[3:]]))))
    yield bad("cbor", "long-version", "S-9", "version 2 in two octets", changed(k1=Raw(b"\x18\x02")))
    yield bad("cbor", "float", "S-9", "issued as a double float", changed(k3=Raw(b"\xfb" + struct.pack(">d", ISSUED))))
    yield bad("cbor", "tag", "S-9", "issued under tag 1", changed(k3=Raw(b"\xc1" + encode(ISSUED))))
    yield bad("cbor", "depth-5", "S-9", "five containers in each other", changed(k6=[{0: [1, []]}]))
    yield bad("structure-version", "2", "M-1", "structure version 2", changed(k0=2))
    yield bad("structure-version", "2-not-strict", "M-1",
              "structure version 2, and a float behind it: not read further",
              changed(k0=2, k3=Raw(b"\xf9\x47\x00")))
    yield bad("schema", "unknown-key", "S-9", "key 8", changed(k8=0))
    for key in range(7):
        yield bad("schema", f"missing-{key}", "S-9", f"no key {key}", {k: v for k, v in SECOND.items() if k != key})
    yield bad("schema", "manifest", "S-5 S-9", "a payload of another shape", {0: 1, 1: 2})
    yield bad("schema", "array", "S-9", "the values as an array", list(SECOND.values()))
    yield bad("schema", "version-negative", "S-9", "version -1", changed(k1=-1))
    yield bad("schema", "vendor-text", "S-9", "text for bytes: vendor", changed(k2="0123456789abcdef"))
    yield bad("schema", "issued-text", "S-9", "text for a uint: issued", changed(k3="2026-01-01"))
    yield bad("schema", "key-text", "S-9", "text for bytes: a key", changed(k4=["a" * 32]))
    yield bad("schema", "keys-bytes", "S-9", "one key without its array", changed(k4=R1.public))
    yield bad("schema", "role-one", "K-2", "a role with one element", changed(k5=[2]))
    yield bad("schema", "role-three", "K-2", "a role with three elements", changed(k5=[*SECOND[5], 0]))
    yield bad("schema", "role-keys", "K-1", "a role with an array of keys", changed(k5=[1, [0]]))
    yield bad("schema", "role-map", "K-1", "a map for an array: a role", changed(k5=dict(enumerate(SECOND[5]))))
    yield bad("schema", "role-negative", "K-1", "a threshold of -1", changed(k5=[-1, SECOND[5][1]]))
    yield bad("schema", "beacon-uint", "K-1", "a uint for a role: beacon", changed(k7=1))
    author = SECOND[6][0]
    yield bad("schema", "grant-array", "K-1", "an array for a map: a grant", changed(k6=[[author[0]]]))
    yield bad("schema", "grant-no-author", "K-1", "a grant without author", changed(k6=[{1: author[0]}]))
    yield bad("schema", "grant-unknown-key", "S-9", "key 4 of a grant", changed(k6=[author | {4: 0}]))
    yield bad("schema", "grant-class-text", "K-1", "text for bytes: a class",
              changed(k6=[author | {2: ["0123456789abcdef"]}]))
    yield bad("schema", "grant-target-bytes", "K-1", "bytes for text: a target",
              changed(k6=[author | {3: [b"rootfs"]}]))
    yield bad("schema", "grants-map", "K-1", "one grant without its array", changed(k6=author))

    def ranged(name, comment, value, requirement="K-2"):
        return bad("range", name, requirement, comment, value)

    yield ranged("version-0", "version 0", changed(k1=0))
    yield ranged("version-65536", "version 65536", changed(k1=65536))
    yield ranged("version-65538", "version 65538, which is 2 in its low 16 bits", changed(k1=65538))
    yield ranged("vendor-15", "a vendor of 15 octets", changed(k2=SECOND[2][:15]))
    yield ranged("issued-2-40", "issued at 2^40", changed(k3=1 << 40))
    yield ranged("issued-max", "issued at 2^64-1", changed(k3=(1 << 64) - 1))
    keys, count = SECOND[4], len(SECOND[4])
    yield ranged("keys-0", "no key", changed(k4=[]))
    yield ranged("keys-33", "33 keys", root(2, role(2, R1, R2, *_many(29))))
    yield ranged("keys-order", "two keys in each other's place", changed(k4=[keys[1], keys[0], *keys[2:]]))
    twice = [keys[0], *keys]
    yield ranged("keys-twice", "a key twice",
                 changed(k4=twice, k5=[2, (1 << count + 1) - 1], k6=[{0: [1, (1 << count + 1) - 1]}]))
    yield ranged("key-31", "a key of 31 octets", changed(k4=[keys[0][:31], *keys[1:]]))
    yield ranged("key-33", "a key of 33 octets", changed(k4=[*keys[:-1], keys[-1] + b"\0"]))
    yield ranged("key-unused", "a key in no role", changed(spare=[THIEF]))
    weak = curve.compress(curve.torsion_point())
    off_curve = next(o for o in (stream(f"r {i}", 32) for i in range(64)) if curve.decompress(o) is None)
    not_canonical = next(o for o in ((curve.P + n).to_bytes(32, "little") for n in range(2, 19)) if _is_key_modulo_p(o))
    for name, octets, what in (("weak", weak, "of small order"), ("off-curve", off_curve, "that is no point"),
                               ("not-canonical", not_canonical, "that is not canonical")):
        with_it = sorted([*keys, octets])
        yield ranged(f"key-{name}", f"a key {what}, in the beacon role",
                     _with_keys(with_it, octets), "K-2 S-6")
    everything = (1 << count) - 1
    yield ranged("threshold-0", "a threshold of 0", changed(k5=[0, SECOND[5][1]]))
    yield ranged("threshold-above", "a threshold of 4 for three keys", changed(k5=[4, SECOND[5][1]]))
    yield ranged("threshold-9", "a threshold of 9 for nine keys", root(2, role(9, R1, R2, *_many(7))))
    yield ranged("threshold-257", "a threshold of 257, which is 1 in its low octet", changed(k5=[257, SECOND[5][1]]))
    yield ranged("role-no-keys", "a role without keys", changed(k7=[1, 0], k5=[2, everything]))
    yield ranged("role-bit", "a bit without a key", changed(k5=[2, SECOND[5][1] | 1 << count]))
    yield ranged("role-bit-32", "the bit of value 2^32", changed(k5=[2, SECOND[5][1] | 1 << 32]))
    yield ranged("role-bit-63", "the bit of value 2^63", changed(k5=[2, SECOND[5][1] | 1 << 63]))
    yield ranged("beacon-threshold", "a beacon role with threshold 2 for one key", changed(k7=[2, SECOND[7][1]]))
    yield ranged("grants-0", "no grant", changed(k6=[], k5=[2, everything]))
    yield ranged("grants-9", "nine grants", changed(k6=[author] * 9))
    yield ranged("operator-shares", "a key in both author and operator of a grant",
                 root(2, TWO_OF_THREE, [grant(role(1, A1, A2), role(1, A2, O1))]))
    yield ranged("author-threshold", "an author threshold of 2 for one key", changed(k6=[{0: [2, author[0][1]]}]))
    yield ranged("operator-threshold", "an operator threshold of 0",
                 changed(k6=[{0: author[0], 1: [0, SECOND[7][1]]}]))
    yield ranged("classes-0", "a grant for no class", changed(k6=[author | {2: []}]))
    yield ranged("classes-9", "a grant for nine classes",
                 changed(k6=[author | {2: sorted(stream(f"class {i}", 16) for i in range(9))}]))
    yield ranged("classes-order", "classes that do not ascend", changed(k6=[author | {2: CLASSES[::-1]}]))
    yield ranged("classes-twice", "a class twice", changed(k6=[author | {2: [CAMERA, CAMERA]}]))
    yield ranged("class-17", "a class of 17 octets", changed(k6=[author | {2: [CAMERA + b"\0"]}]))
    yield ranged("targets-0", "a grant for no target", changed(k6=[author | {3: []}]))
    yield ranged("targets-9", "a grant for nine targets", changed(k6=[author | {3: [f"t{i}" for i in range(9)]}]))
    yield ranged("targets-order", "targets that do not ascend", changed(k6=[author | {3: ["rootfs", "boot"]}]))
    yield ranged("targets-prefix", "a target before its own beginning", changed(k6=[author | {3: ["boots", "boot"]}]))
    yield ranged("targets-twice", "a target twice", changed(k6=[author | {3: ["boot", "boot"]}]))
    yield ranged("target-slash", "a target with a slash", changed(k6=[author | {3: ["a/b"]}]), "K-2 M-2")
    yield ranged("target-empty", "an empty target", changed(k6=[author | {3: [""]}]), "K-2 M-2")


def _is_key_modulo_p(octets: bytes) -> bool:
    """Whether the octets name a good key to who does not mind that y is not below p."""
    point = curve.decompress((int.from_bytes(octets, "little") % curve.P).to_bytes(32, "little"))
    return point is not None and not curve.small_order(point)


def _with_keys(keys: list[bytes], beacon: bytes) -> dict:
    """The second root with these keys, `beacon` in the beacon role."""
    names = {key.public: key for key in (R1, R2, R3, A1, B1)}

    def bits(*members) -> int:
        return sum(1 << keys.index(member) for member in members)

    value = root(2, root=TWO_OF_THREE, k4=keys, k5=[2, bits(R1.public, R2.public, R3.public)],
                 k6=[{0: [1, bits(A1.public)]}], k7=[1, bits(B1.public, beacon)])
    assert set(names) | {beacon} == set(keys)
    return value


def cases():
    yield from good()
    yield from refused()
    yield from payloads()
