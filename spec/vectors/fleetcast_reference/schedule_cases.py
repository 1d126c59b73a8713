"""Vectors of the layer `schedule`."""

from .geometry import Geometry
from .schedule import Schedule
from .vector import Vector

ONE = [Geometry(64 * 777, 64, 64, 100, 16)]
THREE = [Geometry(64 * 501, 64, 16, 100, 16), Geometry(1, 64, 8, 100, 16), Geometry(128 * 100, 128, 24, 33, 16)]
TINY = [Geometry(1, 64, 8, 0, 16)]


def cases():
    for name, components, every in (("one", ONE, 256), ("three", THREE, 7), ("tiny", TINY, 10)):
        for layers in (1, 2, 3, 4, 8):
            yield one(name, components, layers, every)


def one(name, components, layers, every):
    schedule = Schedule(components, layers, every)
    in_pass = len(schedule.groups) * schedule.frames * schedule.group
    assert every <= in_pass + 1
    # Around the first slot, the first groups' ends, the ends of passes, and far away.
    around = [0, schedule.frames * schedule.group, 2 * schedule.frames * schedule.group, in_pass, 2 * in_pass, 3 * in_pass,
              schedule.group * in_pass, 2**40 + 12_345]
    slots = set()
    for place in around:
        slot = place + place // (every - 1)
        slots.update(range(max(slot - 3, 0), slot + 10))
    lines = []
    for slot in sorted(slots):
        layer, packet = schedule.at(slot)
        lines.append(f"{slot} {layer} {packet}")
    fields = {"layers": layers, "statement-every": every,
              "component": [f"{g.size},{g.chunk},{g.cell},{g.repair},{g.digest}" for g in components], "slot": lines}
    comment = f"{len(components)} component{'s' * (len(components) > 1)} on {layers} layer{'s' * (layers > 1)}"
    return Vector("schedule", f"{name}-layers-{layers}", "ok", "C-2 C-3 C-7", comment, fields)
