"""Runs the receiver as the device in a folder, with one capture: `play.py DEVICE CAPTURE`."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import receiver  # noqa: E402


def options(folder: Path, capture: str) -> list[str]:
    """What the command line of the receiver is for this device."""
    device = json.loads((folder / "device.json").read_text())
    options = ["--vendor", device["vendor"], "--state", str(folder / "state"), "--pcap", capture]
    for name in device["classes"]:
        options += ["--class", name]
    if device["root"]:
        options += ["--root", str(folder / device["root"])]
    else:
        options += ["--threshold", str(device["threshold"])]
        for key in device["keys"]:
            options += ["--trust", str(folder / key["pem"])]
    if device["hardware"] is not None:
        options += ["--hardware", str(device["hardware"])]
    for name, target in device["targets"].items():
        options += ["--target", f"{name}={folder / target['file']}:{target['max_size']}"]
    return options


def main() -> int:
    device, capture = sys.argv[1:]
    sys.argv[1:] = options(Path(device), capture)
    return receiver.main()


if __name__ == "__main__":
    sys.exit(main())
