"""The walks of `vsrd_ray.labels.voxels.traversal` without steps: each ray is cut at every plane of the grid."""

import itertools

import numpy as np


def pieces(origin, direction, shape, end):
    """Voxel and where a ray enters and leaves it, in order, up to `end`."""
    cuts = [0.0]
    for axis in range(3):
        if direction[axis]:
            cuts += ((np.arange(shape[axis] + 1) - origin[axis]) / direction[axis]).tolist()
    cuts = sorted({t for t in cuts if 0 <= t < end} | ({end} if np.isfinite(end) else set()))
    for start, stop in itertools.pairwise(cuts):
        voxel = np.floor(origin + (start + stop) / 2 * direction).astype(int)
        if (voxel >= 0).all() and (voxel < shape).all():
            yield tuple(voxel.tolist()), start, stop


def slow_count(origins, directions, ranges, shape):
    """Passed lengths and hits [X, Y, Z]."""
    passed, hits = np.zeros(shape), np.zeros(shape)
    for origin, direction, end in zip(origins, directions, ranges, strict=True):
        last = tuple(np.floor(origin + end * direction).astype(int).tolist()) if np.isfinite(end) else None
        for voxel, start, stop in pieces(origin, direction, shape, end):
            if voxel != last:
                passed[voxel] += stop - start
        if last is not None and all(0 <= i < n for i, n in zip(last, shape, strict=True)):
            hits[last] += 1
    return passed, hits


def slow_first(origin, direction, occupied):
    """Flat index of the first occupied voxel, or -1."""
    for voxel, _, _ in pieces(origin, direction, occupied.shape, np.inf):
        if occupied[voxel]:
            return int(np.ravel_multi_index(voxel, occupied.shape))
    return -1
