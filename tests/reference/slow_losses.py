"""Slow and obvious twins of vsrd_ray/labelers/vsrd/losses.py and of the matching in optimise.py, in torch scalars."""

import itertools


def smooth_l1(difference):
    difference = abs(difference)
    return 0.5 * difference**2 if difference < 1 else difference - 0.5


def projection_loss(boxes, mask_boxes, visible):
    total, count = 0.0, 0
    for v, n in itertools.product(*map(range, visible.shape)):
        if visible[v, n]:
            total = total + sum(smooth_l1(boxes[v, n, side] - mask_boxes[v, n, side]) for side in range(4))
            count += 4
    return total / max(count, 1)


def distance_iou(a, b):
    """DIoU of two boxes (x1, y1, x2, y2)."""
    overlap_width, overlap_height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    intersection = overlap_width * overlap_height if overlap_width > 0 and overlap_height > 0 else 0 * a[0]
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    diagonal = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    apart = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    return intersection / union - apart / diagonal


def distance_iou_loss(boxes, mask_boxes, visible):
    total, count = 0.0, 0
    for v, n in itertools.product(*map(range, visible.shape)):
        if visible[v, n]:
            total = total + 1 - distance_iou(boxes[v, n], mask_boxes[v, n])
            count += 1
    return total / max(count, 1)


def best_assignment(boxes, mask_boxes):
    """The permutation with the largest sum of DIoU: box of each mask."""

    def similarity(order):
        return sum(distance_iou(boxes[box], mask_boxes[n]).item() for n, box in enumerate(order))

    return max(itertools.permutations(range(len(boxes))), key=similarity)
