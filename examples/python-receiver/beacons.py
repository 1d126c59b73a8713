"""Beacons, and what they say of the present (section 18)."""

from dataclasses import dataclass
from typing import NamedTuple

from manifest import Manifest
from packet import Refused, need
from roots import Root, ascends
from statement import Statement, decode, parse

SHAPE = {0: int, 1: bytes, 2: int, 3: int, 4: int, 5: [(bytes, int, bytes, int)]}  # B-1
LONGEST = 7_776_000  # Seconds of validity (B-1).
SILENCE, SETTLING = 300, 10  # Seconds (B-7).


class Current(NamedTuple):
    """A release that is current for a class."""

    device_class: bytes
    sequence: int
    digest: bytes
    security: int


@dataclass(frozen=True)
class Beacon:
    digest: bytes
    vendor: bytes
    issued: int
    until: int
    root: int
    current: list[Current]

    def refuses(self, m: Manifest, classes: list[bytes]) -> set[str]:
        """All codes for which it refuses a manifest on a device of these classes (B-4). The order is that of M-4."""
        mine = [entry for entry in self.current if entry.device_class in classes]
        if not mine or any((e.sequence, e.digest) == (m.sequence, m.digest) for e in mine):
            return set()
        codes = {
            "security-version": m.security < max(e.security for e in mine),
            "equivocation": any(e.sequence == m.sequence for e in mine),
            "superseded": m.sequence < max(e.sequence for e in mine),
        }
        return {code for code, holds in codes.items() if holds}


def read(s: Statement) -> Beacon:
    """The beacon of a statement that is valid (B-1, B-2)."""
    b = decode(s.payload, SHAPE)
    current = [Current(*entry) for entry in b[5]]
    is_good = len(b[1]) == 16 and b[2] < b[3] < 2**40 and b[3] - b[2] <= LONGEST and 1 <= b[4] <= 65535
    is_good = is_good and 1 <= len(current) <= 16 and ascends([(e.device_class, e.sequence) for e in current])
    for entry in current:
        is_good = is_good and len(entry.device_class) == 16 and 1 <= entry.sequence < 2**63
        is_good = is_good and len(entry.digest) == 32 and entry.security < 2**32
    need(is_good, "range")
    return Beacon(s.digest, b[1], b[2], b[3], b[4], current)


class Freshness:
    """The newest beacon, the clock and the state. No date makes a device refuse anything (B-10, K-11).

    `now` is seconds of a clock that does not jump, from 0 at the start.
    """

    def __init__(self, root: Root, built: int = 0, reached: int = 0):
        self.root = root
        self.reached = reached  # Version of the highest root that the device remembers (K-7).
        # Times that are past, each with when the device learnt of it.
        self.built, self.root_issued = (built, 0.0), (root.issued, 0.0)
        self.newest: Beacon | None = None
        self.octets = b""  # The newest beacon as it was received.
        self.newest_since = 0.0
        self.heard_since: float | None = None

    def keep(self, octets: bytes) -> None:
        """Takes the beacon that was the newest before the start (B-9). It has not been heard."""
        self.newest, self.octets = self.root.verify_beacon(octets, read), octets

    def is_newest(self, s: Statement) -> bool:
        return self.newest is not None and s.digest == self.newest.digest

    def hear(self, now: float, octets: bytes) -> None:
        """Takes a beacon (B-3)."""
        if self.is_newest(parse(octets)):
            self._heard(now)
            raise Refused("duplicate")
        beacon = self.root.verify_beacon(octets, read)
        need(self.newest is None or beacon.issued > self.newest.issued, "beacon-replay")
        self.newest, self.octets, self.newest_since = beacon, octets, now
        self._heard(now)

    def _heard(self, now: float) -> None:
        self.heard_since = now if self.heard_since is None else self.heard_since

    def follow(self, now: float, root: Root) -> None:
        """The device has walked to another root. What does not hold under it is forgotten (B-5)."""
        self.root, self.root_issued = root, (root.issued, now)
        try:
            if self.newest:
                root.verify_beacon(self.octets, read)
        except Refused:
            self.newest, self.octets, self.heard_since = None, b"", None

    def clock(self, now: float, system: float | None = None) -> int:
        """The latest time that is past for sure (B-6). `system` is a clock that the operator says can be trusted."""
        known = [self.built, self.root_issued]
        if self.newest:
            known.append((self.newest.issued, self.newest_since))
        return int(max([time + now - since for time, since in known] + [system or 0]))

    def state(self, now: float, system: float | None = None) -> str:
        """B-7."""
        if self.reached > self.root.version:
            return "behind"  # Also without a beacon role (K-7).
        if self.root.beacon_role is None:
            return "off"
        if self.newest and self.newest.root > self.root.version:
            return "behind"
        is_past = self.newest is not None and self.clock(now, system) > self.newest.until
        if is_past or (self.heard_since is None and now >= SILENCE):
            return "stale"
        if self.heard_since is None or now - self.heard_since < SETTLING:
            return "waiting"
        return "fresh"
