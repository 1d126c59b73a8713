"""The device: what it makes of each datagram. Time comes with the input; nothing here reads a clock or a socket."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import packet
from manifest import Manifest
from packet import CHUNK, STATEMENT, Packet, Refused, need
from policy import Record, Settings, decide
from roots import Root
from session import Session, Waiting
from storage import State, sweep
from trust import Trust

SESSIONS = 8  # M-6


class Device:
    """`root` is what it was made with: bare keys or a root. `tell` gets events."""

    def __init__(self, settings: Settings, state: State, root: Root, tell: Callable[..., Any]):
        self.settings, self.state, self.tell = settings, state, tell
        self.trust = Trust(settings, state, root, tell)
        self.sessions: list[Session] = []
        self.active: Session | None = None  # The one of which a chunk has verified (M-6).
        self.waiting = Waiting()
        self.left_alone: set[bytes] = set()  # Releases that storage could not take (M-7).
        self.dropped, self.told = Counter(), {}
        self.chunks = 0  # Verified and new.
        sweep(settings)

    def handle(self, datagram: bytes, source: str, now: float, wall: float) -> None:
        """Takes a datagram, in any order (W-12). `now` is seconds since the start, `wall` Unix time."""
        try:
            self._take(packet.decode(datagram), source, now)
        except Refused as refused:
            self.dropped[refused.code] += 1
            if refused.code == "equivocation":
                self._tell_change("alarm", code=refused.code)  # M-5
        self.tick(now, wall)

    def tick(self, now: float, wall: float) -> None:
        """Does what is due: installs what is ready, if that is allowed (B-8, M-10)."""
        freshness = self.trust.freshness
        system = wall if self.settings.trust_clock else None
        state = freshness.state(now, system)
        self._tell_change("freshness", state=state)  # B-11
        if self.active is None or not self.active.is_ready:
            return
        m = self.active.manifest
        if state not in ("off", "fresh") and not (state == "stale" and self.settings.install_when_stale):
            self._tell_change("waiting", sequence=m.sequence, code=state)
        elif max(wall, freshness.clock(now, system)) < m.wave_time(self._wave(m)):
            self._tell_change("waiting", sequence=m.sequence, code="wave")
        else:
            self._install()

    def _tell_change(self, event: str, **what: Any) -> None:
        if self.told.get(event) != what:
            self.told[event] = what
            self.tell(event, **what)

    def _wave(self, m: Manifest) -> int:
        return m.wave_number(self.state.seed)

    def _take(self, p: Packet, source: str, now: float) -> None:
        if p.codepoint == STATEMENT:
            m = self.trust.take(p, source, now)
            if m is None:
                self._reconsider()
            elif m.digest not in self.left_alone and all(each.manifest.digest != m.digest for each in self.sessions):
                self._decide(m)
                self._add(Session(m, p.payload))
            return
        # A TSI names nothing (M-8): two releases may have the same.
        error = Refused("other-session")
        for session in [session for session in self.sessions if session.manifest.tsi == p.tsi]:
            try:
                return self._placed(session, p, source)
            except Refused as refused:
                error = refused
        raise error

    def _decide(self, m: Manifest) -> None:
        decide(m, self.settings, self.state.floors, self.trust.freshness.newest, self._wave(m))

    def _reconsider(self) -> None:
        """Gives up what is not valid, or not for this device, any longer (K-7, B-4)."""
        for session in list(self.sessions):
            try:
                self.trust.root.verify_manifest(session.octets)
                self._decide(session.manifest)
            except Refused as refused:
                self._give_up(session, refused.code)

    def _give_up(self, session: Session, why: str) -> None:
        session.discard()
        self.sessions.remove(session)
        if session is self.active:
            self.active = None
            self.tell("given-up", sequence=session.manifest.sequence, code=why)

    def _add(self, session: Session) -> None:
        """Considers a release, in place of the lowest one if there are many (M-6)."""
        if len(self.sessions) >= SESSIONS:
            idle = [each for each in self.sessions if each is not self.active]
            lowest = min(idle, key=lambda each: each.manifest.sequence)
            need(lowest.manifest.sequence < session.manifest.sequence, "outnumbered")
            self._give_up(lowest, "outnumbered")
        self.sessions.append(session)

    def _placed(self, session: Session, p: Packet, source: str) -> None:
        """A page, parity page or chunk of a release."""
        part = session.part(p.component)
        if p.codepoint == CHUNK:
            position = part.geometry.position(*p.symbol)
            need(len(p.payload) == part.geometry.chunk, "length")  # W-10
            return self._chunk(session, p.component, position, p.payload, source)
        for cell in part.add_page(p.codepoint, p.number, p.payload):
            for origin, position, chunk in self.waiting.take((session.manifest.digest, p.component, cell)):
                try:
                    self._chunk(session, p.component, position, chunk, origin)
                except Refused as refused:
                    self.dropped[refused.code] += 1

    def _chunk(self, session: Session, component: int, position: int, chunk: bytes, source: str) -> None:
        part = session.parts[component]
        # One of the chunks that waited may have ended the session.
        if session not in self.sessions or session.is_ready or not part.is_wanted(position):
            return
        is_genuine = part.is_genuine(position, chunk)
        if is_genuine is None:
            cell = part.geometry.slot(position)[0]
            return self.waiting.add(source, (session.manifest.digest, component, cell), position, chunk)
        need(is_genuine, "chunk-digest")
        try:
            self._activate(session)
            part.write(position, chunk)
            self.chunks += 1
            if session.is_complete():
                self._complete(session)
        except OSError as error:  # Storage cannot take it (M-7).
            self.tell("fault", sequence=session.manifest.sequence, error=str(error))
            self.left_alone.add(session.manifest.digest)
            self._give_up(session, "fault")

    def _activate(self, session: Session) -> None:
        """Turns to the release of a chunk that has verified, if it is the newest of these (M-6)."""
        m, before = session.manifest, self.active
        if session is not before:
            need(before is None or m.sequence > before.manifest.sequence, "outnumbered")
            session.open(self.settings, self.state.path.parent)
            self.active = session
            self.tell("begin", sequence=m.sequence, version=m.version)
        floors = self.state.floors
        if floors.seen not in floors.standing() or floors.seen.digest != m.digest:
            floors.seen = Record.of(m, self.trust.root.version)  # M-7
            self.state.save()
            self._reconsider()

    def _complete(self, session: Session) -> None:
        counts = [part.restore() for part in session.parts]
        if None in counts:
            return self._give_up(session, "image-digest")  # It is received anew.
        session.is_ready = True
        self.tell("complete", sequence=session.manifest.sequence, restored=sum(counts))

    def _install(self) -> None:
        m = self.active.manifest
        files = [(part.store.path, part.store.target) for part in self.active.parts]
        for part in self.active.parts:
            part.store.close()
        self.state.install(m, self.trust.root.version, files)
        for session in self.sessions:
            if session is not self.active:
                session.discard()
        self.active = None
        self.sessions.clear()
        self.tell("installed", sequence=m.sequence, version=m.version)
