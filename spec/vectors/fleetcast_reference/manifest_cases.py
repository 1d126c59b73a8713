"""Vectors of the layer `statement`, second half: properly signed payloads that are refused for what they hold."""

import struct

from .cbor import Pairs, Raw, encode, head
from .release import CLASS, VENDOR
from .statement import signed, statement
from .statement_cases import RELEASE, component, manifest, vector
from .vector import stream


def bad(code, name, requirement, comment, payload):
    """A statement whose payload is properly signed; `payload` is octets or a manifest map."""
    octets = payload if isinstance(payload, bytes) else encode(payload)
    return vector(name, code, requirement, comment, statement(octets, signed(RELEASE, octets)))


def strictness():
    whole = encode(manifest())
    pairs, parts = sorted(manifest().items()), sorted(component().items())

    def cbor(name, comment, payload):
        return bad("cbor", name, "S-9", comment, payload)

    def raw(key, octets):
        """A manifest with the value of `key` encoded as these octets."""
        return manifest(**{f"k{key}": Raw(octets)})

    yield cbor("empty", "a payload of no octets", b"")
    yield cbor("indefinite-map", "the manifest is an indefinite map", b"\xbf" + whole[1:] + b"\xff")
    yield cbor("indefinite-array", "the classes are an indefinite array", raw(5, b"\x9f" + encode(CLASS) + b"\xff"))
    yield cbor("indefinite-bytes", "the vendor is an indefinite byte string",
               raw(4, b"\x5f" + encode(VENDOR) + b"\xff"))
    yield cbor("indefinite-text", "the version is an indefinite text string",
               raw(3, b"\x7f" + encode("1.4.0") + b"\xff"))
    yield cbor("long-uint", "sequence 7 in two octets", raw(1, b"\x18\x07"))
    yield cbor("longest-uint", "sequence 7 in nine octets", raw(1, b"\x1b" + (7).to_bytes(8, "big")))
    yield cbor("long-uint-16", "size 1000 in five octets where three are enough",
               manifest(k6=[component(k2=Raw(b"\x1a\x00\x00\x03\xe8"))]))
    yield cbor("long-key", "key 1 in two octets", Pairs([(Raw(b"\x18\x01") if k == 1 else k, v) for k, v in pairs]))
    yield cbor("long-bytes", "the vendor's length in two octets", raw(4, b"\x58\x10" + VENDOR))
    yield cbor("long-text", "the version's length in two octets", raw(3, b"\x78\x051.4.0"))
    yield cbor("long-array", "the length of the classes in two octets", raw(5, b"\x98\x01" + encode(CLASS)))
    yield cbor("long-map", "the number of pairs of the manifest in two octets",
               b"\xb8" + bytes([whole[0] & 31]) + whole[1:])
    yield cbor("unsorted", "key 2 before key 1", Pairs([pairs[0], pairs[2], pairs[1], *pairs[3:]]))
    yield cbor("unsorted-component", "key 10 of the component before its key 9",
               manifest(k6=[Pairs([*parts[:9], parts[10], parts[9]])]))
    yield cbor("duplicate", "key 1 twice, with the same value", Pairs([*pairs[:2], *pairs[1:]]))
    yield cbor("duplicate-other-value", "key 1 twice, with two values", Pairs([*pairs[:2], (1, 8), *pairs[2:]]))
    yield cbor("text-key", "a text key after key 6", Pairs([*pairs, ("sequence", 7)]))
    yield cbor("bytes-key", "a byte string key after key 6", Pairs([*pairs, (b"\x01", 7)]))
    yield cbor("negative-key", "key -1 after key 6", Pairs([*pairs, (-1, 7)]))
    yield cbor("float-16", "sequence as a half float", raw(1, b"\xf9" + struct.pack(">e", 7)))
    yield cbor("float-32", "sequence as a single float", raw(1, b"\xfa" + struct.pack(">f", 7)))
    yield cbor("float-64", "sequence as a double float", raw(1, b"\xfb" + struct.pack(">d", 7)))
    yield cbor("tag-uuid", "the vendor under tag 37", raw(4, b"\xd8\x25" + encode(VENDOR)))
    yield cbor("tag-bignum", "sequence as a bignum", raw(1, b"\xc2\x41\x07"))
    yield cbor("tag-manifest", "the manifest under tag 55799", b"\xd9\xd9\xf7" + whole)
    for name, octet in (("false", 0xF4), ("true", 0xF5), ("null", 0xF6), ("undefined", 0xF7)):
        yield cbor(name, f"{name} in place of the sequence", raw(1, bytes([octet])))
    yield cbor("simple", "simple value 255 in place of the sequence", raw(1, b"\xf8\xff"))
    yield cbor("reserved", "the reserved additional information 28", raw(1, b"\x1c"))
    yield cbor("break", "a break in place of the sequence", raw(1, b"\xff"))
    yield cbor("trailing", "one octet after the manifest", whole + b"\0")
    yield cbor("trailing-manifest", "the manifest twice", whole + whole)
    yield cbor("cut", "the last octet of the manifest is missing", whole[:-1])
    yield cbor("cut-after-key", "the manifest ends after a key", encode({0: 1, 1: 7})[:-1])
    yield cbor("missing-pair", "the map announces one pair more than there are", bytes([whole[0] + 1]) + whole[1:])
    yield cbor("huge-bytes", "a byte string of 2^64-1 octets in place of the vendor", raw(4, head(2, (1 << 64) - 1)))
    yield cbor("huge-array", "an array of 2^64-1 items in place of the classes", raw(5, head(4, (1 << 64) - 1)))
    yield cbor("huge-map", "a map of 2^63 pairs in place of the manifest", head(5, 1 << 63) + whole[1:])
    yield cbor("not-utf-8", "a version that is no UTF-8", raw(3, b"\x61\xff"))
    yield cbor("depth-5", "five containers in each other: an array in an array in place of a cap",
               manifest(k6=[component(k10=[[]])]))
    yield cbor("depth-5000", "5,000 arrays in each other in place of from", manifest(k7=Raw(b"\x81" * 4999 + b"\x80")))
    yield cbor("items", "600 uints in place of from", manifest(k7=[0] * 600))


def shape():
    def schema(name, comment, payload):
        return bad("schema", name, "S-9", comment, payload)

    def part(**changes):
        return manifest(k6=[component(**changes)])

    def without(value, key):
        return {k: v for k, v in value.items() if k != key}

    yield schema("unknown-key", "key 10", manifest(k10=0))
    yield schema("unknown-key-large", "key 2^64-1", manifest(**{f"k{(1 << 64) - 1}": 0}))
    yield schema("component-unknown-key", "key 11 of a component", part(k11=0))
    for key in range(7):
        yield schema(f"missing-{key}", f"no key {key}", without(manifest(), key))
    for key in range(11):
        yield schema(f"component-missing-{key}", f"no key {key} in the component",
                     manifest(k6=[without(component(), key)]))
    yield schema("empty-map", "an empty map in place of the manifest", {})
    yield schema("array", "the values as an array in place of the manifest", list(manifest().values()))
    yield schema("uint", "a uint in place of the manifest", 1)
    yield schema("bytes", "the manifest wrapped in a byte string", encode(encode(manifest())))
    yield schema("component-array", "the values as an array in place of a component",
                 manifest(k6=[list(component().values())]))
    yield schema("sequence-negative", "sequence -1", manifest(k1=-1))
    yield schema("sequence-bytes", "sequence as a byte string", manifest(k1=b"\x07"))
    yield schema("security-version-negative", "security version -1", manifest(k2=-1))
    yield schema("version-bytes", "bytes for text: version", manifest(k3=b"1.4.0"))
    yield schema("vendor-text", "text for bytes: vendor", manifest(k4="0123456789abcdef"))
    yield schema("vendor-array", "an array of uints for bytes: vendor", manifest(k4=list(VENDOR)))
    yield schema("classes-bytes", "one class without its array", manifest(k5=CLASS))
    yield schema("classes-map", "a map for an array: classes", manifest(k5={0: CLASS}))
    yield schema("class-text", "text for bytes: class", manifest(k5=["0123456789abcdef"]))
    yield schema("components-map", "one component without its array", manifest(k6=component()))
    yield schema("from-uint", "from as a uint", manifest(k7=3))
    yield schema("from-one", "from with one item", manifest(k7=[3]))
    yield schema("from-three", "from with three items", manifest(k7=[3, 4, 5]))
    yield schema("from-negative", "from begins at -1", manifest(k7=[-1, 6]))
    yield schema("from-map", "a map for an array: from", manifest(k7={0: 3, 1: 6}))
    yield schema("hardware-uint", "hardware as a uint", manifest(k8=3))
    yield schema("hardware-three", "hardware with three items", manifest(k8=[3, 4, 5]))
    yield schema("waves-pair", "one pair of waves without its array", manifest(k9=[100, 5]))
    yield schema("waves-one", "a wave without a time", manifest(k9=[[100]]))
    yield schema("waves-negative", "a wave of time -1", manifest(k9=[[100, -1]]))
    yield schema("waves-map", "a map for an array: waves", manifest(k9={100: 5}))
    yield schema("name-bytes", "bytes for text: name", part(k0=b"rootfs"))
    yield schema("target-uint", "a uint for text: target", part(k1=1))
    yield schema("size-negative", "size -1", part(k2=-1))
    yield schema("sha256-text", "text for bytes: sha256", part(k3="0" * 32))
    yield schema("format-text", "text for a uint: format", part(k4="raw"))
    yield schema("fec-negative", "fec -1", part(k5=-1))
    yield schema("chunk-text", "text for a uint: chunk", part(k6="64"))
    yield schema("cell-array", "an array for a uint: cell", part(k7=[8]))
    yield schema("repair-negative", "repair -1", part(k8=-1))
    yield schema("digest-bytes", "bytes for a uint: digest", part(k9=b"\x10"))
    yield schema("cap-text", "text for bytes: cap", part(k10="0123456789abcdef"))
    yield schema("depth-4", "an empty array in place of a cap: four containers are not too deep", part(k10=[]))


def values():
    for number in (0, 2, (1 << 64) - 1):
        yield bad("structure-version", str(number), "M-1", f"structure version {number}", manifest(k0=number))
    later = manifest(k0=2, k3=3, k8=[1, 2])
    yield bad("structure-version", "2-other-keys", "M-1", "structure version 2, whose keys differ: not read further",
              later)

    def ranged(name, comment, value, requirement="M-3"):
        return bad("range", name, requirement, comment, value)

    yield ranged("sequence-0", "sequence 0", manifest(k1=0))
    yield ranged("sequence-2-63", "sequence 2^63", manifest(k1=1 << 63))
    yield ranged("sequence-max", "sequence 2^64-1", manifest(k1=(1 << 64) - 1))
    yield ranged("security-version-2-32", "security version 2^32", manifest(k2=1 << 32))
    for name, comment, token in (
            ("empty", "an empty token", ""), ("33", "a token of 33 octets", "a" * 33),
            ("slash", "a token with a slash", "a/b"), ("leading-dot", "a token that starts with a dot", ".a"),
            ("leading-dash", "a token that starts with a dash", "-a"), ("dots", "two dots", ".."),
            ("space", "a token with a space", "a b"), ("newline", "a token that ends with a newline", "a\n"),
            ("nul", "a token with a zero octet", "a\0"), ("backslash", "a token with a backslash", "a\\b"),
            ("letter", "a token with a letter that is not ASCII", "\u00e4"),
            ("digit", "a token of a digit that is not ASCII", "\u0661")):
        yield ranged(f"version-{name}", f"version: {comment}", manifest(k3=token), "M-2 M-3")
        if name in ("empty", "33", "slash", "leading-dot", "letter"):
            yield ranged(f"name-{name}", f"name: {comment}", manifest(k6=[component(k0=token)]), "M-2 M-3")
            yield ranged(f"target-{name}", f"target: {comment}", manifest(k6=[component(k1=token)]), "M-2 M-3")
    yield ranged("vendor-15", "a vendor of 15 octets", manifest(k4=VENDOR[:15]))
    yield ranged("class-17", "a class of 17 octets", manifest(k5=[CLASS + b"\0"]))
    yield ranged("classes-0", "no class", manifest(k5=[]))
    yield ranged("classes-9", "nine classes", manifest(k5=[stream(f"class {i}", 16) for i in range(9)]))
    yield ranged("components-0", "no component", manifest(k6=[]))
    yield ranged("components-9", "nine components", manifest(k6=[component(f"n{i}", f"t{i}") for i in range(9)]))
    yield ranged("duplicate-name", "two components of one name",
                 manifest(k6=[component("a", "b"), component("a", "c")]))
    yield ranged("duplicate-target", "two components for one target",
                 manifest(k6=[component("a", "c"), component("b", "c")]))
    yield ranged("from-min-above-max", "from 6 to 5", manifest(k7=[6, 5]))
    yield ranged("hardware-min-above-max", "hardware 6 to 5", manifest(k8=[6, 5]), "M-3 M-9")
    for name, comment, waves in (
            ("0", "no wave", []), ("9", "nine waves", [[i, i] for i in range(1, 10)]),
            ("share-0", "a share of 0", [[0, 5]]), ("share-1001", "a share of 1001", [[1001, 5]]),
            ("time-2-40", "a time of 2^40", [[1000, 1 << 40]]),
            ("same-share", "two waves of one share", [[10, 5], [10, 6]]),
            ("same-time", "two waves of one time", [[10, 5], [20, 5]]),
            ("share-falls", "a share that falls", [[20, 5], [10, 6]]),
            ("time-falls", "a time that falls", [[10, 6], [20, 5]])):
        yield ranged(f"waves-{name}", comment, manifest(k9=waves), "M-3 M-10")
    yield ranged("sha256-31", "an image digest of 31 octets", manifest(k6=[component(k3=bytes(31))]))
    yield ranged("format-1", "format 1", manifest(k6=[component(k4=1)]))
    yield ranged("fec-0", "fec 0", manifest(k6=[component(k5=0)]))
    yield ranged("fec-2", "fec 2", manifest(k6=[component(k5=2)]))

    def geometry(name, comment, requirement="G-1", **changes):
        return bad("geometry", name, requirement, comment, manifest(k6=[component(**changes)]))

    for chunk in (0, 63, 65, 100, 8193, 8256, (1 << 32) + 64):
        yield geometry(f"chunk-{chunk}", f"T is {chunk}", k6=chunk)
    for cell in (0, 4, 12, 65, 72, 264):
        yield geometry(f"cell-{cell}", f"cell is {cell}", k7=cell)
    for repair in (101, 256):
        yield geometry(f"repair-{repair}", f"repair is {repair}", k8=repair)
    for digest in (0, 8, 20, 64):
        yield geometry(f"digest-{digest}", f"D is {digest}, with a cap of one node", k9=digest,
                       k10=stream("cap", digest))
    yield geometry("size-0", "L is 0", k2=0)
    yield geometry("size-2-34", "L is 2^34 + 1", k2=(1 << 34) + 1, k6=8192)
    yield geometry("size-max", "L is 2^64 - 1", k2=(1 << 64) - 1, k6=8192)
    yield geometry("source-chunks", "2^24 + 1 source chunks", "G-2", k2=(1 << 30) + 1)
    for octets, comment in ((0, "no cap"), (8, "half a node"), (17, "a node and an octet"), (48, "three nodes"),
                            (128, "eight nodes where level 0 has four")):
        yield geometry(f"cap-{octets}", comment, "T-5", k10=stream("cap", octets))
    first = component("a", "a")
    yield bad("geometry", "second-component", "G-1", "cell is 4 in the second component alone",
              manifest(k6=[first, component("b", "b", k7=4)]))


def cases():
    yield from strictness()
    yield from shape()
    yield from values()
