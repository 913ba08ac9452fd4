"""Slow and obvious twin of vsrd_ray/data/index.py: pixel by pixel."""

from vsrd_ray.data.kitti360.instances import SEMANTIC_CLASSES, class_name

NEVER_IN_FRONT = {"unlabeled", "ground", "road", "sidewalk", "parking", "rail track", "terrain", "sky"}
COMPACT = {"person", "rider", "car", "truck", "bus", "caravan", "trailer", "motorcycle", "bicycle"}
REACH = 2
STEPS = {"left": (-1, 0), "top": (0, -1), "right": (1, 0), "bottom": (0, 1)}


def describe(instance_map):
    """Rows as dicts, ids ascending."""
    height, width = instance_map.shape
    pixels = {}
    for v in range(height):
        for u in range(width):
            if instance_map[v, u] % 1000:
                pixels.setdefault(int(instance_map[v, u]), []).append((u, v))
    return [_row(instance_map, pixels, instance_id) for instance_id in sorted(pixels)]


def _row(instance_map, pixels, instance_id):
    height, width = instance_map.shape
    own = pixels[instance_id]
    box = {
        "left": min(u for u, _ in own),
        "top": min(v for _, v in own),
        "right": max(u for u, _ in own),
        "bottom": max(v for _, v in own),
    }
    limits = {"left": 0, "top": 0, "right": width - 1, "bottom": height - 1}
    border = {side: box[side] == limits[side] for side in STEPS}
    neighbours = [
        int(instance_map[v + dv, u + du])
        for u, v in own
        for du, dv in STEPS.values()
        if 0 <= u + du < width and 0 <= v + dv < height
    ]
    return {
        "instance_id": instance_id,
        "class_name": class_name(instance_id),
        "area": len(own),
        **{f"box_{side}": box[side] for side in STEPS},
        "touches_border": any(border.values()),
        "touches_instance": any(other != instance_id and other % 1000 for other in neighbours),
        **{f"border_{side}": border[side] for side in STEPS},
        **{f"occluded_{side}": _is_occluded(instance_map, pixels, own, box, side) for side in STEPS},
    }


def _is_occluded(instance_map, pixels, own, box, side):
    height, width = instance_map.shape
    du, dv = STEPS[side]
    outermost = [(u, v) for u, v in own if (u if du else v) == box[side]]
    for u, v in outermost:
        for step in range(1, REACH + 1):
            x, y = u + step * du, v + step * dv
            if 0 <= x < width and 0 <= y < height and _is_nearer(instance_map, pixels, x, y, box["bottom"]):
                return True
    return False


def _is_nearer(instance_map, pixels, x, y, bottom):
    other = int(instance_map[y, x])
    name = SEMANTIC_CLASSES.get(other // 1000)
    if name in NEVER_IN_FRONT:
        return False
    if other % 1000 and name in COMPACT:
        return max(v for _, v in pixels[other]) >= bottom
    foot = y
    while foot + 1 < instance_map.shape[0] and instance_map[foot + 1, x] == other:
        foot += 1
    return foot >= bottom
