"""Vectors of the layer `walk`: roots that a device hears one after the other."""

from .root_cases import FIRST, FIRST_STATEMENT, TWO_OF_THREE, anchored, bare
from .roots import (
    A1, A2, A3, B1, B2, CAMERA, ISSUED, O1, O2, R1, R2, R3, R4, R5, RELEASE, THIEF, grant, joined, role, root,
    root_statement)
from .statement import ROOT, cose, parse, protected, signed, statement
from .vector import Vector, stream


def cases():
    def walk(name, requirement, comment, anchor, offered, answers, reached, floors="keep"):
        fields = dict(anchor) | {"answer": answers, "reached": reached, "floors": floors}
        return Vector("walk", name, "ok", requirement, comment, fields, joined(offered))

    first = FIRST_STATEMENT
    second = root_statement(root(2, root=role(2, R2, R3, R4)), R1, R2, R3)
    third = root_statement(root(3, root=role(2, R3, R4, R5)), R3, R4)
    fourth = root_statement(root(4, root=role(1, R5), beacon=role(1, B2)), R4, R5)
    chain = [second, third, fourth]
    yield walk("in-order", "K-6 K-7", "three roots in order, no root key of the first left at the end",
               anchored(first), chain,
               ["ok"] * 3, 4)
    yield walk("reverse", "K-6 K-7 S-10", "the same in reverse, three times, as a carousel brings them to a late joiner",
               anchored(first), chain[::-1] * 3,
               ["threshold", "threshold", "ok", "threshold", "ok", "threshold", "ok", "threshold", "threshold"], 4)
    payload = parse(second)[0]
    junk = [cose(protected(key.public), stream(f"junk {i}", 64)) for i, key in enumerate((R1, R2, R3, R1))]
    one = signed(R1, payload, kind=ROOT)
    yield walk("junk-first", "S-10 K-6", "the payload of root 2 in junk under the right kids, then with one of the "
               "signatures, then as it was signed: what did not verify is no reason to refuse it", anchored(first),
               [statement(payload, *junk), statement(payload, one, *junk[1:]), second], ["threshold"] * 2 + ["ok"], 2)
    yield walk("junk-beside", "S-7 S-10 K-6", "the signatures of root 2 with junk before them and behind",
               anchored(first),
               [statement(payload, *junk[:2], *[signed(key, payload, kind=ROOT) for key in (R1, R2, R3)], *junk[2:])],
               ["ok"], 2)
    yield walk("repeated", "K-6", "each root twice: the second time it is none that follows", anchored(first),
               [octets for octets in chain for _ in range(2)],
               ["ok", "root-version"] * 3, 4)
    yield walk("gap", "K-6", "root 3 is missing", anchored(first), [second, fourth], ["ok", "threshold"], 2)
    yield walk("from-the-middle", "K-10", "a device made with root 3", anchored(third), chain,
               ["threshold", "root-version", "ok"], 4)
    fork = root_statement(root(2, root=TWO_OF_THREE, issued=ISSUED + 1), R1, R3)
    yield walk("fork", "K-6", "two roots of version 2: the first one stays", anchored(first), [second, fork],
               ["ok", "threshold"], 2)
    yield walk("fork-other-order", "K-6", "the same in the other order", anchored(first), [fork, second],
               ["ok", "root-version"], 2)
    revoked = root_statement(root(3, root=role(1, THIEF)), R1, R2, THIEF)
    yield walk("revoked-key", "K-6", "a root signed with a root key that root 2 left out", anchored(first),
               [second, revoked, third], ["ok", "threshold", "ok"], 3)
    zero = root_statement(FIRST, RELEASE, R1, R2)
    yield walk("bare-keys", "K-8 K-9",
               "from bare keys to root 4: no release key of the bare keys is left after the first step",
               bare(RELEASE), [zero, *chain], ["ok"] * 4, 4, "void")
    yield walk("none", "K-7", "no root comes", anchored(first), [], [], 1)

    def floors(name, comment, old, new, expected):
        before, after = (root(version, role(1, R1), grants, role(1, B1)) for version, grants in ((1, old), (2, new)))
        return walk(f"floors-{name}", "K-9", comment, anchored(root_statement(before, R1)),
                    [root_statement(after, R1)], ["ok"], 2,
                    expected)

    a1, a2, three, two_of_three = (grant(role(1, A1)), grant(role(1, A2)), grant(role(1, A1, A2, A3)),
                                   grant(role(2, A1, A2, A3)))
    yield floors("same", "the same grant", [a1], [a1], "keep")
    yield floors("replaced", "another author key", [a1], [a2], "void")
    yield floors("added", "an author key more", [a1], [grant(role(1, A1, A2))], "keep")
    yield floors("removed", "an author key less: the others are old", [three], [grant(role(1, A1, A2))], "keep")
    yield floors("one-of-three", "of three author keys with threshold 2 one is old", [a1], [two_of_three], "void")
    yield floors("two-of-three", "of three author keys with threshold 2 two are old", [grant(role(1, A1, A2))],
                 [two_of_three], "keep")
    yield floors("old-threshold", "the old threshold does not count: its keys may have been stolen one by one",
                 [grant(role(2, A1, A2))], [grant(role(1, A1, A3))], "keep")
    yield floors("operator-added", "the old author, and an operator beside it", [a1],
                 [grant(role(1, A1), role(1, O1))], "void")
    yield floors("operator-replaced", "the old author, and another operator", [grant(role(1, A1), role(1, O1))],
                 [grant(role(1, A1), role(1, O2))], "void")
    yield floors("author-replaced", "another author, and the old operator", [grant(role(1, A1), role(1, O1))],
                 [grant(role(1, A2), role(1, O1))], "void")
    yield floors("operator-removed", "the operator is gone, the author is the old one",
                 [grant(role(1, A1), role(1, O1))], [a1], "keep")
    yield floors("roles-swapped", "author and operator in each other's place", [grant(role(1, A1), role(1, O1))],
                 [grant(role(1, O1), role(1, A1))], "keep")
    yield floors("one-grant-kept", "one of two grants has a new author, the other the old one", [a1, a2],
                 [grant(role(1, A3)), a2], "keep")
    yield floors("all-grants-replaced", "two grants, both with new authors", [a1], [a2, grant(role(1, A3))], "void")
    yield floors("other-grant", "the author of one grant is the old author of the other", [a1, a2],
                 [grant(role(1, A2), None, [CAMERA])], "keep")
    yield floors("scope-only", "the same author, for one class only", [a1], [grant(role(1, A1), None, [CAMERA])],
                 "keep")
    yield floors("root-key", "a new author that was a root key: root keys are no release keys", [a1],
                 [grant(role(1, R1))], "void")
    yield floors("beacon-key", "a new author that was the beacon key", [a1], [grant(role(1, B1))], "void")
    base = root_statement(root(1), R1)
    to_a2 = root_statement(root(2, grants=[a2]), R1)
    back = root_statement(root(3, grants=[a2]), R1)
    yield walk("floors-stay-void", "K-9", "void by the first of two steps, and the second changes nothing",
               anchored(base),
               [to_a2, back], ["ok", "ok"], 3, "void")
    both = root_statement(root(2, grants=[grant(role(1, A1, A2))]), R1)
    yield walk("floors-by-steps", "K-9",
               "from one author key to another in two steps, with both in between: each step has old keys",
               anchored(base), [both, back], ["ok", "ok"], 3, "keep")
    from_bare = root_statement(root(1, grants=[grant(role(1, RELEASE))]), RELEASE, R1)
    yield walk("floors-bare-keys-kept", "K-8 K-9", "the bare key is the author of root 1", bare(RELEASE), [from_bare],
               ["ok"], 1, "keep")
