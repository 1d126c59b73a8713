"""One release while it comes: pages, derived pages, and chunks (sections 6 and 7)."""

from collections import deque
from pathlib import Path
from typing import Hashable

import erasure
from manifest import Component, Manifest
from packet import PAGE, need
from policy import Settings
from storage import Store
from tree import xor

IDLE_PAGES = 32  # Pages, and parity pages, kept of a component before a chunk of its release has verified.


class Waiting:
    """Chunks whose page has not come (T-11): bounded, in queues so that a source displaces only its own."""

    SOURCES, EACH = 8, 64

    def __init__(self):
        self.queues: dict[Hashable, deque] = {}

    def add(self, source: Hashable, cell: Hashable, position: int, chunk: bytes) -> None:
        if source in self.queues or len(self.queues) < self.SOURCES:
            self.queues.setdefault(source, deque(maxlen=self.EACH)).append((cell, position, chunk))

    def take(self, cell: Hashable) -> list[tuple[Hashable, int, bytes]]:
        """All candidates for a cell, each with its source; there may be several for one position."""
        taken = []
        for source, queue in list(self.queues.items()):
            taken += [(source, position, chunk) for of, position, chunk in queue if of == cell]
            rest = [entry for entry in queue if entry[0] != cell]
            if rest:
                self.queues[source] = deque(rest, maxlen=self.EACH)
            else:
                del self.queues[source]
        return taken


class Part:
    """What has come of a component."""

    def __init__(self, component: Component):
        self.component, self.tree = component, component.tree
        self.geometry = g = component.tree.geometry
        self.pages: dict[int, bytes] = {}
        self.parities: dict[int, bytes] = {}  # Those that a page can yet be derived from.
        self.have = bytearray(0)
        self.lacking = [g.block(b)[0] for b in range(g.blocks)]  # Chunks that each block still needs (F-4).
        self.store: Store | None = None

    def open(self, target: Path, folder: Path, release: bytes) -> None:
        """Makes room for it."""
        self.store = Store(self.component, target, folder, release)
        self.have = bytearray(self.geometry.source + self.geometry.repairs)

    def add_page(self, codepoint: int, cell: int, payload: bytes) -> list[int]:
        """Takes a page or parity page, and gives the cells whose pages are known by it."""
        page = self.tree.check_page(codepoint, cell, payload)
        if codepoint == PAGE or self.geometry.cells <= 3:  # T-4
            if cell in self.pages:
                return []
            self.pages[cell] = page
            known = self._derive(cell)
        else:
            self.parities[cell] = page
            known = [cell for cell in self._pair(cell) if cell in self.pages][:1]
            known = self._derive(*known)[1:] if known else []
        if self.store is None:
            for kept in (self.pages, self.parities):
                while len(kept) > IDLE_PAGES:
                    del kept[next(iter(kept))]
        return known

    def _pair(self, cell: int) -> tuple[int, int]:
        """The cells whose pages a parity page is of (T-4)."""
        return cell, (cell - 3) % self.geometry.cells

    def _derive(self, cell: int) -> list[int]:
        """Derives what follows from the page of a cell (T-9); gives it and all cells derived."""
        known = [cell]
        for cell in known:  # It grows on the way.
            for parity in (cell, (cell + 3) % self.geometry.cells):
                if parity not in self.parities:
                    continue
                a, b = self._pair(parity)
                other = b if cell == a else a
                page = self.parities.pop(parity)
                if other not in self.pages:
                    self.pages[other] = xor(page, self.pages[cell])[: self.geometry.page_length(PAGE, other)]
                    known.append(other)
        return known

    def is_wanted(self, position: int) -> bool:
        """Whether the chunk is of use: it lacks, and its block is not complete."""
        if self.store is None:
            return True
        return not self.have[position] and self.lacking[self.geometry.symbol(position)[0]] > 0

    def is_genuine(self, position: int, chunk: bytes) -> bool | None:
        """Whether a chunk is the right one (T-9); `None` as long as its page is not known."""
        cell, slot = self.geometry.slot(position)
        page = self.pages.get(cell)
        return None if page is None else self.tree.is_chunk(page, slot, chunk)

    def write(self, position: int, chunk: bytes) -> None:
        """Keeps a chunk that has been verified (T-10)."""
        self.store.write(position, chunk)
        self.have[position] = 1
        self.lacking[self.geometry.symbol(position)[0]] -= 1

    def restore(self) -> int | None:
        """Restores what lacks and proves the image (F-4, I-1). Gives the chunks restored, `None` if it is wrong."""
        g, restored = self.geometry, 0
        for b in range(g.blocks):
            k, r = g.block(b)
            missing = [esi for esi in range(k) if not self.have[g.position(b, esi)]]
            repairs = [i for i in range(r) if self.have[g.position(b, k + i)]][: len(missing)]
            if missing:
                read = lambda esi, b=b: self.store.read(g.position(b, esi))
                for esi, chunk in erasure.restore(k, r, missing, repairs, read):
                    if self.is_genuine(g.position(b, esi), chunk) is False:
                        return None
                    self.store.write(g.position(b, esi), chunk)
            restored += len(missing)
        return restored if self.store.is_proven() else None


class Session:
    """A release that this device may receive."""

    def __init__(self, manifest: Manifest, octets: bytes):
        self.manifest, self.octets = manifest, octets  # The whole statement as received (K-7).
        self.parts = [Part(component) for component in manifest.components]
        self.is_ready = False  # Complete, and every image proven.

    def part(self, number: int) -> Part:
        need(number < len(self.parts), "range")  # G-7
        return self.parts[number]

    def open(self, settings: Settings, folder: Path) -> None:
        """Makes room for all images, or for none."""
        try:
            for part in self.parts:
                part.open(settings.targets[part.component.target][0], folder, self.manifest.digest)
        except OSError:
            self.discard()
            raise

    def is_complete(self) -> bool:
        return not any(any(part.lacking) for part in self.parts)

    def discard(self) -> None:
        for part in self.parts:
            if part.store is not None:
                part.store.discard()
                part.store = None
