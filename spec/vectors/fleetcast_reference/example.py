"""The worked example, `spec/example.md`: one small release from its packets to the installed image."""

import hashlib
import uuid

from . import curve, erasure, listing, packet, statement
from .hearing import Device, climb, restore
from .listing import block, rows, table
from .release import CLASS, STATEMENT_EVERY, VENDOR, Input, Release
from .release_cases import KEY
from .vector import Vector, stream

RELEASE = Release("example", KEY, 9, [Input("rootfs", "rootfs", 1060, "image example", 64, 8, 60, 16, 2)])
CYCLE = RELEASE.cycle()
LOST = {5, 11}
LAST = 25


def cases():
    """The release and its packets, to be fed to a program."""
    yield Vector("release", "ok-example", "ok", "X-1 X-2 T-1 T-2 T-3 T-4 T-5 T-6 F-3 S-1 W-6",
                 "the release of example.md: five cells, a cap of two nodes, R no power of two", RELEASE.fields(),
                 RELEASE.file())
    fields = {"release": "release/ok-example.vec", "packets": len(CYCLE), "layer": 0, "first-count": 0,
              "statement-every": STATEMENT_EVERY, "lost": ",".join(map(str, sorted(LOST))), "complete": LAST,
              "layout": "each packet after its length, 16 bits; example.md tells what becomes of each"}
    body = b"".join(len(p).to_bytes(2, "big") + p for p in CYCLE)
    yield Vector("session", "ok-example", "ok", "C-2 C-3 G-5 T-6 T-7 T-9 T-11 F-4 I-1 W-5 W-6 W-7 W-8 W-10",
                 "the cycle of example.md; without the packets of `lost` it is complete with the one of `complete`",
                 fields, body)


def page() -> str:
    """The page."""
    device = Device(KEY.public)
    for number in range(LAST + 1):
        device.hear(number, CYCLE[number], number in LOST)
    chunk, coefficients, figures = restore(device, 3)
    device.image[192:256] = chunk
    image = stream("image example", 1060)
    assert bytes(device.image) == image and hashlib.sha256(image).digest() == device.manifest[6][0][3]
    parts = [before(device), manifest(device), digests(device), repair(device, chunk, coefficients, figures), heard()]
    return "\n\n".join(parts) + "\n"


def before(device: Device) -> str:
    """The setting, and the cycle as the device hears it."""
    keys = table(["what", "value"], [
        ["trusted key", f"`{KEY.public.hex()}`, threshold 1: bare keys (K-8)"],
        ["its kid (S-4)", f"`{statement.kid(KEY.public).hex()}`"],
        ["vendor", f"`{uuid.UUID(bytes=VENDOR)}`, of `vendor.example`"],
        ["class", f"`{uuid.UUID(bytes=CLASS)}`, of `gateway`"],
        ["target", "`rootfs`: the file `/var/lib/rootfs.img`, with room for 1 MiB"],
        ["installed", "nothing"],
    ])
    return f"""# A worked example

A small release from its packets to the installed image, in figures. It is written by
[`generate.py`](vectors/generate.py) from the independent implementation in `vectors/fleetcast_reference`; do not edit
it. Rules are cited as they are named in [`protocol.md`](protocol.md). Octets are in hexadecimal, `|` is
concatenation; `H(kind, level, index, data)` is that of T-2.

The packets stand whole [at the end](#11-the-packets), so that a program can be fed with them. The vector
`session/ok-example` has the whole cycle of {len(CYCLE)} packets, the vector `release/ok-example` the release file.

## 1. The device

{keys}

With bare keys there are no beacons: the state of B-7 is `off`, and a complete release is installed at once (B-8).

The image has 1,060 octets: those of SHA-256(`image example` | counter, 64 bits), counter from 0, one after the other,
cut to this length. It is sent in chunks of 64 octets with 60 repair chunks for each 100.

## 2. What the device hears

It joins at the beginning of a cycle (C-2). Packets 5 and 11 are lost on the way. After packet 25 it has what it
needs, and leaves the group; the other {len(CYCLE) - LAST - 1} packets of the cycle, and all further ones, are for
others.

{table(["packet", "what", "what becomes of it"], device.told)}

The order of packets means nothing (W-12): in any other one the device would end with the same image."""


def manifest(device: Device) -> str:
    """From packet 0 to what follows from the manifest."""
    datagram = CYCLE[0]
    octets = datagram[20:]
    payload, [(protected, signature)] = statement.parse(octets)
    signed = statement.to_be_signed(protected, payload)
    head = len(signed) - len(payload)
    k = curve.challenge(signature[:32], KEY.public, signed)
    assert curve.verify(KEY.public, signed, signature)
    aad = statement.AADS[statement.MANIFEST]
    structure = [
        *rows(b"\x84", "array(4)"),
        *rows(signed[1:12], "  \"Signature1\""),
        *rows(signed[12:13], "  bstr(13): protected, as received"),
        *rows(protected),
        *rows(signed[26:27], f"  bstr({len(aad)}): external_aad"),
        *rows(aad, f'  "{aad.decode()}"'),
        *rows(signed[27 + len(aad) : head], f"  bstr({len(payload)}): the payload"),
        f"...{'':31}{len(payload)} octets",
    ]
    assert signed[:head] == bytes.fromhex("".join(line.split()[0] for line in structure[:-1]))
    g, cap, salt = device.g, device.cap, device.hasher.salt
    levels = g.path_levels(len(cap))
    largest = packet.HEADER + max(g.chunk, (g.cell + 1 + levels) * g.digest)
    geometry = table(["what", "value", "rule"], [
        ["S, source chunks", f"ceil({g.size}/{g.chunk}) = {g.source}; the last has {g.size % g.chunk} octets of the "
         f"image and {-g.size % g.chunk} of padding", "G-2"],
        ["Z, blocks", f"ceil({g.source}/4096) = {g.blocks}, so block 0 has K = {g.k(0)}", "G-3"],
        ["R, repair chunks", f"ceil({g.k(0)} * {g.repair} / 100) = {g.r(0)}, with ESI {g.k(0)} to "
         f"{g.k(0) + g.r(0) - 1}", "G-4"],
        ["cells", f"of positions 0 to 7, 8 to 15, 16 (source), 17 to 24, 25 to 27 (repair); n = {g.cells}", "G-6"],
        ["height of the tree", f"h = {g.height}: {g.cells} leaves and {2**g.height - g.cells} digests of zeros", "T-5"],
        ["cap", f"{len(cap)} octets, {len(cap) // g.digest} nodes, so c = {g.height - levels}; paths have "
         f"h - c = {levels} digests", "T-5"],
    ])
    salted = b"fleetcast-salt-1" + RELEASE.sequence.to_bytes(8, "big") + bytes(4) + device.manifest[6][0][3]
    assert hashlib.sha256(salted).digest()[:16] == salt
    return f"""## 3. Packet 0: the manifest

{block(listing.header(datagram))}

Then the statement, {len(octets)} octets: the fixed template of S-1.

{block(listing.envelope(octets))}

**The signature** is over these {len(signed)} octets (S-5), with SHA-256 `{hashlib.sha256(signed).hexdigest()}`:

{block(structure)}

The kid is that of the trusted key, so this is the key to try (S-7). With `k = SHA-512(R | A | M)`, A the key and M
the octets above, as an integer in the little-endian order of RFC 8032 and modulo L, in that order
`{k.to_bytes(32, "little").hex()}`, the point `S*B - k*A` encodes as R (S-6). One valid signature by one key of the
set meets the threshold of 1. Only now the payload is decoded (S-8).

**The payload**, in the diagnostic notation of RFC 8949 section 8:

{block(listing.notation(payload))}

Its SHA-256 is `{hashlib.sha256(payload).hexdigest()}`. The first 4 octets are the TSI of all packets (W-6), and the
whole names the session (M-8).

**The decision** (M-4): vendor and class are the device's, it has installed nothing and so has no floors, there are no
`from`, hardware revisions or waves, `rootfs` is configured and large enough, and the largest packet, {largest}
octets, fits. The device makes room: a file of {g.size} octets beside the target, a place for {g.r(0)} repair chunks,
and one for pages.

**What follows** from the manifest:

{geometry}

The salt (T-1) is the first 16 octets of SHA-256(`fleetcast-salt-1` | sequence, 64 bits | component, 32 bits | sha256
of the image):

{block([*rows(salted, width=32), "", *rows(salt, "salt")])}"""


def digests(device: Device) -> str:
    """Pages, chunks, and a page that was lost."""
    size = device.g.digest
    first, chunk, parity, later, last = (CYCLE[n][20:] for n in (1, 2, 20, 24, 22))
    page = [line for slot in range(8)
            for line in rows(first[slot * size : (slot + 1) * size], f"slot {slot}: digest of chunk {slot}")]
    page += rows(first[8 * size : 9 * size], "digest of the parity page X_0")
    page += [line for level in range(2)
             for line in rows(first[(9 + level) * size : (10 + level) * size], f"path: sibling at level {level}")]
    x_1, p_3, p_1 = device.parities[1], device.pages[3], device.pages[1]
    assert device.hasher(1, CYCLE[12][20:]) == p_1[:size]
    first_slots = [*rows(x_1[:size], "X_1, slot 0"), *rows(p_3[:size], "P_3, slot 0"),
                   *rows(p_1[:size], "P_1, slot 0 = H(1, 0, 0, chunk 8), packet 12")]
    return f"""## 4. Packet 1: a page

{block(listing.header(CYCLE[1]))}

The payload (T-6) has (8 + 1 + 2) * 16 = {len(first)} octets; any other length is `length` (W-10).

{block(page)}

From it the device computes up to the cap (T-8):

{block(climb(device, 0, first, False))}

Page 0 is genuine. It is kept with its path: after a restart it is verified again (I-3).

## 5. Packet 2: a source chunk

{block(listing.header(CYCLE[2]))}

With one block, ESI 0 is source chunk 0 (G-3), position 0 (G-5), so slot 0 of cell 0 (G-6). Its digest must be that of
the page (T-9):

{block([*rows(chunk, width=32), "", *rows(device.hasher(1, chunk), "H(1, 0, 0, chunk) = slot 0 of page 0")])}

It is, so the 64 octets are written to offset 0. A chunk that fails is dropped and counted (`chunk-digest`); nothing
of it is kept (T-10).

## 6. Packets 11 to 24: a page that was lost

Page 1 is lost (packet 11), so nobody can tell yet whether the chunks of cell 1 are genuine: they wait, in memory
(T-11). Packet 20 is the parity page of cell 1, `X_1 = P_1 xor P_3` (T-4), for (1 - 3) mod 5 = 3:

{block(listing.header(CYCLE[20]))}

Its payload (T-7) is `X_1`, then the digest of `P_1`, then the path of cell 1. It verifies by itself:

{block(climb(device, 1, parity, True))}

With packet 24 comes `P_3`, and `P_1 = X_1 xor P_3` (T-9). The first slot:

{block(first_slots)}

All eight chunks that waited verify, and are written.

In the same way page 2 followed from packet 10 before it came itself: `X_0 = P_0 xor P_2`, for (0 - 3) mod 5 = 2. The
cell has one chunk, so its 16 octets were padded with zeros to the 128 of `P_0` (T-4), and the octets past the first
16 are dropped (T-9).

## 7. Packet 22: the last source chunk

{block([*listing.header(CYCLE[22]), *rows(last, width=32)])}

It is verified with its padding of 28 zero octets; the first 36 octets are written to offset 1,024. The padding never
is (G-2)."""


def repair(device: Device, chunk: bytes, coefficients: list[list], figures: list[int]) -> str:
    """The repair chunk, what it restores, and the install."""
    datagram, lost = CYCLE[LAST], RELEASE.components[0].chunks[3]
    assert chunk == lost
    repair_0, rest, divisor, word = figures
    c, s = erasure.constants(16, 16)
    a, b = erasure.coefficient(16, 0, 0), erasure.words(RELEASE.components[0].chunks[0])[0]
    pa, pb, pp = (erasure.polynomial(w) for w in (a, b, erasure.multiply(a, b)))
    return f"""## 8. Packet 25: a repair chunk

{block([*listing.header(datagram), *rows(datagram[20:], width=32)])}

ESI 17 = K + 0 is repair chunk 0 (G-4), position 17, slot 0 of cell 3. Repair chunks are verified as all others are
(T-10):

{block(rows(device.hasher(1, datagram[20:]), "H(1, 0, 0, chunk) = slot 0 of page 3"))}

It is written to the place for repair chunks. The block has 16 source chunks and 1 repair chunk now, K = 17 in all:
any 17 do (F-4).

## 9. Restoring chunk 3

R = 11, so m = 16 (F-3). The code treats each of the 32 word columns alone; this is column 0, which are octets 0 and
32 of each chunk, the latter the upper one (F-2). All words are coordinate words (F-1), so sums are `xor`. Products
are made in polynomial form: `{a:04X}` times `{b:04X}`, the first row below, is `{pa:04X}` times `{pb:04X}` modulo
`1002D`, which is `{pp:04X}`, and so the word `{erasure.multiply(a, b):04X}`.

`c` is `{c:04X}`, and `s(16)` is `{s:04X}`. Source chunk j counts in repair chunk 0 with the coefficient
`s(16+j) / (c * (0 xor (16+j)))`:

{table(["j", "16+j", "coefficient", "word 0 of chunk j", "product"], coefficients)}

Word 0 of the repair chunk is `{repair_0:04X}`. Together with all products but the unknown one it is `{rest:04X}`, so
word 0 of chunk 3 is `{rest:04X} / {divisor:04X} = {word:04X}`: octet 0 is `{word & 255:02X}`, octet 32 is
`{word >> 8:02X}`. So with the other columns:

{block([*rows(chunk, width=32), "", *rows(device.hasher(1, chunk), "H(1, 0, 0, chunk) = slot 3 of page 0")])}

It goes to offset 192. With more chunks missing there is one such equation for each repair chunk, and as many
unknowns.

## 10. Installing

1. The file beside the target is flushed, and read back from storage. Length and SHA-256 are compared with the
   manifest (I-1): 1,060 octets, `{hashlib.sha256(device.image).hexdigest()}`. What does not compare is not installed.
2. It takes the place of `/var/lib/rootfs.img` in one step, a rename, and the folder is flushed (I-2). A power cut
   before that leaves the old image, one after it the new image.
3. With the install the release is committed, as this device starts none on trial: the floors are sequence
   {RELEASE.sequence} and security version 3 (I-4). A manifest with a lower sequence is refused from now on
   (`rollback`), and this release is not received again (`installed`, M-5).

Had the power failed at any time before, chunks and pages on disk would have been verified again, and the rest
received (I-3). That sequence {RELEASE.sequence} was seen is kept since the first chunk, packet 2 (M-7)."""


def heard() -> str:
    """The packets that came."""
    came = {number: CYCLE[number] for number in range(LAST + 1) if number not in LOST}
    return f"""## 11. The packets

Those that came, 32 octets a line.

{listing.packets(came)}"""
