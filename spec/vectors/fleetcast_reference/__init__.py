"""Fleetcast, protocol version 1, in plain Python: written from `spec/protocol.md` alone.

It is made to be read beside the specification, not to be fast or to meet hostile traffic. Rule ids such as `W-3` are
those of the specification.
"""


class Refused(Exception):
    """A packet, statement or file was refused; the argument is the code of section 12."""

    @property
    def code(self) -> str:
        return self.args[0]


def require(condition: bool, code: str) -> None:
    """Refuse with `code` unless `condition` holds."""
    if not condition:
        raise Refused(code)
