"""The Python receiver with a fault: `wrong.py PLAY FAULT DEVICE CAPTURE`. The kit must find each of them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(sys.argv.pop(1)).resolve().parent))

import play  # noqa: E402

import policy  # noqa: E402
import session  # noqa: E402
import statement  # noqa: E402
import storage  # noqa: E402


def believes_signatures() -> None:
    statement.is_valid = lambda key, signed, signature: True


def takes_unverified_chunks() -> None:
    session.Part.is_genuine = lambda self, position, chunk: True


def takes_older_releases() -> None:
    policy.Floors.standing = lambda self: []


def ignores_repair() -> None:
    is_wanted = session.Part.is_wanted
    session.Part.is_wanted = lambda self, position: position < self.geometry.source and is_wanted(self, position)


def installs_one_component() -> None:
    install = storage.State.install
    storage.State.install = lambda self, m, root, files: install(self, m, root, files[:1])


def forgets_roots() -> None:
    save = storage.State.save

    def forgetful(self: storage.State) -> None:
        roots, reached = self.roots, self.reached
        self.roots, self.reached = [], 0
        save(self)
        self.roots, self.reached = roots, reached

    storage.State.save = forgetful


def needs_no_beacon() -> None:
    import beacons

    beacons.Freshness.state = lambda self, now, system: "off"


def believes_packet_counts() -> None:
    import packet

    decode, seen = packet.decode, set()

    def once(datagram: bytes) -> packet.Packet:
        p = decode(datagram)
        packet.need(datagram[4:8] not in seen, "duplicate")
        seen.add(datagram[4:8])
        return p

    packet.decode = once


globals()[sys.argv.pop(1)]()
sys.exit(play.main())
