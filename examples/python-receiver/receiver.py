#!/usr/bin/env python3
"""A Fleetcast receiver from the specification alone. See README.md."""

import argparse
import json
import signal
import sys
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

import sources
from device import Device
from packet import Refused
from policy import Settings
from roots import Root, bare_keys, root_file
from statement import is_sound
from storage import State


def identity(text: str, namespace: uuid.UUID) -> uuid.UUID:
    """A UUID, or the name that one is made from (section 4, keys 4 and 5)."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.uuid5(namespace, text)


def public_key(text: str) -> bytes:
    """A raw key in hexadecimal, or a PEM file."""
    if len(text) == 64 and not Path(text).exists():
        return bytes.fromhex(text)
    key = load_pem_public_key(Path(text).read_bytes())
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def target(text: str) -> tuple[str, tuple[Path, int]]:
    """`NAME=FILE` or `NAME=FILE:LARGEST`."""
    name, _, place = text.partition("=")
    path, _, largest = place.rpartition(":")
    if path and largest.isdigit():
        return name, (Path(path).absolute(), int(largest))
    return name, (Path(place).absolute(), 2**34)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    trust = parser.add_mutually_exclusive_group(required=True)
    trust.add_argument("--trust", action="append", metavar="KEY", help="public key: PEM file, or 64 hexadecimal digits")
    trust.add_argument("--root", type=Path, metavar="FILE", help="the root file that the device is made with")
    parser.add_argument("--threshold", type=int, default=1, metavar="M", help="keys that must have signed [1]")
    parser.add_argument("--vendor", required=True, help="UUID or domain")
    parser.add_argument("--class", required=True, action="append", dest="classes", metavar="CLASS", help="UUID or name")
    parser.add_argument(
        "--target", required=True, action="append", type=target, metavar="NAME=FILE[:LARGEST]",
        help="install target: the file that its images replace, and their largest size in octets",
    )  # fmt: skip
    parser.add_argument("--state", required=True, type=Path, metavar="DIR", help="what survives restarts")
    parser.add_argument("--hardware", type=int, metavar="N", help="hardware revision")
    parser.add_argument("--built", type=int, default=0, metavar="TIME", help="Unix time that is past for sure")
    parser.add_argument("--trust-clock", action="store_true", help="the system clock can be trusted")
    parser.add_argument("--install-when-stale", action="store_true", help="install without a beacon that holds")
    parser.add_argument("--group", metavar="GROUP:PORT", help="where releases are sent; needed unless there is --pcap")
    parser.add_argument("--source", action="append", default=[], help="join source-specifically; can be repeated")
    parser.add_argument("--interface", metavar="NAME", help="where to join")
    parser.add_argument("--pcap", type=Path, metavar="FILE", help="read a capture in place of the network")
    parser.add_argument("--once", action="store_true", help="end after one install")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="end after this time")
    args = parser.parse_args()
    if not args.pcap and not (args.group and args.interface):
        parser.error("--group and --interface are needed, or --pcap")
    return args


def made_with(args: argparse.Namespace) -> Root:
    """What the device trusts from the start."""
    if args.root:
        return root_file(args.root.read_bytes())
    keys = [public_key(text) for text in args.trust]
    if not all(map(is_sound, keys)) or not 1 <= args.threshold <= min(8, len(set(keys))):
        raise ValueError("a key of --trust is weak or damaged, or --threshold is out of range")
    return bare_keys(keys, args.threshold)


def main() -> int:
    args = arguments()
    # Such a signal ends the program as an exception does: what is done there is done.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    def tell(event: str, **what: object) -> None:
        print(json.dumps({"v": 1, "event": event} | what), flush=True)
        installed.extend([what] if event == "installed" else [])

    installed: list[dict] = []
    try:
        vendor = identity(args.vendor, uuid.NAMESPACE_DNS)
        classes = [identity(name, vendor).bytes for name in args.classes]
        targets = dict(args.target)
        settings = Settings(
            vendor.bytes, classes, targets, args.hardware, args.built, args.trust_clock, args.install_when_stale
        )
        args.state.mkdir(parents=True, exist_ok=True)
        device = Device(settings, State(args.state), made_with(args), tell)
        group = sources.Group.parse(args.group, tuple(args.source)) if args.group else None
        if args.pcap:
            stream = sources.capture(args.pcap, group)
        else:
            stream = sources.live(sources.join(group, args.interface), args.timeout)
    except (OSError, ValueError, KeyError, Refused) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tell("ready", root=device.trust.root.version)
    datagrams = 0
    try:
        for came in stream:
            if came.datagram is None:
                device.tick(came.now, came.wall)
            else:
                datagrams += 1
                device.handle(came.datagram, came.source, came.now, came.wall)
            if args.once and installed:
                break
    finally:
        tell("stopped", datagrams=datagrams, chunks=device.chunks, dropped=dict(device.dropped))
    return 0 if installed else 1


if __name__ == "__main__":
    sys.exit(main())
