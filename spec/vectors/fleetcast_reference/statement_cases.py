"""Vectors of the layer `statement`, first half: good ones, and those refused for their envelope or signatures."""

import hashlib

from . import cbor, curve
from .curve import L, Key
from .release import CLASS, VENDOR
from .statement import AADS, BEACON, EDDSA, ROOT, cose, kid, protected, signed, statement, to_be_signed
from .vector import Vector, flip, stream

RELEASE, OTHER = Key("release"), Key("other")


def component(name="rootfs", target="rootfs", **changes) -> dict:
    """A component map; `changes` are `k0` to `k10`."""
    base = {0: name, 1: target, 2: 1000, 3: stream(f"sha256 {name}", 32), 4: 0, 5: 1, 6: 64, 7: 8, 8: 100, 9: 16,
            10: stream(f"cap {name}", 16)}
    return base | {int(key[1:]): value for key, value in changes.items()}


def manifest(**changes) -> dict:
    """A manifest map; `changes` are `k0` to `k9`."""
    base = {0: 1, 1: 7, 2: 1, 3: "1.4.0", 4: VENDOR, 5: [CLASS], 6: [component()]}
    return base | {int(key[1:]): value for key, value in changes.items()}


def vector(name, expect, requirement, comment, octets, trust=(RELEASE.public,), threshold=1, payload=b""):
    fields = {"trust": ",".join(key.hex() for key in trust), "threshold": threshold}
    if expect == "ok":
        digest = hashlib.sha256(payload).hexdigest()
        fields |= {"manifest-digest": digest, "tsi": digest[:8]}
    return Vector("statement", f"{expect}-{name}", expect, requirement, comment, fields, octets)


def good():
    def ok(name, requirement, comment, value, *signatures, **context):
        payload = cbor.encode(value)
        octets = statement(payload, *(make(payload) for make in signatures or [release]))
        return vector(name, "ok", requirement, comment, octets, payload=payload, **context)

    def release(payload):
        return signed(RELEASE, payload)

    def other(payload):
        return signed(OTHER, payload)

    def unknown(number):
        return lambda payload: cose(protected(stream(f"key {number}", 32)), stream(f"signature {number}", 64))

    both = (RELEASE.public, OTHER.public)
    names = ["boot", "kernel", "rootfs", "modem", "data", "fpga", "ui", "locale"]
    classes = [stream(f"class {i}", 16) for i in range(8)]
    yield ok("minimal", "V-3 S-1 S-7", "one class, one component, no from", manifest())
    full = manifest(k5=classes, k6=[component(name, name) for name in names], k7=[3, 6])
    yield ok("waves", "M-10", "eight waves, up to the largest values, without hardware",
             manifest(k9=[[i, i] for i in range(1, 8)] + [[1000, (1 << 40) - 1]]))
    yield ok("hardware", "M-9", "one hardware revision, without from or waves", manifest(k8=[3, 3]))
    yield ok("from-hardware-waves", "M-9 M-10", "all optional keys",
             manifest(k7=[3, 6], k8=[0, 2], k9=[[10, 5], [100, 6]]))
    yield ok("full", "S-1 S-9", "eight classes, eight components and from, in one packet of 1,232 octets", full)
    yield ok("alg-8", "S-3", "alg is -8", manifest(), lambda payload: signed(RELEASE, payload, EDDSA))
    yield ok("two-of-three", "S-7", "two valid signatures of the three; the other has an unknown key and is junk",
             manifest(), release, unknown(0), other, trust=both, threshold=2)
    yield ok("two-keys", "S-7", "threshold 2, two keys, one signature each", manifest(), release, other, trust=both,
             threshold=2)
    yield ok("mixed-alg", "S-3 S-7", "threshold 2, one signature with alg -19 and one with -8", manifest(), release,
             lambda payload: signed(OTHER, payload, EDDSA), trust=both, threshold=2)
    yield ok("one-of-two-keys", "S-7", "threshold 1 of a set of two, signed by the second", manifest(), other,
             trust=both)
    yield ok("eight-signatures", "S-1 S-7", "the only known signature is the eighth", manifest(),
             *map(unknown, range(7)), release)
    yield ok("repeated-signature", "S-7", "the same signature twice counts once, which is enough here", manifest(),
             release, release)
    yield ok("digest-32", "G-1 T-5", "digests of 32 octets",
             manifest(k6=[component(k9=32, k10=stream("cap", 32))]))
    yield ok("cap-of-leaves", "T-5", "the cap is the whole level 0: 4 cells, 4 nodes",
             manifest(k6=[component(k10=stream("cap", 64))]))
    smallest = component("a", "b", k2=1, k8=0)
    yield ok("least-values", "M-3 G-1", "every number as small as it may be",
             manifest(k1=1, k2=0, k3="0", k6=[smallest], k7=[0, 0]))
    token = "Az09._+~-" + "x" * 23
    largest = component(token, token, k2=1 << 34, k6=8192, k7=64, k9=32, k10=stream("cap", 32))
    yield ok("greatest-values", "M-2 M-3 G-1", "every number as large as it may be, tokens of 32 octets",
             manifest(k1=(1 << 63) - 1, k2=(1 << 32) - 1, k3=token, k6=[largest], k7=[0, (1 << 64) - 1]))
    yield ok("most-chunks", "G-2", "2^24 source chunks", manifest(k6=[component(k2=1 << 30)]))
    yield ok("same-name-and-target", "M-3", "names are unique among names and targets among targets, not across",
             manifest(k6=[component("a", "b"), component("b", "a")]))
    yield ok("8192-octets", "S-2", "the longest statement", sized(8192))


def sized(length: int) -> dict:
    """A manifest whose statement with one signature has `length` octets, by caps, classes and tokens alone."""
    classes = [stream(f"class {i}", 16) for i in range(8)]
    components = [component(f"c{i}", f"t{i}", k2=1 << 20, k9=32, k10=stream(f"cap {i}", 32 * nodes))
                  for i, nodes in enumerate((128, 64, 32, 8, 4))]
    value = manifest(k5=classes, k6=components)
    for key in (0, 1):
        for part in components:
            missing = length - len(statement(cbor.encode(value), cbor.Raw(bytes(83))))
            part[key] += "x" * max(0, min(21, missing))  # below 24, so that no head grows
    return value


def envelope():
    payload = cbor.encode(manifest())
    header = protected(RELEASE.public)
    good_one = signed(RELEASE, payload)
    whole = statement(payload, good_one)
    at = 1 + len(cbor.encode(payload))  # where the array of signatures begins

    def bad(name, comment, octets, requirement="S-1 S-2"):
        return vector(name, "template", requirement, comment, octets)

    def other_header(octets: bytes, bstr_head: bytes | None = None) -> bytes:
        """A statement whose protected header is `octets`, signed as such."""
        signature = RELEASE.sign(to_be_signed(octets, payload))
        head = bstr_head or cbor.head(2, len(octets))
        return statement(payload, cbor.Raw(b"\x84" + head + octets + b"\xa0\xf6" + cbor.encode(signature)))

    def replaced(offset: int, octets: bytes, count: int = 1) -> bytes:
        return whole[:offset] + octets + whole[offset + count :]

    name = kid(RELEASE.public)
    tail = b"\xa0\xf6" + good_one[-66:]
    assert whole[at] == 0x81 and whole[at + 1] == 0x84 and whole[1] == 0x58

    yield bad("outer-head", "array(3) and not array(2)", replaced(0, b"\x83"))
    yield bad("outer-indefinite", "the outer array is indefinite", b"\x9f" + whole[1:] + b"\xff")
    yield bad("outer-long-head", "the head of the outer array is not the shortest", b"\x98\x02" + whole[1:])
    yield bad("outer-tagged", "the statement stands under tag 55799", b"\xd9\xd9\xf7" + whole)
    yield bad("payload-long-head", "the payload's length in two octets where one is enough",
              replaced(1, b"\x59\x00"))
    yield bad("payload-longest-head", "the payload's length in four octets", replaced(1, b"\x5a\x00\x00\x00"))
    yield bad("payload-indefinite", "the payload is an indefinite byte string",
              b"\x82\x5f" + cbor.encode(payload) + b"\xff" + whole[at:])
    yield bad("payload-text", "the payload is a text string", replaced(1, b"\x78"))
    yield bad("payload-tagged", "the payload stands under tag 24", replaced(1, b"\xd8\x18\x58"))
    yield bad("payload-not-wrapped", "the manifest itself instead of a byte string with it",
              b"\x82" + payload + whole[at:])
    yield bad("payload-past-end", "the payload's length points past the end", replaced(2, b"\xff"))
    yield bad("signatures-none", "no signature", statement(payload))
    yield bad("signatures-nine", "nine signatures, each valid", statement(payload, *[good_one] * 9))
    yield bad("signatures-long-head", "the head of the signatures is not the shortest", replaced(at, b"\x98\x01"))
    yield bad("signatures-indefinite", "the array of signatures is indefinite",
              replaced(at, b"\x9f") + b"\xff")
    yield bad("signatures-not-an-array", "the COSE_Sign1 stands alone", replaced(at, b""))
    yield bad("signatures-count", "array(2) with one signature in it", replaced(at, b"\x82"))
    yield bad("cose-head", "array(3) and not array(4)", replaced(at + 1, b"\x83"))
    yield bad("cose-tagged", "the COSE_Sign1 stands under tag 18", replaced(at + 1, b"\xd2\x84"))
    yield bad("protected-long-head", "the head of the protected header is not the shortest",
              other_header(header, b"\x58\x0d"))
    yield bad("protected-empty", "an empty protected header", other_header(b""))
    yield bad("protected-map", "array(4) and not a map in the protected header", other_header(b"\x84" + header[1:]))
    yield bad("protected-long-map", "the map head of the protected header is not the shortest",
              other_header(b"\xb8\x02" + header[1:]))
    yield bad("protected-long-alg", "alg is not in its shortest form",
              other_header(header[:2] + b"\x38\x12" + header[3:]))
    yield bad("protected-third-entry", "a content type beside alg and kid",
              other_header(b"\xa3\x01\x32\x03\x00\x04\x48" + name))
    yield bad("protected-label-alg", "label 2 where alg belongs", other_header(header[:1] + b"\x02" + header[2:]))
    yield bad("protected-label-kid", "label 5 where kid belongs", other_header(header[:3] + b"\x05" + header[4:]))
    yield bad("protected-order", "kid before alg", other_header(b"\xa2\x04\x48" + name + b"\x01\x32"))
    yield bad("alg-7", "alg -7, ECDSA", other_header(b"\xa2\x01\x26" + header[3:]), "S-1 S-3")
    yield bad("alg-50", "alg -50, ML-DSA-87", other_header(b"\xa2\x01\x38\x31" + header[3:]), "S-1 S-3")
    yield bad("alg-missing", "no alg", other_header(b"\xa1\x04\x48" + name), "S-1 S-3")
    yield bad("kid-missing", "no kid", other_header(b"\xa1\x01\x32"), "S-1 S-4")
    yield bad("kid-short", "a kid of 7 octets", other_header(b"\xa2\x01\x32\x04\x47" + name[:7]), "S-1 S-4")
    yield bad("kid-long", "a kid of 9 octets", other_header(b"\xa2\x01\x32\x04\x49" + name + b"\0"), "S-1 S-4")
    yield bad("kid-text", "a kid that is text", other_header(b"\xa2\x01\x32\x04\x68" + b"abcdefgh"), "S-1 S-4")
    front = whole[: at + 1] + good_one[:15]
    yield bad("unprotected-kid", "an unprotected header with a kid in it",
              front + b"\xa1\x04\x48" + name + tail[1:])
    yield bad("unprotected-null", "null and not an empty map", front + b"\xf6" + tail[1:])
    yield bad("payload-attached", "the payload stands in the COSE_Sign1 too",
              front + b"\xa0" + cbor.encode(payload) + tail[2:])
    yield bad("payload-undefined", "undefined and not null in place of the payload", front + b"\xa0\xf7" + tail[2:])
    yield bad("payload-empty-string", "an empty byte string and not null in place of the payload",
              front + b"\xa0\x40" + tail[2:])
    yield bad("signature-short", "a signature of 63 octets", whole[:-66] + b"\x58\x3f" + whole[-64:-1])
    yield bad("signature-long", "a signature of 65 octets", whole[:-66] + b"\x58\x41" + whole[-64:] + b"\0")
    yield bad("signature-long-head", "the signature's length in two octets",
              whole[:-66] + b"\x59\x00\x40" + whole[-64:])
    yield bad("trailing-octet", "one octet after the statement", whole + b"\0")
    yield bad("trailing-statement", "the statement twice", whole + whole)
    yield bad("cut", "the last octet is missing", whole[:-1])
    yield bad("cut-after-head", "only the head of the outer array", whole[:1])
    large = cbor.encode(sized(8193))
    yield bad("8193-octets", "one octet longer than allowed, valid otherwise",
              statement(large, signed(RELEASE, large)), "S-2")


def signatures():
    payload = cbor.encode(manifest())
    header = protected(RELEASE.public)
    message = to_be_signed(header, payload)
    signature = RELEASE.sign(message)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    both = (RELEASE.public, OTHER.public)

    def bad(name, requirement, comment, *cose_signatures, **context):
        octets = statement(payload, *cose_signatures)
        return vector(name, "threshold", requirement, comment, octets, **context)

    def forged(r_octets: bytes) -> cbor.Raw:
        """A signature with this R, which a check without the refusals of S-6 accepts."""
        k = curve.challenge(r_octets, RELEASE.public, message)
        return cose(header, r_octets + (k * RELEASE.scalar % L).to_bytes(32, "little"))

    yield bad("unknown-key", "S-7", "signed by a key that is not trusted", signed(OTHER, payload))
    yield bad("wrong-kid-owner", "S-7", "the kid of the trusted key, the signature of another",
              cose(header, OTHER.sign(message)))
    yield bad("flipped-r", "S-6", "one bit of R inverted", cose(header, flip(signature, 0)))
    yield bad("flipped-s", "S-6", "one bit of S inverted", cose(header, flip(signature, 256)))
    changed = flip(payload, 8 * payload.index(manifest()[6][0][3]))
    yield vector("flipped-payload", "threshold", "S-5", "one bit of the payload inverted, in the image's SHA-256",
                 statement(changed, cose(header, signature)))
    yield bad("zero", "S-6", "a signature of zeros", cose(header, bytes(64)))
    yield bad("s-plus-l", "S-6", "L added to S: the same signature in other octets",
              cose(header, r + (s + L).to_bytes(32, "little")))
    yield bad("s-is-l", "S-6", "S is L", cose(header, r + L.to_bytes(32, "little")))
    yield bad("r-identity", "S-6", "R is the neutral element, which the equation alone accepts",
              forged(curve.compress(curve.IDENTITY)))
    not_canonical = (curve.P + 1).to_bytes(32, "little")
    yield bad("r-not-canonical", "S-6", "R is the neutral element with y = p + 1", forged(not_canonical))
    off_curve = next(o for o in (stream(f"r {i}", 32) for i in range(64)) if curve.decompress(o) is None)
    yield bad("r-off-curve", "S-6", "R is no point", cose(header, off_curve + signature[32:]))
    torsion = curve.torsion_point()
    nonce = int.from_bytes(stream("nonce", 32), "little") % L
    mixed_r = curve.compress(curve.add(curve.multiply(nonce, curve.BASE), torsion))
    mixed_s = (nonce + curve.challenge(mixed_r, RELEASE.public, message) * RELEASE.scalar) % L
    yield bad("cofactored", "S-6", "R has a part of order 8, which only a cofactored check accepts",
              cose(header, mixed_r + mixed_s.to_bytes(32, "little")))
    for name, key in (("identity", curve.compress(curve.IDENTITY)), ("order-8", curve.compress(torsion))):
        weak = protected(key)
        weak_message = to_be_signed(weak, payload)
        attempts = ((n, curve.compress(curve.multiply(n, curve.BASE))) for n in range(nonce, nonce + 1000))
        n, weak_r = next((n, o) for n, o in attempts if curve.challenge(o, key, weak_message) % 8 == 0)
        yield bad(f"small-order-key-{name}", "S-6", "a trusted key of small order, under which anyone can sign",
                  cose(weak, weak_r + n.to_bytes(32, "little")), trust=(RELEASE.public, key))
    yield bad("same-key-twice", "S-7", "threshold 2, the same signature twice", signed(RELEASE, payload),
              signed(RELEASE, payload), trust=both, threshold=2)
    yield bad("same-key-two-algs", "S-3 S-7", "threshold 2, one key under both alg values", signed(RELEASE, payload),
              signed(RELEASE, payload, EDDSA), trust=both, threshold=2)
    other_kid = protected(OTHER.public)
    yield bad("same-key-two-kids", "S-7", "threshold 2, one key under its own kid and that of another trusted key",
              signed(RELEASE, payload), cose(other_kid, RELEASE.sign(to_be_signed(other_kid, payload))), trust=both,
              threshold=2)
    yield bad("kid-of-other-trusted", "S-7", "signed by one trusted key under the kid of the other",
              cose(other_kid, RELEASE.sign(to_be_signed(other_kid, payload))), trust=both)
    yield bad("one-of-two", "S-7", "threshold 2, one signature", signed(RELEASE, payload), trust=both, threshold=2)
    yield bad("one-valid-of-two", "S-7", "threshold 2, the second signature has one bit inverted",
              signed(RELEASE, payload), cose(other_kid, flip(OTHER.sign(to_be_signed(other_kid, payload)), 9)),
              trust=both, threshold=2)
    for name, aad, what in (("empty", b"", "no external_aad"),
                            ("other", b"fleetcast-manifest-2", "another external_aad"),
                            ("nul", b"fleetcast-manifest-1\0", "external_aad with a zero octet at its end"),
                            ("root", AADS[ROOT], "the external_aad of roots"),
                            ("beacon", AADS[BEACON], "the external_aad of beacons")):
        yield bad(f"aad-{name}", "S-5", f"signed over {what}",
                  cose(header, RELEASE.sign(to_be_signed(header, payload, aad))))
    yield bad("bare-payload", "S-5", "signed over the payload without the Sig_structure",
              cose(header, RELEASE.sign(payload)))
    yield bad("context", "S-5", "signed with the context text of COSE_Sign",
              cose(header, RELEASE.sign(cbor.encode(["Signature", header, b"fleetcast-manifest-1", payload]))))
    eddsa = protected(RELEASE.public, EDDSA)
    yield bad("swapped-alg", "S-5", "alg changed to -8 after signing: it is signed too", cose(eddsa, signature))


def cases():
    yield from good()
    yield from envelope()
    yield from signatures()
