"""Section 15: requests."""

from . import require
from .geometry import Geometry

MARK = b"FCN\x01"
HEAD, ENTRY, MOST = 20, 13, 1232


def encode(release: bytes, entries: list[tuple[int, int, int]], *, mark: bytes = MARK) -> bytes:
    """A request; an entry is its first octet, the cell index and the slots as a number. Nothing is sorted or checked."""
    return mark + release + b"".join(
        bytes([first]) + cell.to_bytes(4, "big") + slots.to_bytes(8, "big") for first, cell, slots in entries)


def take(datagram: bytes, release: bytes, components: list[Geometry]) -> None:
    """What the sender of a release makes of a request (N-5, N-6)."""
    parse(datagram)
    require(datagram[4:HEAD] == release, "other-release")
    for at in range(HEAD, len(datagram), ENTRY):
        component, cell = datagram[at] & 7, int.from_bytes(datagram[at + 1 : at + 5], "big")
        require(component < len(components) and cell < components[component].cells, "range")
        slots = int.from_bytes(datagram[at + 5 : at + ENTRY], "big")
        require(slots < 1 << components[component].cell_length(cell), "range")


def parse(datagram: bytes) -> dict:
    """The fields of a request in the order a vector's header lists them; else refused (N-1 to N-4)."""
    entries, rest = divmod(len(datagram) - HEAD, ENTRY)
    require(entries >= 1 and rest == 0, "truncated")
    require(len(datagram) <= MOST, "length")
    require(datagram[:4] == MARK, "mark")
    lines, before = [], None
    for at in range(HEAD, len(datagram), ENTRY):
        first, cell = datagram[at], int.from_bytes(datagram[at + 1 : at + 5], "big")
        slots = int.from_bytes(datagram[at + 5 : at + ENTRY], "big")
        require(first & 0x78 == 0, "reserved")
        require(first & 0x80 or slots, "empty")
        require(before is None or before < (first & 7, cell), "order")
        before = first & 7, cell
        lines.append(f"{first & 7}, {cell}, {'page' if first & 0x80 else '-'}, {slots:016x}")
    return {"release": datagram[4:HEAD].hex(), "entry": lines}
