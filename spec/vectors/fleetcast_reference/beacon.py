"""Section 18: what is current, and whether that is known."""

import hashlib
from dataclasses import dataclass, field

from . import Refused, require, statement, trust
from .statement import check_array, check_map
from .trust import MAX_TIME, Trust, ascending

TYPES = {0: int, 1: bytes, 2: int, 3: int, 4: int, 5: list}
MAX_VALIDITY = 90 * 24 * 3600
LISTEN, PATIENCE = 10, 300


def check(beacon) -> dict:
    """Refuse a decoded payload that is not a beacon (B-1, B-2)."""
    check_map(beacon, TYPES, set())
    for entry in beacon[5]:
        check_array(entry, [bytes, int, bytes, int])
    issued, until, entries = beacon[2], beacon[3], beacon[5]
    ok = len(beacon[1]) == 16 and until < MAX_TIME and 1 <= until - issued <= MAX_VALIDITY
    ok = ok and 1 <= beacon[4] <= 0xFFFF and 1 <= len(entries) <= 16
    ok = ok and all(len(uuid) == 16 and 1 <= sequence < 1 << 63 and len(digest) == 32 and security < 1 << 32
                    for uuid, sequence, digest, security in entries)
    require(ok and ascending([entry[:2] for entry in entries]), "range")
    return beacon


def accept(octets: bytes, trusted: Trust) -> dict:
    """The beacon of a statement that is valid under `trusted` (K-5)."""
    beacon = check(statement.decode(trust.beacon_payload(octets, trusted)))
    require(beacon[1] == trusted.vendor, "scope")
    return beacon


def take(octets: bytes, trusted: Trust, newest: bytes | None) -> dict:
    """The beacon that replaces `newest`, a statement too (B-3)."""
    payload, _ = statement.parse(octets)
    require(newest is None or payload != statement.parse(newest)[0], "duplicate")
    beacon = accept(octets, trusted)
    require(newest is None or beacon[2] > accept(newest, trusted)[2], "beacon-replay")
    return beacon


def policy(beacon: dict, classes: list[bytes], payload: bytes) -> None:
    """What a beacon refuses of the manifest with this payload (B-4, in the order of M-4)."""
    manifest = statement.decode(payload)
    sequence, digest = manifest[1], hashlib.sha256(payload).digest()
    entries = [entry for entry in beacon[5] if entry[0] in classes]
    if not entries or any(entry[1:3] == [sequence, digest] for entry in entries):
        return
    require(manifest[2] >= max(entry[3] for entry in entries), "security-version")
    require(all(entry[1] != sequence for entry in entries), "equivocation")
    require(sequence >= max(entry[1] for entry in entries), "superseded")


@dataclass
class Device:
    """Clock and state (B-5 to B-7). Times are seconds since its start, and `system` is a trusted clock at the start."""

    trust: Trust
    built: int
    system: int | None = None
    newest: bytes | None = None
    learnt: dict = field(default_factory=lambda: {"root": 0, "newest": 0})
    heard: int | None = None

    def keep(self, octets: bytes) -> None:
        """What was kept from before the start (B-9)."""
        accept(octets, self.trust)
        self.newest = octets

    def hear(self, now: int, octets: bytes) -> str:
        """The answer to a beacon."""
        try:
            take(octets, self.trust, self.newest)
            self.newest, self.learnt["newest"], answer = octets, now, "ok"
        except Refused as refused:
            answer = refused.code
        if answer in ("ok", "duplicate") and self.heard is None:
            self.heard = now
        return answer

    def step(self, now: int, octets: bytes) -> str:
        """The answer to a root (B-5)."""
        try:
            self.trust = trust.following(octets, self.trust)
        except Refused as refused:
            return refused.code
        self.learnt["root"] = now
        try:
            if self.newest is not None:
                accept(self.newest, self.trust)
        except Refused:
            self.newest = self.heard = None
        return "ok"

    def clock(self, now: int) -> int:
        """B-6."""
        times = [self.built + now, self.trust.issued + now - self.learnt["root"]]
        if self.newest is not None:
            times.append(accept(self.newest, self.trust)[2] + now - self.learnt["newest"])
        if self.system is not None:
            times.append(self.system + now)
        return max(times)

    def state(self, now: int) -> str:
        """B-7."""
        if self.trust.beacon is None:
            return "off"
        beacon = accept(self.newest, self.trust) if self.newest is not None else None
        if beacon and beacon[4] > self.trust.version:
            return "behind"
        if beacon and self.clock(now) > beacon[3] or self.heard is None and now >= PATIENCE:
            return "stale"
        if self.heard is None or now - self.heard < LISTEN:
            return "waiting"
        return "fresh"
