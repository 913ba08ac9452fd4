"""Slow and obvious twin of vsrd_ray/data/index.py: pixel by pixel."""

from vsrd_ray.datasets.kitti360.classes import CLASSES

STEPS = {"left": (-1, 0), "top": (0, -1), "right": (1, 0), "bottom": (0, 1)}


def describe(instance_map):
    """Rows as dicts, ids ascending."""
    height, width = instance_map.shape
    pixels = {}
    for v in range(height):
        for u in range(width):
            if instance_map[v, u] % 1000:
                pixels.setdefault(int(instance_map[v, u]), []).append((u, v))
    return [_row(instance_map, instance_id, pixels[instance_id]) for instance_id in sorted(pixels)]


def _row(instance_map, instance_id, own):
    height, width = instance_map.shape
    box = {
        "left": min(u for u, _ in own),
        "top": min(v for _, v in own),
        "right": max(u for u, _ in own),
        "bottom": max(v for _, v in own),
    }
    limits = {"left": 0, "top": 0, "right": width - 1, "bottom": height - 1}
    neighbours = [
        int(instance_map[v + dv, u + du])
        for u, v in own
        for du, dv in STEPS.values()
        if 0 <= u + du < width and 0 <= v + dv < height
    ]
    return {
        "instance_id": instance_id,
        "class_name": CLASSES.name_of(instance_id),
        "area": len(own),
        **{f"box_{side}": box[side] for side in STEPS},
        "touches_border": any(box[side] == limits[side] for side in STEPS),
        "touches_instance": any(other != instance_id and other % 1000 for other in neighbours),
    }
