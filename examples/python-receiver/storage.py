"""Files: what the device remembers, an image that is being received, and putting it in place (section 9)."""

import glob
import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from manifest import Component, Manifest
from policy import Floors, Record, Settings


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder last."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def proves(path: Path, size: int, sha256: bytes) -> bool:
    """Whether a file reads as an image: its length and SHA-256 (I-1)."""
    try:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # From storage rather than memory.
            return os.fstat(file.fileno()).st_size == size and hashlib.file_digest(file, "sha256").digest() == sha256
    except FileNotFoundError:
        return False


def sweep(settings: Settings) -> None:
    """Removes what was being received before the start: it would have to be verified again (I-3), and comes again."""
    for target, _ in settings.targets.values():
        for path in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
            path.unlink()


class State:
    """What survives restarts: one JSON file, replaced whole. One that cannot be read is an error, no fresh start."""

    def __init__(self, folder: Path):
        self.path = folder / "state.json"
        kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.seed = bytes.fromhex(kept.get("seed") or os.urandom(16).hex())  # M-10
        self.roots = [bytes.fromhex(root) for root in kept.get("roots", [])]  # K-7
        self.reached = kept.get("reached", 0)  # Version of the highest root that was ever trusted (K-7).
        self.beacon = bytes.fromhex(kept.get("beacon", ""))  # B-9
        self.installing = kept.get("installing")
        self.floors = Floors(_record(kept.get("installed")), _record(kept.get("seen")))
        self._finish()

    def save(self) -> None:
        kept = {
            "seed": self.seed.hex(),
            "roots": [root.hex() for root in self.roots],
            "reached": self.reached,
            "beacon": self.beacon.hex(),
            "installing": self.installing,
            "installed": _plain(self.floors.installed),
            "seen": _plain(self.floors.seen),
        }
        new = self.path.with_suffix(".new")
        with new.open("w") as file:
            json.dump(kept, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.path)
        sync_folder(self.path.parent)

    def install(self, m: Manifest, root: int, files: list[tuple[Path, Path]]) -> None:
        """Puts all proven images in place, or none (I-2): what is planned is written down first."""
        plan = [[str(new), str(to), c.size, c.sha256.hex()] for (new, to), c in zip(files, m.components)]
        self.installing = {"release": _plain(Record.of(m, root)), "files": plan}
        self.save()
        self._finish()

    def _finish(self) -> None:
        """Finishes an install, also one that a power loss has cut off (I-2, I-3)."""
        if self.installing is None:
            return
        plan = [(Path(new), Path(to), size, bytes.fromhex(sha)) for new, to, size, sha in self.installing["files"]]
        ready = [proves(new, size, sha) for new, _, size, sha in plan]
        if all(is_ready or proves(to, size, sha) for is_ready, (_, to, size, sha) in zip(ready, plan)):
            for is_ready, (new, to, _, _) in zip(ready, plan):
                if is_ready:
                    new.rename(to)
                    sync_folder(to.parent)
            self.floors.installed = _record(self.installing["release"])  # I-4
        # Otherwise storage has lost what was proven: the release is received again.
        self.installing = None
        self.save()


def _plain(record: Record | None) -> dict | None:
    return record and asdict(record) | {"digest": record.digest.hex()}


def _record(plain: dict | None) -> Record | None:
    return plain and Record(**(plain | {"digest": bytes.fromhex(plain["digest"])}))


class Store:
    """An image while it comes: source chunks in a file beside the target, repair chunks in one without a name."""

    def __init__(self, component: Component, target: Path, folder: Path, release: bytes):
        self.geometry = component.tree.geometry
        self.component, self.target = component, target
        self.path = target.with_name(f".{target.name}.{release.hex()}.part")  # M-8
        self.image = self.path.open("w+b", buffering=0)
        self.repairs = None
        try:
            os.posix_fallocate(self.image.fileno(), 0, component.size)  # No room shows here, before anything else.
            self.repairs = tempfile.TemporaryFile(dir=folder, buffering=0)
        except OSError:
            self.discard()
            raise

    def _place(self, position: int) -> tuple[int, int, int]:
        """File, offset and length of a chunk in it."""
        g = self.geometry
        if position < g.source:
            at = position * g.chunk
            return self.image.fileno(), at, min(g.chunk, g.size - at)  # Padding is never written (G-2).
        return self.repairs.fileno(), (position - g.source) * g.chunk, g.chunk

    def write(self, position: int, chunk: bytes) -> None:
        """Writes a chunk that has been verified (T-10)."""
        file, at, length = self._place(position)
        rest = memoryview(chunk)[:length]
        while rest:
            written = os.pwrite(file, rest, at)
            rest, at = rest[written:], at + written

    def read(self, position: int) -> bytes:
        """A chunk, padding included."""
        file, at, length = self._place(position)
        return os.pread(file, length, at).ljust(self.geometry.chunk, b"\0")

    def is_proven(self) -> bool:
        """Flushes the image and reads it back (I-1)."""
        os.fsync(self.image.fileno())
        return proves(self.path, self.component.size, self.component.sha256)

    def close(self) -> None:
        self.image.close()
        if self.repairs is not None:
            self.repairs.close()

    def discard(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)
