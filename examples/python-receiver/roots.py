"""Whose signatures count for what: bare keys, roots, and the walk from one root to the next (section 17)."""

from dataclasses import dataclass

import manifest
import statement
from manifest import TOKEN, Manifest
from packet import BEACON, MANIFEST, ROOT, need
from statement import Maybe, decode, is_sound, parse, signers

ROLE = (int, int)
GRANT = {0: ROLE, 1: Maybe(ROLE), 2: Maybe([bytes]), 3: Maybe([str])}
SHAPE = {0: int, 1: int, 2: bytes, 3: int, 4: [bytes], 5: ROLE, 6: [GRANT], 7: Maybe(ROLE)}  # K-1


@dataclass(frozen=True)
class Role:
    """A set of keys, and how many of them must have signed (S-7)."""

    threshold: int
    keys: frozenset[bytes]

    def is_met(self, valid: set[bytes]) -> bool:
        return len(valid & self.keys) >= self.threshold

    def is_out_of_reach(self, keys: set[bytes]) -> bool:
        """Whether these keys alone can never meet it."""
        return len(self.keys & keys) < self.threshold


@dataclass(frozen=True)
class Grant:
    """Who may sign which releases."""

    author: Role
    operator: Role | None = None
    classes: list[bytes] | None = None
    targets: list[str] | None = None

    def is_met(self, valid: set[bytes]) -> bool:
        """K-3."""
        return self.author.is_met(valid) and (self.operator is None or self.operator.is_met(valid))

    def covers(self, m: Manifest) -> bool:
        """K-4."""
        has_classes = self.classes is None or set(m.classes) <= set(self.classes)
        return has_classes and (self.targets is None or {c.target for c in m.components} <= set(self.targets))


@dataclass(frozen=True)
class Root:
    """What is trusted. `vendor` is `None` for bare keys, which stand for a root of version 0 (K-8)."""

    version: int
    vendor: bytes | None
    issued: int
    root_role: Role
    grants: list[Grant]
    beacon_role: Role | None

    @property
    def release_keys(self) -> set[bytes]:
        """K-9."""
        roles = [role for grant in self.grants for role in (grant.author, grant.operator) if role]
        return {key for role in roles for key in role.keys}

    def keys(self, kind: int) -> set[bytes]:
        """The keys that count for a kind of statement (S-11)."""
        if kind == MANIFEST:
            return self.release_keys
        role = self.root_role if kind == ROOT else self.beacon_role
        return set(role.keys) if role else set()

    def verify_manifest(self, octets: bytes) -> Manifest:
        """A manifest that is valid under this root."""
        s = parse(octets)
        valid = signers(s, MANIFEST, self.release_keys)
        met = [grant for grant in self.grants if grant.is_met(valid)]
        need(met != [], "threshold")  # K-3
        m = manifest.read(s)
        need(self.vendor in (None, m.vendor) and any(grant.covers(m) for grant in met), "scope")  # K-4
        return m

    def verify_beacon(self, octets: bytes, read):
        """A beacon that is valid under this root (K-5)."""
        s = parse(octets)
        role = self.beacon_role
        need(role is not None and role.is_met(signers(s, BEACON, set(role.keys))), "threshold")
        beacon = read(s)
        need(beacon.vendor == self.vendor, "scope")
        return beacon

    def step(self, octets: bytes, vendor: bytes | None = None) -> "Root":
        """The root that follows this one, in the order of K-6. `vendor` is the device's."""
        s = parse(octets)
        need(self.root_role.is_met(signers(s, ROOT, set(self.root_role.keys))), "threshold")
        after = read(s)
        need(after.version == self.version + 1, "root-version")
        need(self.vendor in (None, after.vendor), "scope")
        need(after.root_role.is_met(signers(s, ROOT, set(after.root_role.keys))), "threshold")
        need(vendor in (None, after.vendor), "vendor")  # K-8
        return after

    def makes_void(self, after: "Root") -> bool:
        """Whether the step from here to `after` makes the floors void (K-9)."""
        mine = self.release_keys
        roles = [[role for role in (grant.author, grant.operator) if role] for grant in after.grants]
        return all(any(role.is_out_of_reach(mine) for role in grant) for grant in roles)


def bare_keys(keys: list[bytes], threshold: int) -> Root:
    """K-8. A key that S-6 refuses is not in the set."""
    role = Role(threshold, frozenset(key for key in keys if is_sound(key)))
    return Root(0, None, 0, role, [Grant(role)], None)


def root_file(octets: bytes) -> Root:
    """The root that a device is made with (K-10)."""
    s = parse(octets)
    root = read(s)
    need(root.root_role.is_met(signers(s, ROOT, set(root.root_role.keys))), "threshold")
    return root


def ascends(items: list) -> bool:
    """Strictly."""
    return all(a < b for a, b in zip(items, items[1:]))


def read(s: statement.Statement) -> Root:
    """The root of a statement (K-1, K-2)."""
    r = decode(s.payload, SHAPE)
    keys, grants = r[4], r[6]
    bits = [role for grant in grants for role in (grant[0], grant.get(1)) if role]
    bits += [r[5]] + ([r[7]] if 7 in r else [])
    is_good = 1 <= r[1] <= 65535 and len(r[2]) == 16 and r[3] < 2**40
    is_good = is_good and 1 <= len(keys) <= 32 and ascends(keys) and all(map(is_sound, keys))
    is_good = is_good and 1 <= len(grants) <= 8
    for threshold, mask in bits:
        is_good = is_good and 1 <= threshold <= 8 and threshold <= mask.bit_count() and mask < 1 << len(keys)
    for grant in grants:
        classes, targets = grant.get(2, [bytes(16)]), grant.get(3, ["all"])
        is_good = is_good and 1 <= len(classes) <= 8 and ascends(classes) and all(len(c) == 16 for c in classes)
        is_good = is_good and 1 <= len(targets) <= 8 and ascends(targets) and all(map(TOKEN.fullmatch, targets))
        is_good = is_good and (1 not in grant or grant[0][1] & grant[1][1] == 0)
    in_a_role = 0
    for _, mask in bits:
        in_a_role |= mask
    need(is_good and in_a_role == (1 << len(keys)) - 1, "range")  # K-2

    def role(item: list[int] | None) -> Role | None:
        return item and Role(item[0], frozenset(key for i, key in enumerate(keys) if item[1] >> i & 1))

    made = [Grant(role(g[0]), role(g.get(1)), g.get(2), g.get(3)) for g in grants]
    return Root(r[1], r[2], r[3], role(r[5]), made, role(r.get(7)))
