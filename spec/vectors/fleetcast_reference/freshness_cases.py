"""Vectors of the layer `freshness`: what a device knows as time goes by."""

from .roots import (
    A1, B1, B2, DAY, ISSUED, R1, RELEASE, beacon, beacon_statement, grant, joined, role, root, root_statement)
from .statement import cose, parse, protected, statement
from .vector import Vector, stream

HOUR, YEAR = 3600, 365 * DAY
FIRST = root_statement(root(), R1)
BARE = {"trust": RELEASE.public.hex(), "threshold": 1}


def cases():
    def vector(name, requirement, comment, statements, at, built=ISSUED, system=None, anchor=None):
        fields = dict({"root": FIRST.hex()} if anchor is None else anchor) | {"built": built}
        if system is not None:
            fields["system"] = system
        return Vector("freshness", name, "ok", requirement, comment, fields | {"at": at}, joined(statements))

    start = ISSUED + DAY  # when the first beacon is issued
    today = beacon_statement(beacon(start, HOUR))
    later = beacon_statement(beacon(start + 60, HOUR))
    yield vector("off-bare-keys", "B-7 K-8", "bare keys know no beacons", [],
                 [f"0 state off {ISSUED}", f"9999 state off {ISSUED + 9999}"],
                 anchor=BARE)
    yield vector("off-no-role", "B-7", "a root without a beacon role", [], [f"0 state off {ISSUED + 9}"],
                 built=ISSUED + 9,
                 anchor={"root": root_statement(root(beacon=None), R1).hex()})
    yield vector("silence", "B-7", "no beacon ever comes", [],
                 [f"0 state waiting {ISSUED}", f"299 state waiting {ISSUED + 299}", f"300 state stale {ISSUED + 300}"])
    yield vector("first", "B-3 B-7", "the first beacon: fresh after 10 seconds, stale after until", [today],
                 ["20 hear 0 ok", f"20 state waiting {start}", f"29 state waiting {start + 9}",
                  f"30 state fresh {start + 10}",
                  f"{20 + HOUR} state fresh {start + HOUR}", f"{21 + HOUR} state stale {start + HOUR + 1}"])
    yield vector("later", "B-3 B-7",
                 "a later beacon, then the first again: it is refused, and the 10 seconds do not begin anew",
                 [today, later],
                 ["5 hear 0 ok", "12 hear 1 ok", f"12 state waiting {start + 60}", "13 hear 0 beacon-replay",
                  f"15 state fresh {start + 63}", "16 hear 1 duplicate", f"16 state fresh {start + 64}"])
    yield vector("late", "B-7", "the first beacon comes after 10 minutes", [today],
                 [f"600 state stale {ISSUED + 600}", "600 hear 0 ok", f"600 state waiting {start}",
                  f"610 state fresh {start + 10}"])
    yield vector("restart", "B-9", "the kept beacon is known at once and heard when it comes again", [today],
                 ["0 keep 0", f"0 state waiting {start}", "40 hear 0 duplicate", f"49 state waiting {start + 49}",
                  f"50 state fresh {start + 50}", f"{HOUR} state fresh {start + HOUR}",
                  f"{HOUR + 1} state stale {start + HOUR + 1}"])
    yield vector("restart-silence", "B-7 B-9", "the kept beacon is not heard again", [today],
                 ["0 keep 0", f"299 state waiting {start + 299}", f"300 state stale {start + 300}"])
    yield vector("restart-replay", "B-3 B-9",
                 "an older beacon than the kept one is refused and does not count as heard", [today, later],
                 ["0 keep 1", "1 hear 0 beacon-replay", f"20 state waiting {start + 80}"])
    yield vector("asleep", "B-9", "a year asleep, without a clock: the beacon of today tells the time",
                 [today, beacon_statement(
        beacon(start + YEAR, HOUR))],
                 ["0 keep 0", "3 hear 1 ok", f"3 state waiting {start + YEAR}", f"13 state fresh {start + YEAR + 10}"])
    yield vector("asleep-clock", "B-6 B-9",
                 "a year asleep, with a clock that is trusted: the kept beacon is stale at once", [today],
                 ["0 keep 0", f"0 state stale {start + YEAR}", "5 hear 0 duplicate",
                  f"20 state stale {start + YEAR + 20}"],
                 system=start + YEAR)
    yield vector("asleep-frozen", "B-9",
                 "a year asleep, and the old beacon is all there is: without a clock nothing shows its age", [today],
                 ["0 keep 0", "5 hear 0 duplicate", f"15 state fresh {start + 15}"])
    yield vector("clock-1970", "B-6", "a trusted clock that stands at 1970 does not set the time back", [today],
                 ["0 hear 0 ok", f"10 state fresh {start + 10}"], system=10)
    yield vector("clock-far", "B-6", "a trusted clock that is far ahead: every beacon is stale", [today],
                 ["0 hear 0 ok", "10 state stale 4000000010"], system=4_000_000_000)
    yield vector("built", "B-6", "the time of the settings is later than the beacon's until", [today],
                 ["0 hear 0 ok", f"10 state stale {start + YEAR + 10}"], built=start + YEAR)
    yield vector("root-time", "B-6", "the root was issued after the beacon's until", [today],
                 ["0 hear 0 ok", f"10 state stale {start + DAY + 10}"],
                 anchor={"root": root_statement(root(issued=start + DAY), R1).hex()})
    second = root_statement(root(2), R1)
    behind = beacon_statement(beacon(start, HOUR, 2))
    yield vector("behind", "B-7 K-7", "a beacon names root 2, which comes later", [behind, second],
                 ["0 hear 0 ok", f"0 state behind {start}", f"10 state behind {start + 10}", "11 root 1 ok",
                  f"11 state fresh {start + 11}"])
    yield vector("behind-and-stale", "B-7", "behind comes before stale: keys may have been revoked", [behind],
                 ["0 hear 0 ok", f"{2 * HOUR} state behind {start + 2 * HOUR}"])
    yield vector("behind-kept", "B-7 B-9", "behind already by the kept beacon", [behind],
                 ["0 keep 0", f"0 state behind {start}"])
    junk = statement(parse(today)[0], cose(protected(B1.public), stream("junk", 64)))
    yield vector("junk-first", "S-10 B-3", "the payload of a beacon in junk, then as it was signed, then in junk again",
                 [junk, today],
                 ["0 hear 0 threshold", "1 hear 1 ok", "2 hear 0 duplicate", f"11 state fresh {start + 10}"])
    yield vector("junk-heard", "B-3 B-7 B-9", "the kept beacon is heard again, in junk: its payload is all that counts",
                 [today, junk],
                 ["0 keep 0", "40 hear 1 duplicate", f"49 state waiting {start + 49}", f"50 state fresh {start + 50}"])
    yield vector("sent-as-root", "S-10 S-5", "a beacon that was sent as a root before is taken", [today],
                 ["0 root 0 threshold", "1 hear 0 ok", f"11 state fresh {start + 10}"])
    far = beacon_statement(beacon(start + 100 * YEAR, HOUR))
    other_role = root_statement(root(2, beacon=role(1, B2)), R1)
    honest = beacon_statement(beacon(start + 120, HOUR, 2), B2)
    yield vector("way-back", "B-5 K-7 S-10",
                 "a stolen beacon key sets the time far ahead; a root with another one undoes it",
                 [far, today, other_role, honest],
                 ["0 hear 0 ok", f"10 state fresh {start + 100 * YEAR + 10}", "11 hear 1 beacon-replay",
                  "12 hear 3 threshold",
                  "20 root 2 ok", f"20 state waiting {ISSUED + 20}", "21 hear 0 threshold", "22 hear 3 ok",
                  f"31 state waiting {start + 129}", f"32 state fresh {start + 130}"])
    yield vector("way-back-late", "B-5 B-7", "the same after more than 5 minutes: stale until a beacon is heard",
                 [far, other_role, honest],
                 ["0 hear 0 ok", "400 root 1 ok", f"400 state stale {ISSUED + 400}", "401 hear 2 ok",
                  f"401 state waiting {start + 120}",
                  f"411 state fresh {start + 130}"])
    yield vector("root-keeps-beacon", "B-5 K-7", "a root with the same beacon role: the beacon stays", [today, second],
                 ["0 hear 0 ok", "30 root 1 ok", f"30 state fresh {start + 30}"])
    none = root_statement(root(2, beacon=None), R1)
    yield vector("role-removed", "B-5 B-7", "a root without a beacon role: beacons are off, and the time is forgotten",
                 [today, none],
                 ["0 hear 0 ok", "30 root 1 ok", f"30 state off {ISSUED + 30}"])
    yield vector("root-time-back", "B-6 K-11", "the next root was issued earlier: its time counts",
                 [root_statement(root(2, issued=ISSUED), R1)],
                 [f"5 state waiting {start + YEAR + 5}", "10 root 0 ok", f"10 state waiting {ISSUED + 10}"],
                 anchor={"root": root_statement(root(issued=start + YEAR), R1).hex()})
    first_root = root_statement(root(grants=[grant(role(1, A1))]), R1, RELEASE)
    yield vector("first-root", "K-8 B-7", "bare keys, and the first root brings beacons", [first_root, today],
                 [f"0 state off {ISSUED}", "1 hear 1 threshold", "2 root 0 ok", f"2 state waiting {ISSUED + 2}",
                  "3 hear 1 ok",
                  f"13 state fresh {start + 10}"], anchor=BARE)
