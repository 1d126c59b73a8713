"""What a device decides by a manifest alone (M-4), from its settings and its floors."""

from dataclasses import dataclass, field
from pathlib import Path

from beacons import Beacon
from manifest import Manifest
from packet import need

BUFFER = 65_507  # Octets of a datagram that the sources of this receiver take.


@dataclass
class Settings:
    """What the device was made with."""

    vendor: bytes
    classes: list[bytes]
    targets: dict[str, tuple[Path, int]]  # File to be replaced, and the largest image for it.
    hardware: int | None = None
    built: int = 0
    trust_clock: bool = False  # B-6
    install_when_stale: bool = False  # B-8


@dataclass
class Record:
    """A release as the floors remember it, with the version of the root under which it was recorded (K-9)."""

    sequence: int
    security: int
    digest: bytes
    root: int

    @classmethod
    def of(cls, m: Manifest, root: int) -> "Record":
        return cls(m.sequence, m.security, m.digest, root)


@dataclass
class Floors:
    """What was installed last, and the highest sequence of which a chunk was verified (M-7)."""

    installed: Record | None = None
    seen: Record | None = None
    # Version of the last root whose step made void what was recorded before it (K-9); 0 if none did.
    void_before: int = field(default=0, compare=False)

    def standing(self) -> list[Record]:
        """Those that count."""
        return [r for r in (self.installed, self.seen) if r and r.root >= self.void_before]


def decide(m: Manifest, settings: Settings, floors: Floors, beacon: Beacon | None, wave: int) -> None:
    """Refuses a release that is not for this device, for the first reason in the order of M-4.

    Nothing is ever on trial here, so `trial` and `rolled-back` cannot be.
    """
    need(m.vendor == settings.vendor, "vendor")
    need(any(each in settings.classes for each in m.classes), "class")
    by_beacon = beacon.refuses(m, settings.classes) if beacon else set()  # B-4
    installed = floors.installed
    standing = floors.standing()
    floor = installed if installed in standing else None
    need(floor is None or m.security >= floor.security, "security-version")
    need("security-version" not in by_beacon, "security-version")
    need(installed is None or m.digest != installed.digest, "installed")
    need(all(m.sequence >= r.sequence for r in standing), "rollback")
    need(all(m.sequence != r.sequence or m.digest == r.digest for r in standing), "equivocation")  # M-5
    need("equivocation" not in by_beacon, "equivocation")
    need("superseded" not in by_beacon, "superseded")
    need(floor is None or m.sequence <= floor.sequence + 2**32, "far-jump")
    runs = installed.sequence if installed else 0
    need(m.runs_from is None or m.runs_from[0] <= runs <= m.runs_from[1], "from")
    if m.hardware is not None:
        is_known = settings.hardware is not None
        need(is_known and m.hardware[0] <= settings.hardware <= m.hardware[1], "hardware")  # M-9
    need(m.wave_time(wave) is not None, "wave")  # M-10
    for component in m.components:
        need(component.target in settings.targets, "target")
        need(component.size <= settings.targets[component.target][1], "size")
        need(component.largest_packet <= BUFFER, "packet-size")
