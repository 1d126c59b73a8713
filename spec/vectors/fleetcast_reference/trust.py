"""Section 17: whose signatures count for what, and how one root follows another."""

from dataclasses import dataclass, field

from . import Refused, curve, require, statement
from .statement import BEACON, MANIFEST, ROOT, TOKEN, check_array, check_map, check_type

MAX_TIME = 1 << 40


@dataclass(frozen=True)
class Role:
    """S-7: public keys, and how many of them must have signed."""

    keys: frozenset[bytes]
    threshold: int

    def met(self, signers: set[bytes]) -> bool:
        return len(self.keys & signers) >= self.threshold


@dataclass(frozen=True)
class Grant:
    """Who may sign which releases; `None` stands for all classes or targets."""

    author: Role
    operator: Role | None = None
    classes: list[bytes] | None = None
    targets: list[str] | None = None

    @property
    def roles(self) -> list[Role]:
        return [self.author] + ([self.operator] if self.operator else [])

    def met(self, signers: set[bytes]) -> bool:
        return all(role.met(signers) for role in self.roles)

    def covers(self, manifest: dict) -> bool:
        """The classes and targets of K-4."""
        targets = {component[1] for component in manifest[6]}
        return ((self.classes is None or set(manifest[5]) <= set(self.classes))
                and (self.targets is None or targets <= set(self.targets)))


@dataclass
class Trust:
    """A root, or bare keys as K-8 has them."""

    version: int
    vendor: bytes | None
    issued: int
    root: Role
    grants: list[Grant]
    beacon: Role | None
    value: dict = field(default_factory=dict)

    def release_keys(self) -> set[bytes]:
        return {key for grant in self.grants for role in grant.roles for key in role.keys}


def bare(keys: list[bytes], threshold: int) -> Trust:
    """K-8, without the keys that S-6 refuses."""
    role = Role(frozenset(key for key in keys if good_key(key)), threshold)
    return Trust(0, None, 0, role, [Grant(role)], None)


def good_key(key: bytes) -> bool:
    """Canonical and not of small order (S-6)."""
    point = curve.decompress(key)
    return point is not None and curve.compress(point) == key and not curve.small_order(point)


ROOT_TYPES = {0: int, 1: int, 2: bytes, 3: int, 4: list, 5: list, 6: list, 7: list}
GRANT_TYPES = {0: list, 1: list, 2: list, 3: list}


def check(root) -> Trust:
    """A decoded payload as a root, if it is one (K-1, K-2)."""
    check_map(root, ROOT_TYPES, {7})
    for key in root[4]:
        check_type(key, bytes)
    for grant in root[6]:
        check_map(grant, GRANT_TYPES, {1, 2, 3})
        for item in grant.get(2, []):
            check_type(item, bytes)
        for item in grant.get(3, []):
            check_type(item, str)
    raw = [root[5]] + [grant[key] for grant in root[6] for key in (0, 1) if key in grant]
    raw += [root[7]] if 7 in root else []
    for role in raw:
        check_array(role, [int, int])
    require(1 <= root[1] <= 0xFFFF and len(root[2]) == 16 and root[3] < MAX_TIME, "range")
    require(1 <= len(root[4]) <= 32 and ascending(root[4]) and 1 <= len(root[6]) <= 8, "range")
    require(all(len(key) == 32 and good_key(key) for key in root[4]), "range")
    used = 0
    for threshold, bits in raw:
        require(1 <= threshold <= 8 and threshold <= bits.bit_count() and bits < 1 << len(root[4]), "range")
        used |= bits
    require(used == (1 << len(root[4])) - 1, "range")
    for grant in root[6]:
        require(1 not in grant or grant[0][1] & grant[1][1] == 0, "range")
        require(2 not in grant or listed(grant[2]) and all(len(uuid) == 16 for uuid in grant[2]), "range")
        require(3 not in grant or listed(grant[3]) and all(map(TOKEN.fullmatch, grant[3])), "range")

    def role(pair) -> Role:
        return Role(frozenset(key for i, key in enumerate(root[4]) if pair[1] >> i & 1), pair[0])

    grants = [Grant(role(grant[0]), role(grant[1]) if 1 in grant else None, grant.get(2), grant.get(3))
              for grant in root[6]]
    return Trust(root[1], root[2], root[3], role(root[5]), grants, role(root[7]) if 7 in root else None, root)


def ascending(items: list) -> bool:
    """Strictly; tokens are ASCII, so that their order is that of their octets."""
    return all(a < b for a, b in zip(items, items[1:]))


def listed(items: list) -> bool:
    return 1 <= len(items) <= 8 and ascending(items)


def root_file(octets: bytes) -> Trust:
    """K-10."""
    root = check(statement.decode(statement.parse(octets)[0]))
    require(root.root.met(statement.signers(octets, root.root.keys, ROOT)[1]), "threshold")
    return root


def following(octets: bytes, trust: Trust) -> Trust:
    """The root that is valid after `trust` (K-6)."""
    payload, signers = statement.signers(octets, trust.root.keys, ROOT)
    require(trust.root.met(signers), "threshold")
    root = check(statement.decode(payload))
    require(root.version == trust.version + 1, "root-version")
    require(trust.vendor in (None, root.vendor), "scope")
    require(root.root.met(statement.signers(octets, root.root.keys, ROOT)[1]), "threshold")
    return root


def voids_floors(old: Trust, new: Trust) -> bool:
    """K-9."""
    keys = old.release_keys()
    return all(any(len(role.keys & keys) < role.threshold for role in grant.roles) for grant in new.grants)


def walk(trust: Trust, offered: list[bytes]) -> tuple[Trust, bool, list[str]]:
    """The trust after some roots were offered one after the other, whether floors are void, and each root's answer."""
    void, answers = False, []
    for octets in offered:
        try:
            root = following(octets, trust)
        except Refused as refused:
            answers.append(refused.code)
            continue
        trust, void = root, void or voids_floors(trust, root)
        answers.append("ok")
    return trust, void, answers


def manifest(octets: bytes, trust: Trust) -> dict:
    """The manifest of a statement that is valid under `trust` (K-3, K-4)."""
    payload, signers = statement.signers(octets, trust.release_keys(), MANIFEST)
    grants = [grant for grant in trust.grants if grant.met(signers)]
    require(bool(grants), "threshold")
    value = statement.check(statement.decode(payload))
    require(trust.vendor in (None, value[4]), "scope")
    require(any(grant.covers(value) for grant in grants), "scope")
    return value


def beacon_payload(octets: bytes, trust: Trust) -> bytes:
    """The payload of a statement that meets the beacon role (K-5)."""
    role = trust.beacon or Role(frozenset(), 1)
    payload, signers = statement.signers(octets, role.keys, BEACON)
    require(role.met(signers), "threshold")
    return payload
