"""Vectors of the layer `statement`, third part: manifests judged under a root."""

import hashlib

from . import cbor
from .cbor import encode
from .roots import (
    A1, A2, A3, B1, CAMERA, CLASSES, O1, O2, OTHER, OTHER_VENDOR, R1, RELEASE, THIEF, grant, manifest_statement, role,
                    root,
    root_statement)
from .release import CLASS
from .statement import AADS, BEACON, MANIFEST, ROOT, cose, parse, protected, signed, statement, to_be_signed
from .statement_cases import component, manifest
from .vector import Vector, stream

BOOT, ROOTFS = component("boot", "boot"), component("rootfs", "rootfs")


def vector(name, expect, requirement, comment, trusted: dict, octets: bytes):
    fields = {"root": root_statement(trusted, R1).hex()}
    if expect == "ok":
        payload = parse(octets)[0]
        digest = hashlib.sha256(payload).hexdigest()
        fields |= {"manifest-digest": digest, "tsi": digest[:8]}
    return Vector("statement", f"{expect}-root-{name}", expect, requirement, comment, fields, octets)


def judged(name, expect, requirement, comment, grants, value, *keys, **context):
    return vector(name, expect, requirement, comment, root(grants=grants, **context), manifest_statement(value, *keys))


def good():
    def ok(name, requirement, comment, *arguments, **context):
        return judged(name, "ok", requirement, comment, *arguments, **context)

    one = [grant(role(1, A1))]
    yield ok("author", "K-3", "one author", one, manifest(), A1)
    yield ok("any-class", "K-4", "a grant without classes and targets", one,
             manifest(k5=[stream("class", 16)], k6=[component("a", "b")]), A1)
    both = [grant(role(1, A1), role(1, O1))]
    yield ok("author-and-operator", "K-3", "author and operator", both, manifest(), A1, O1)
    yield ok("operator-first", "K-3", "operator and author: the order of signatures says nothing", both, manifest(),
             O1, A1)
    thresholds = [grant(role(2, A1, A2, A3), role(2, O1, O2))]
    yield ok("thresholds", "K-3", "two of three authors, two of two operators", thresholds, manifest(), A3, O2, A1, O1)
    yield ok("strangers", "K-3 S-7", "signatures of keys that are in no role are passed over", both, manifest(), THIEF,
             O1, OTHER, A1)
    yield ok("class", "K-4", "a grant for the class of the manifest", [grant(role(1, A1), None, [CLASS])], manifest(),
             A1)
    yield ok("classes", "K-4", "both classes of the manifest are in the grant", [grant(role(1, A1), None, CLASSES)],
             manifest(k5=[CLASS, CAMERA]), A1)
    yield ok("target", "K-4", "a grant for the target of the manifest", [grant(role(1, A1), None, None, ["rootfs"])],
             manifest(), A1)
    yield ok("targets", "K-4", "a grant for more targets than the manifest has",
             [grant(role(1, A1), None, None, ["boot", "kernel", "rootfs"])], manifest(k6=[ROOTFS, BOOT]), A1)
    two = [grant(role(1, A1), None, [CAMERA]), grant(role(1, A2), None, [CLASS])]
    yield ok("second-grant", "K-4", "the second grant covers it", two, manifest(), A2)
    yield ok("other-grant-met-too", "K-4", "signed by the authors of both grants, one of which covers it", two,
             manifest(), A1, A2)
    yield ok("same-author-other-scope", "K-4", "one author of two grants, the second of which covers it",
             [grant(role(1, A1), None, None, ["boot"]), grant(role(1, A1), None, None, ["rootfs"])], manifest(), A1)
    yield ok("root-key-as-author", "K-3", "an author key that is in the root and beacon role too",
             [grant(role(1, R1))], manifest(), R1, beacon=role(1, R1))
    crossed = [grant(role(1, A1), role(1, O1), [CAMERA]), grant(role(1, O1), role(1, A1), [CLASS])]
    yield ok("key-in-two-roles", "K-3", "a key is author of one grant and operator of the other: it counts for each",
             crossed,
             manifest(), A1, O1)


def refused():
    def bad(code, name, requirement, comment, *arguments, **context):
        return judged(name, code, requirement, comment, *arguments, **context)

    one, both = [grant(role(1, A1))], [grant(role(1, A1), role(1, O1))]
    yield bad("threshold", "author-missing", "K-3", "the operator alone", both, manifest(), O1)
    yield bad("threshold", "operator-missing", "K-3", "the author alone", both, manifest(), A1)
    yield bad("threshold", "author-twice", "K-3", "the author twice, no operator", both, manifest(), A1, A1)
    thresholds = [grant(role(2, A1, A2, A3), role(2, O1, O2))]
    yield bad("threshold", "one-author", "K-3", "one of two authors, and both operators", thresholds, manifest(), A1,
              O1, O2)
    yield bad("threshold", "one-operator", "K-3", "two authors, and one of two operators", thresholds, manifest(), A1,
              A2, O1)
    yield bad("threshold", "same-author-twice", "K-3 S-7", "one of two authors twice", thresholds, manifest(), A1, A1,
              O1, O2)
    split = [grant(role(2, A1, A2)), grant(role(2, A2, A3))]
    yield bad("threshold", "across-grants", "K-3", "two grants, one of two authors of each: grants are not added up",
              split,
              manifest(), A1, A3)
    crossed = [grant(role(1, A1), role(1, O1)), grant(role(1, A2), role(1, O2))]
    yield bad("threshold", "crossed-grants", "K-3", "the author of one grant and the operator of another", crossed,
              manifest(), A1, O2)
    yield bad("threshold", "root-key", "K-3", "signed by the root key", one, manifest(), R1)
    yield bad("threshold", "beacon-key", "K-3", "signed by the beacon key", one, manifest(), B1)
    yield bad("threshold", "bare-key", "K-3", "signed by a key that is in no role", one, manifest(), RELEASE)
    yield bad("threshold", "before-scope", "K-3", "another vendor, and signed by no author", one,
              manifest(k4=OTHER_VENDOR), R1)
    payload = encode(manifest())
    for kind, what in ((ROOT, "root"), (BEACON, "beacon")):
        yield vector(f"signed-as-{what}", "threshold", "S-5", f"signed by the author as a {what}", root(grants=one),
                     statement(payload, signed(A1, payload, kind=kind)))
    header = protected(A1.public)
    octets = statement(payload, cose(header, A2.sign(to_be_signed(header, payload, AADS[MANIFEST]))))
    yield vector("kid-of-other", "threshold", "S-7", "signed by one author under the kid of the other",
                 root(grants=[grant(role(1, A1, A2))]), octets)

    yield bad("scope", "vendor", "K-4", "another vendor", one, manifest(k4=OTHER_VENDOR), A1)
    camera = [grant(role(1, A1), None, [CAMERA])]
    yield bad("scope", "class", "K-4", "a class that is not in the grant", camera, manifest(), A1)
    yield bad("scope", "one-class-of-two", "K-4", "two classes, one of which is not in the grant", camera,
              manifest(k5=[CAMERA, CLASS]), A1)
    boot = [grant(role(1, A1), None, None, ["boot"])]
    yield bad("scope", "target", "K-4", "a target that is not in the grant", boot, manifest(), A1)
    yield bad("scope", "one-target-of-two", "K-4", "two components, the target of one is not in the grant", boot,
              manifest(k6=[BOOT, ROOTFS]), A1)
    yield bad("scope", "name-for-target", "K-4", "a component whose name is in the grant, its target is not", boot,
              manifest(k6=[component("boot", "rootfs")]), A1)
    yield bad("scope", "target-prefix", "K-4", "a target that begins like the one in the grant", boot,
              manifest(k6=[component("a", "boots")]), A1)
    halves = [grant(role(1, A1), None, None, ["boot"]), grant(role(1, A2), None, None, ["rootfs"])]
    yield bad("scope", "two-halves", "K-4", "two grants cover one component each: none covers the manifest", halves,
              manifest(k6=[BOOT, ROOTFS]), A1, A2)
    yield bad("scope", "grant-not-met", "K-4", "the grant that covers it is not met, another one is",
              [grant(role(1, A1), None, [CAMERA]), grant(role(1, A2), role(1, O1), [CLASS])], manifest(), A1, A2)
    yield bad("range", "before-scope", "K-4", "sequence 0, and another vendor", one, manifest(k1=0, k4=OTHER_VENDOR),
              A1)
    unread = manifest(k0=2, k3=cbor.Raw(b"\xf9\x47\x00"))
    yield bad("structure-version", "2-not-strict", "M-1",
              "structure version 2, and a float behind it: not read further", one, unread, A1)
    yield bad("schema", "beacon-shape", "S-9", "the payload has the keys of a beacon", one,
              {0: 1, 1: manifest()[4], 2: 1, 3: 2, 4: 1, 5: [[CLASS, 1, bytes(32), 0]]}, A1)


def cases():
    yield from good()
    yield from refused()
