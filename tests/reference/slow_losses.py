"""Slow and obvious twins of vsrd_ray/labelers/vsrd/losses.py and of the matching in optimise.py, in torch scalars."""

import itertools


def smooth_l1(difference):
    difference = abs(difference)
    return 0.5 * difference**2 if difference < 1 else difference - 0.5


def projection_loss(boxes, mask_boxes, trusted):
    total, count = 0.0, 0
    for v, n, side in itertools.product(*map(range, boxes.shape)):
        if trusted[v, n, side]:
            total = total + smooth_l1(boxes[v, n, side] - mask_boxes[v, n, side])
            count += 1
    return total / max(count, 1)


def distance_iou(a, b):
    """DIoU of two boxes (x1, y1, x2, y2)."""
    overlap_width, overlap_height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    intersection = overlap_width * overlap_height if overlap_width > 0 and overlap_height > 0 else 0 * a[0]
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    diagonal = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    apart = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    return intersection / union - apart / diagonal


def distance_iou_loss(boxes, mask_boxes, trusted):
    """Sides that are not trusted are constants in both boxes, the projected box's own."""
    total, count = 0.0, 0
    for v, n in itertools.product(*map(range, boxes.shape[:2])):
        if trusted[v, n].any():
            own = boxes[v, n].detach()
            box = [boxes[v, n, side] if trusted[v, n, side] else own[side] for side in range(4)]
            target = [mask_boxes[v, n, side] if trusted[v, n, side] else own[side] for side in range(4)]
            total = total + 1 - distance_iou(box, target)
            count += 1
    return total / max(count, 1)


def best_assignment(boxes, mask_boxes):
    """The permutation with the largest sum of DIoU: box of each mask."""

    def similarity(order):
        return sum(distance_iou(boxes[box], mask_boxes[n]).item() for n, box in enumerate(order))

    return max(itertools.permutations(range(len(boxes))), key=similarity)
