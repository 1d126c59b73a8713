"""What the device makes of statements: the root it trusts, the newest beacon, and what it remembers (S-10, S-11)."""

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from beacons import Freshness
from manifest import Manifest
from packet import BEACON, MANIFEST, ROOT, Packet, Refused, need
from policy import Settings
from roots import Root
from statement import Statement, kid, parse
from storage import State

REMEMBERED = 1024  # Statements that did not verify, and manifests that did.
BUDGET, SOURCES = 20, 256  # Statements verified a second for each source; sources told apart (S-11).


class Trust:
    """`root` is what the device was made with: bare keys or a root."""

    def __init__(self, settings: Settings, state: State, root: Root, tell: Callable[..., Any]):
        self.settings, self.state, self.root, self.tell = settings, state, root, tell
        need(root.vendor in (None, settings.vendor), "vendor")
        self._walk_kept()
        self.freshness = Freshness(self.root, settings.built, state.reached)
        try:
            if state.beacon:
                self.freshness.keep(state.beacon)  # B-9
        except Refused:
            state.beacon = b""
        self.known: dict[tuple[int, bytes], Manifest | Refused] = {}  # By kind and whole statement (S-10).
        self.second, self.spent = -1, Counter()

    def take(self, p: Packet, source: str, now: float) -> Manifest | None:
        """Takes a statement. A manifest that is valid is for the caller; roots and beacons are kept and followed."""
        s = parse(p.payload)
        if p.kind == MANIFEST:
            need(p.tsi == s.digest[:4], "tsi")  # W-6
        elif p.kind == ROOT:
            need(p.number == self.root.version + 1, "root-version")  # S-11
        elif self.freshness.is_newest(s):
            self.freshness.hear(now, p.payload)
        name = (p.kind, hashlib.sha256(p.payload).digest())
        known = self.known.get(name)
        if isinstance(known, Manifest):
            return known
        need(known is None, "refused-before")
        self._spend(p.kind, s, source, now)
        try:
            known = self._verify(p.kind, p.payload, now)
        except Refused as refused:
            self._remember(name, refused)
            raise
        if known is not None:
            self._remember(name, known)
        return known

    def _spend(self, kind: int, s: Statement, source: str, now: float) -> None:
        """Drops what cannot verify, and what is too much: who floods uses up nobody else's share (S-11)."""
        kids = {kid(key) for key in self.root.keys(kind)}
        need(any(protected[5:] in kids for protected, _ in s.signatures), "threshold")
        if int(now) != self.second:
            self.second, self.spent = int(now), Counter()
        who = source if source in self.spent or len(self.spent) < SOURCES else "others"
        need(self.spent[who] < BUDGET, "budget")
        self.spent[who] += 1

    def _remember(self, name: tuple[int, bytes], known: Manifest | Refused) -> None:
        self.known[name] = known
        if len(self.known) > REMEMBERED:
            del self.known[next(iter(self.known))]

    def _verify(self, kind: int, octets: bytes, now: float) -> Manifest | None:
        if kind == MANIFEST:
            return self.root.verify_manifest(octets)
        if kind == BEACON:
            self.freshness.hear(now, octets)
            self.state.beacon = octets
            self.state.save()
        else:
            self._step(self.root.step(octets, self.settings.vendor), octets, now)
        return None

    def _step(self, after: Root, octets: bytes, now: float) -> None:
        """Follows a root, once it is kept (K-7)."""
        self.state.roots.append(octets)
        self.state.reached = max(self.state.reached, after.version)
        self.state.save()
        self._follow(after)
        self.known.clear()  # S-10
        self.freshness.follow(now, after)
        self.state.beacon = self.freshness.octets
        self.state.save()
        self.tell("root", version=after.version)

    def _walk_kept(self) -> None:
        """Walks the roots of earlier, and forgets what does not verify and all after it (K-7)."""
        for number, octets in enumerate(self.state.roots):
            try:
                self._follow(self.root.step(octets, self.settings.vendor))
            except Refused:
                del self.state.roots[number:]
                break

    def _follow(self, after: Root) -> None:
        if self.root.makes_void(after):
            self.state.floors.void_before = after.version  # K-9
        self.root = after
