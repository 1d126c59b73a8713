"""Section 4: what a device decides by the manifest alone (M-4 to M-7, M-9, M-10)."""

import hashlib
from dataclasses import dataclass

from . import beacon, packet, require, statement


@dataclass
class Device:
    """What a device is and has. A release is (sequence, digest), the installed one with its security version."""

    vendor: bytes
    classes: list[bytes]
    targets: dict[str, int]
    largest_packet: int
    wave: int | bytes  # a number, or the seed of M-10
    hardware: int | None = None
    installed: tuple[int, bytes, int] | None = None
    seen: tuple[int, bytes] | None = None
    trial: tuple[int, bytes] | None = None
    given_up: tuple[int, bytes] | None = None
    void: bool = False  # a root has made void what was installed (K-9); what is in `seen` was seen since
    beacon: dict | None = None

    def wave_number(self, sequence: int) -> int:
        return self.wave if isinstance(self.wave, int) else statement.wave_number(self.wave, sequence)


def not_before(manifest: dict, number: int) -> int | None:
    """The time from which a device with this wave number may install, 0 without waves, `None` for never (M-10)."""
    return next((time for share, time in manifest.get(9, [[1000, 0]]) if share > number), None)


def decide(device: Device, payload: bytes) -> int:
    """The time from which the device may install the release of this payload; else refused, in the order of M-4."""
    m = statement.decode(payload)
    sequence, digest = m[1], hashlib.sha256(payload).digest()
    own = (sequence, digest)
    entries = [entry for entry in device.beacon[5] if entry[0] in device.classes] if device.beacon else []
    entries = [] if any(tuple(entry[1:3]) == own for entry in entries) else entries
    floor = None if device.void else device.installed
    known = [release[:2] for release in (device.seen, floor) if release]
    require(m[4] == device.vendor, "vendor")
    require(any(uuid in device.classes for uuid in m[5]), "class")
    require(m[2] >= max([entry[3] for entry in entries] + [floor[2] if floor else 0]), "security-version")
    require(own not in [release[:2] for release in (device.installed, device.trial) if release], "installed")
    require(device.trial is None, "trial")
    require(own != device.given_up, "rolled-back")
    require(all(sequence >= other[0] for other in known), "rollback")
    known += [tuple(entry[1:3]) for entry in entries]
    require(all(digest == other[1] for other in known if other[0] == sequence), "equivocation")
    require(all(sequence >= entry[1] for entry in entries), "superseded")
    require(floor is None or sequence <= floor[0] + (1 << 32), "far-jump")
    runs = device.installed[0] if device.installed else 0
    require(7 not in m or m[7][0] <= runs <= m[7][1], "from")
    require(8 not in m or device.hardware is not None and m[8][0] <= device.hardware <= m[8][1], "hardware")
    time = not_before(m, device.wave_number(sequence))
    require(time is not None, "wave")
    for component in m[6]:
        require(component[1] in device.targets, "target")
        require(component[2] <= device.targets[component[1]], "size")
        require(largest_packet(component) <= device.largest_packet, "packet-size")
    return time


def largest_packet(component: dict) -> int:
    """M-4."""
    g = statement.geometry_of(component)
    return packet.HEADER + max(g.chunk, (g.cell + 1 + g.path_levels(len(component[10]))) * g.digest)


def of_vector(fields: dict, trusted) -> Device:
    """The device of a vector's header."""

    def release(key):
        if key not in fields:
            return None
        sequence, digest, *security = fields[key].split(",")
        return (int(sequence), bytes.fromhex(digest), *map(int, security))

    targets = dict(line.split(",") for line in fields["target"])
    seed = fields.get("wave-seed")
    octets = fields.get("beacon")
    return Device(
        bytes.fromhex(fields["device-vendor"]), [bytes.fromhex(uuid) for uuid in fields["device-class"]],
        {name: int(size) for name, size in targets.items()}, fields["largest-packet"],
        bytes.fromhex(seed) if seed else fields["wave-number"], fields.get("device-hardware"), release("installed"),
        release("seen"), release("trial"), release("given-up"), fields["floors"] == "void",
        beacon.accept(bytes.fromhex(octets), trusted) if octets else None)
