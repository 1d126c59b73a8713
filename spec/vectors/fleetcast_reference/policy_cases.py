"""Vectors of the layer `policy`: what a device decides by the manifest alone."""

import hashlib

from . import policy
from .beacon_cases import ANCHOR
from .cbor import encode
from .release import CLASS, VENDOR
from .roots import A1, CAMERA, OTHER_VENDOR, beacon, beacon_statement, entry, manifest_statement
from .statement_cases import component, manifest
from .vector import Vector, stream

JUMP, LAST = 1 << 32, (1 << 63) - 1
SEED = bytes(range(16))  # of M-10
TWO = {"k6": [component("boot", "boot"), component()]}


def other(sequence: int, *security: int) -> str:
    """A release that is not the one offered."""
    return ",".join(map(str, (sequence, hashlib.sha256(b"%d" % sequence).hexdigest(), *security)))


class Own:
    """Stands for the release offered, in the facts of a device."""

    def __init__(self, *security: int):
        self.security = security

    def line(self, value: dict) -> str:
        return ",".join(map(str, (value[1], hashlib.sha256(encode(value)).hexdigest(), *self.security)))


OWN = Own()


def vector(code, name, comment, requirement="M-4", *, current=None, sequence=7, security=1, device=None, **changes):
    """`device` replaces facts of a device, `changes` those of the manifest; `current` are entries of a beacon."""
    value = manifest(k1=sequence, k2=security, **changes)
    facts = {"device-vendor": VENDOR.hex(), "device-class": [CLASS.hex()], "target": ["rootfs,1000"],
             "largest-packet": 196, "wave-number": 0, "floors": "hold"} | (device or {})
    facts = {key: item.line(value) if isinstance(item, Own) else item for key, item in facts.items()}
    if "wave-seed" in facts:
        del facts["wave-number"]
    if current:
        facts["beacon"] = beacon_statement(beacon(entries=current)).hex()
    if code == "ok":
        given = policy.of_vector({key: item for key, item in facts.items() if key != "beacon"}, None)
        number = given.wave_number(sequence)
        facts |= {"number": number, "not-before": policy.not_before(value, number)}
    return Vector("policy", f"{code}-{name}", code, requirement, comment, ANCHOR | facts,
                  manifest_statement(value, A1))


def places():
    yield vector("ok", "new-device", "a device that has installed nothing")
    yield vector("ok", "least-room", "target and packets are just large enough: both components",
                 device={"target": ["rootfs,1000", "boot,1000"]}, **TWO)
    yield vector("ok", "second-class", "the second class of the manifest is the device's second",
                 device={"device-class": [stream("class", 16).hex(), CAMERA.hex()]}, k5=[CLASS, CAMERA])
    yield vector("vendor", "other", "another vendor", device={"device-vendor": OTHER_VENDOR.hex()})
    yield vector("vendor", "before-class", "another vendor, and another class: the first code counts",
                 device={"device-vendor": OTHER_VENDOR.hex(), "device-class": [CAMERA.hex()]})
    yield vector("class", "other", "another class", device={"device-class": [CAMERA.hex()]})
    yield vector("class", "before-security-version", "another class, and a lower security version",
                 device={"device-class": [CAMERA.hex()], "installed": other(6, 2)})
    yield vector("target", "other", "the target is not configured", device={"target": ["boot,1000"]})
    yield vector("target", "second", "the target of the second component is not configured",
                 device={"target": ["boot,1000"]}, **TWO)
    yield vector("target", "before-size", "no target for the first component, too small a one for the second",
                 device={"target": ["rootfs,999"]}, **TWO)
    yield vector("size", "one-octet", "the image is an octet larger than its target", device={"target": ["rootfs,999"]})
    yield vector("size", "second", "the image of the second component is larger than its target",
                 device={"target": ["boot,1000", "rootfs,999"]}, **TWO)
    yield vector("size", "before-target", "too small a target for the first component, none for the second",
                 device={"target": ["boot,999"]}, **TWO)
    yield vector("size", "before-packet-size", "the image is too large, and so are the packets",
                 device={"target": ["rootfs,999"], "largest-packet": 195})
    yield vector("packet-size", "page", "a page is an octet larger than the receiver's buffers",
                 device={"largest-packet": 195})
    yield vector("packet-size", "path", "a path of two digests does not fit", device={"largest-packet": 195 - 16})
    yield vector("packet-size", "chunk", "a chunk is an octet larger than the receiver's buffers",
                 device={"largest-packet": 1043}, k6=[component(k6=1024)])
    yield vector("ok", "chunk-fits", "a chunk just fits the receiver's buffers", device={"largest-packet": 1044},
                 k6=[component(k6=1024)])


def floors():
    def hold(code, name, comment, requirement="M-4 M-7", **given):
        """`given` are facts of the device, and what else `vector` takes."""
        known = [key for key in ("installed", "seen", "trial", "given_up", "floors") if key in given]
        device = {key.replace("_", "-"): given.pop(key) for key in known}
        return vector(code, name, comment, requirement, device=device, **given)

    yield hold("security-version", "installed", "below that of the installed release", installed=other(6, 2))
    yield hold("ok", "security-version", "that of the installed release", installed=other(6, 1))
    yield hold("security-version", "before-rollback", "a lower security version, and a lower sequence",
               installed=other(9, 2))
    yield hold("security-version", "before-installed", "the installed release, below what the newest beacon asks for",
               "M-4 B-4", installed=Own(1), current=[entry(8, security=2)])
    yield hold("installed", "itself", "the installed release", "M-4 M-5", installed=Own(1))
    yield hold("installed", "trial", "the release on trial", trial=OWN)
    yield hold("installed", "before-trial", "the installed release, while another is on trial", installed=Own(1),
               trial=other(9))
    yield hold("installed", "before-rollback", "the installed release, below the highest seen", installed=Own(1),
               seen=other(9))
    yield hold("trial", "higher", "another release is on trial", "M-4 I-6", trial=other(6))
    yield hold("trial", "same-sequence", "another release of the same sequence is on trial", "M-4 I-6", trial=other(7))
    yield hold("trial", "before-rolled-back", "the release that was given up, while another is on trial", "M-4 I-6",
               trial=other(6), given_up=OWN)
    yield hold("trial", "before-rollback", "another release is on trial, and the sequence is below the installed one",
               "M-4 I-6", trial=other(10), installed=other(9, 1))
    yield hold("rolled-back", "given-up", "the release that was given up", "M-4 I-7", given_up=OWN)
    yield hold("rolled-back", "seen", "the same, which is the highest seen", "M-4 I-7", given_up=OWN, seen=OWN,
               installed=other(6, 1))
    yield hold("rolled-back", "before-rollback", "the release that was given up, below the highest seen", "M-4 I-7",
               given_up=OWN, seen=other(9))
    yield hold("ok", "given-up-before", "above the release that was given up", "M-4 I-7", given_up=other(6))
    yield hold("rollback", "seen", "below the highest seen", seen=other(8), installed=other(3, 1))
    yield hold("rollback", "installed", "below the installed release", installed=other(8, 1))
    yield hold("rollback", "nothing-installed", "below the highest seen of a device that has installed nothing",
               seen=other(8))
    yield hold("rollback", "same-as-seen", "below the installed release, with the sequence of the highest seen: the "
               "first code counts", seen=other(7), installed=other(8, 1))
    yield hold("rollback", "same-as-installed", "below the highest seen, with the sequence of the installed release",
               seen=other(8), installed=other(7, 1))
    yield hold("rollback", "before-equivocation", "below the highest seen, with the sequence of a current release",
               "M-4 B-4", seen=other(8), current=[entry(7)])
    yield hold("rollback", "before-superseded", "below the highest seen, and below what is current", "M-4 B-4",
               seen=other(8), current=[entry(9)])
    yield hold("ok", "above-both", "above the installed release and the highest seen", installed=other(5, 1),
               seen=other(6))
    yield hold("ok", "seen", "the highest seen itself: it is received on", installed=other(5, 1), seen=OWN)
    yield hold("equivocation", "seen", "the sequence of the highest seen, with another payload", "M-4 M-5 M-7",
               seen=other(7), installed=other(6, 1))
    yield hold("equivocation", "installed", "the sequence of the installed release, with another payload", "M-4 M-5",
               installed=other(7, 1))
    yield hold("equivocation", "installed-and-seen", "the highest seen, with the sequence of the installed release and "
               "another payload", "M-4 M-5", installed=other(7, 1), seen=OWN)
    yield hold("equivocation", "before-superseded", "the sequence of the highest seen, and below what is current",
               "M-4 M-5 B-4", seen=other(7), current=[entry(9)])
    yield hold("equivocation", "beacon", "the sequence of a current release, with another payload", "M-4 M-5 B-4",
               current=[entry(7)])
    yield hold("superseded", "before-from", "below what is current, and the device runs none it can be installed from",
               "M-4 B-4", current=[entry(9)], k7=[5, 5])
    yield hold("ok", "current-of-others", "below what is current for a class that is not the device's", "M-4 B-4",
               current=[entry(9, uuid=CAMERA)])
    yield hold("far-jump", "one-more", "2^32 + 1 above the installed release", installed=other(6, 1),
               sequence=6 + JUMP + 1)
    yield hold("ok", "jump", "2^32 above the installed release", installed=other(6, 1), sequence=6 + JUMP)
    yield hold("ok", "jump-over-seen", "far above the highest seen: only the installed release counts", seen=other(6),
               sequence=LAST)
    yield hold("ok", "last", "the highest sequence, on a device near it", installed=other(LAST - 1, 1), sequence=LAST)
    yield hold("far-jump", "before-from", "too far above the installed release, which it cannot be installed from",
               installed=other(6, 1), sequence=7 + JUMP, k7=[5, 5])
    void = {"floors": "void"}
    rule = "M-4 K-9"
    yield hold("ok", "void-security-version", "a root made the higher security version void", rule,
               installed=other(6, 9), **void)
    yield hold("ok", "void-sequence", "a root made the higher sequence void", rule, installed=other(LAST, 1), **void)
    yield hold("ok", "void-same", "a root made void what was installed, with this sequence and another payload", rule,
               installed=other(7, 1), **void)
    yield hold("ok", "void-jump", "a root made void what was installed, far below", rule, installed=other(1, 1),
               sequence=LAST, **void)
    yield hold("installed", "void", "the installed release is still not received again", rule, installed=Own(1),
               **void)
    yield hold("rollback", "void-seen", "what was seen since the step counts", rule, installed=other(9, 1),
               seen=other(8), **void)
    yield hold("equivocation", "void-seen", "the same, with this sequence", rule, installed=other(9, 1),
               seen=other(7), **void)
    yield hold("trial", "void", "a trial holds", rule, installed=other(9, 1), trial=other(10), **void)
    yield hold("rolled-back", "void", "what was given up stays so", rule, installed=other(9, 1), given_up=OWN, **void)
    yield hold("from", "void", "the sequence of the installed release is still what the device runs", rule,
               installed=other(9, 1), k7=[0, 8], **void)


def conditions():
    for runs in (3, 6):
        yield vector("ok", f"from-{runs}", f"installable from 3 to 6, the device runs {runs}",
                     device={"installed": other(runs, 1)}, k7=[3, 6])
    yield vector("from", "below", "installable from 3 to 6, the device runs 2", device={"installed": other(2, 1)},
                 k7=[3, 6])
    yield vector("from", "above", "installable from 3 to 5, the device runs 6", device={"installed": other(6, 1)},
                 k7=[3, 5])
    yield vector("ok", "from-nothing", "a device that has installed nothing runs sequence 0", k7=[0, 5])
    yield vector("from", "nothing", "a device that has installed nothing does not run sequence 1", k7=[1, 5])
    yield vector("from", "seen", "the highest seen is not what the device runs", device={"seen": other(6)}, k7=[6, 6])
    yield vector("from", "before-hardware", "neither the sequence nor the hardware is right", k7=[1, 5], k8=[2, 3])
    for revision in (2, 4):
        yield vector("ok", f"hardware-{revision}", f"for revisions 2 to 4, the device has {revision}", "M-4 M-9",
                     device={"device-hardware": revision}, k8=[2, 4])
    for revision in (1, 5):
        yield vector("hardware", str(revision), f"for revisions 2 to 4, the device has {revision}", "M-4 M-9",
                     device={"device-hardware": revision}, k8=[2, 4])
    yield vector("hardware", "unknown", "for revisions from 0 on, that of the device is not known", "M-4 M-9",
                 k8=[0, LAST])
    yield vector("ok", "hardware-any", "for any revision, that of the device is not known", "M-9")
    yield vector("hardware", "before-wave", "neither the hardware nor the wave is right", "M-4 M-9", k8=[2, 4],
                 device={"wave-number": 999}, k9=[[1, 5]])

    waves = [[10, 1_000], [565, 2_000], [566, 3_000], [900, 4_000]]
    for number, what in ((0, "the first"), (9, "the first"), (10, "the second"), (899, "the last")):
        yield vector("ok", f"wave-{number}", f"wave number {number} is in {what} wave", "M-10",
                     device={"wave-number": number}, k9=waves)
    yield vector("wave", "900", "wave number 900 is in none of the waves", "M-4 M-10", device={"wave-number": 900},
                 k9=waves)
    yield vector("ok", "wave-seed", "the seed of M-10 and sequence 7: wave number 565", "M-10",
                 device={"wave-seed": SEED.hex()}, k9=waves)
    yield vector("wave", "seed", "the same, with a share of 565", "M-4 M-10", device={"wave-seed": SEED.hex()},
                 k9=waves[:2])
    yield vector("ok", "wave-seed-of-8", "the same seed and sequence 8: another number", "M-10", sequence=8,
                 device={"wave-seed": SEED.hex()}, k9=[[i, i] for i in (100, 250, 400, 500, 600, 700, 850, 1000)])
    yield vector("ok", "wave-all", "nobody before a time: the highest number is in it", "M-10",
                 device={"wave-number": 999}, k9=[[1000, (1 << 40) - 1]])
    yield vector("wave", "before-target", "in none of the waves, and no target", "M-4 M-10",
                 device={"wave-number": 999, "target": ["boot,1000"]}, k9=waves)


def cases():
    yield from places()
    yield from floors()
    yield from conditions()
