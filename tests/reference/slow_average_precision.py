"""Slow and obvious twins of KITTI's and KITTI-360's average precision: one label, one object, one score at a time.

Labels and objects are dictionaries with the columns of label rows. Everything is worked out anew for each figure.
"""

import math

import slow_iou

MIN_HEIGHT = {"easy": 40, "moderate": 25, "hard": 25}
MAX_OCCLUSION = {"easy": 0, "moderate": 1, "hard": 2}
MAX_TRUNCATION = {"easy": 0.15, "moderate": 0.3, "hard": 0.5}


def kitti_ap(labels, objects, regions, *, iou, kind, difficulty, class_name, similar=()):
    """Mean precision at recalls 1/40 … 1, and the number of objects."""
    verdicts, num_objects = [], 0
    for frame in sorted({row["frame"] for row in [*labels, *objects]}):
        found = [row for row in labels if row["frame"] == frame and row["class_name"] == class_name]
        things = [row for row in objects if row["frame"] == frame and row["class_name"] in (class_name, *similar)]
        areas = [row for row in regions if row["frame"] == frame and row["class_name"] in (class_name, *similar)]
        wanted = [row for row in things if row["class_name"] == class_name and ought_to_be_found(row, difficulty)]
        left = list(things)
        num_objects += len(wanted)
        tall = sorted((row for row in found if height(row) >= MIN_HEIGHT[difficulty]), key=by_confidence)
        small = sorted((row for row in found if height(row) < MIN_HEIGHT[difficulty]), key=by_confidence)
        for row in tall + small:
            overlapping = [thing for thing in left if kitti_iou(row, thing)[kind] > iou]
            best = max(overlapping, key=lambda thing: (thing in wanted, kitti_iou(row, thing)[kind]), default=None)
            if best is not None:
                left = [thing for thing in left if thing is not best]
            if row in small:
                continue
            if best in wanted:
                verdicts.append((row["confidence"], True))
            elif best is None and not any(share_inside(row, area) > 0.5 for area in areas):
                verdicts.append((row["confidence"], False))
    return mean_precision_at_recalls(verdicts, num_objects), num_objects


def devkit_counts(labels, objects, regions, *, iou, kind, difficulty, class_name, similar=(), least):
    """True and false labels of at least a score, and the number of objects, as KITTI's program counts them.

    Its `computeStatistics` goes object by object: each takes the label that overlaps it most, rather than each label an
    object. Its `cleanData` counts the objects before it looks at any label.
    """
    is_true, is_false, num_objects = 0, 0, 0
    names = (class_name, *similar)
    for frame in sorted({row["frame"] for row in [*labels, *objects]}):
        here = [row for row in labels if row["frame"] == frame and row["class_name"] == class_name]
        left = [row for row in here if row["confidence"] >= least]
        for thing in (row for row in objects if row["frame"] == frame and row["class_name"] in names):
            is_valid = thing["class_name"] == class_name and ought_to_be_found(thing, difficulty)
            num_objects += is_valid
            over = [row for row in left if kitti_iou(row, thing)[kind] > iou]
            tall = [row for row in over if height(row) >= MIN_HEIGHT[difficulty]]
            taken = max(tall, key=lambda row: kitti_iou(row, thing)[kind], default=None)
            is_true += is_valid and taken is not None
            taken = over[0] if taken is None and over else taken
            left = [row for row in left if row is not taken]
        areas = [row for row in regions if row["frame"] == frame and row["class_name"] in names]
        tall = [row for row in left if height(row) >= MIN_HEIGHT[difficulty]]
        is_false += sum(not any(share_inside(row, area) > 0.5 for area in areas) for row in tall)
    return is_true, is_false, num_objects


def by_confidence(row):
    return -row["confidence"]


def height(row):
    return row["bbox_bottom"] - row["bbox_top"]


def ought_to_be_found(row, difficulty):
    return (
        row["mask_area"] >= 128
        and height(row) > MIN_HEIGHT[difficulty]
        and row["occlusion"] <= MAX_OCCLUSION[difficulty]
        and row["truncation"] <= MAX_TRUNCATION[difficulty]
    )


def kitti_iou(a, b):
    """3D and bird's-eye IoU of two boxes by KITTI's own description: y down, location = bottom centre."""
    shared = abs(slow_iou.area(slow_iou.clip(kitti_footprint(a), kitti_footprint(b))))
    low, high = min(a["y_cam"], b["y_cam"]), max(a["y_cam"] - a["height"], b["y_cam"] - b["height"])
    volume = shared * max(0.0, low - high)
    area_a, area_b = a["length"] * a["width"], b["length"] * b["width"]
    union = area_a * a["height"] + area_b * b["height"] - volume
    return {"3d": volume / union, "bev": shared / (area_a + area_b - shared)}


def kitti_footprint(row):
    cos, sin = math.cos(row["rotation_y"]), math.sin(row["rotation_y"])
    length, width = row["length"] / 2, row["width"] / 2
    corners = [(length, width), (-length, width), (-length, -width), (length, -width)]
    # KITTI's rotation about y: x' = cos x + sin z, z' = -sin x + cos z; counter-clockwise stays so
    return [(row["x_cam"] + cos * x + sin * z, row["z_cam"] - sin * x + cos * z) for x, z in corners]


def share_inside(row, area):
    width = min(row["bbox_right"], area["box_right"]) - max(row["bbox_left"], area["box_left"])
    tall = min(row["bbox_bottom"], area["box_bottom"]) - max(row["bbox_top"], area["box_top"])
    return max(0, width) * max(0, tall) / ((row["bbox_right"] - row["bbox_left"]) * height(row))


def curve(verdicts, num_objects):
    """(recall, precision) with every score as the least that counts."""
    points = []
    for least in sorted({score for score, _ in verdicts}):
        kept = [is_true for score, is_true in verdicts if score >= least]
        points.append((sum(kept) / num_objects, sum(kept) / len(kept)))
    return points


def mean_precision_at_recalls(verdicts, num_objects, *, levels=tuple(k / 40 for k in range(1, 41))):
    if not num_objects:
        return math.nan
    points = curve(verdicts, num_objects)
    total = 0.0
    for level in levels:
        total += max((precision for recall, precision in points if recall >= level - 1e-9), default=0.0)
    return total / len(levels)


def mean_precision_at_eleven_recalls(verdicts, num_objects):
    return mean_precision_at_recalls(verdicts, num_objects, levels=[k / 10 for k in range(11)])


def area_under_envelope(verdicts, num_objects):
    if not num_objects:
        return math.nan
    points = sorted(curve(verdicts, num_objects))
    area, before = 0.0, 0.0
    for recall in sorted({recall for recall, _ in points}):
        area += (recall - before) * max(precision for other, precision in points if other >= recall)
        before = recall
    return area


def sampled_ap(verdicts, num_objects):
    """R40 and R11 as KITTI's own program samples them: precision at scores where recall comes next to k/40."""
    true_scores = sorted((score for score, is_true in verdicts if is_true), reverse=True)
    thresholds, current = [], 0.0
    for place, score in enumerate(true_scores):
        is_last = place == len(true_scores) - 1
        here, following = (place + 1) / num_objects, (place + 1 if is_last else place + 2) / num_objects
        if following - current < current - here and not is_last:
            continue
        thresholds.append(score)
        current += 1 / 40
    precisions = [0.0] * 41
    for k, least in enumerate(thresholds[:41]):
        kept = [is_true for score, is_true in verdicts if score >= least]
        precisions[k] = sum(kept) / len(kept)
    best = [max(precisions[k:]) for k in range(41)]
    return sum(best[1:]) / 40, sum(best[::4]) / 11


def window_ap(labels, static, shown, windows, *, iou):
    """Area under the envelope over windows.

    Args:
        labels: rows of one class.
        static: (instance, box) of that class, with box as in `slow_iou`.
        shown: (frame, instance) that a mask shows large enough.
        windows: (first, last) frame.
        iou: threshold.
    """
    verdicts, num_objects = [], 0
    for first, last in windows:
        wanted = {instance for frame, instance in shown if first <= frame <= last}
        num_objects += sum(instance in wanted for instance, _ in static)
        best = {}
        for row in labels:
            if first <= row["frame"] <= last and not row["is_moving"]:
                old = best.get(row["instance_id"])
                key = (-row["confidence"], row["frame"])
                if old is None or key < (-old["confidence"], old["frame"]):
                    best[row["instance_id"]] = row
        taken = set()
        for row in sorted(best.values(), key=by_confidence):
            box = ((row["x_world"], row["y_world"], row["z_world"]),)
            box += ((row["length"], row["width"], row["height"]), row["yaw_world"])
            overlaps = [(slow_iou.box_iou(box, true)[0], instance) for instance, true in static]
            overlap, instance = max(overlaps, default=(0.0, None))
            if overlap <= iou:
                verdicts.append((row["confidence"], False))
            elif instance in wanted:
                verdicts.append((row["confidence"], instance not in taken))
                taken.add(instance)
    return area_under_envelope(verdicts, num_objects), num_objects
