"""Convex polygons in batches: cut by half-spaces, and their areas.

Shapes: P polygons of M vertices, D coordinates. Polygons with fewer vertices than M repeat one, so an array holds them
all: a repeated vertex changes neither a cut nor an area. An empty polygon repeats the origin.
"""

import numpy as np


def clip(
    vertices: np.ndarray,  # [P, M, D], in order around each polygon
    distances: np.ndarray,  # [P, M] signed distance of each vertex, in any unit: >= 0 is kept
) -> np.ndarray:
    """What a half-space leaves of convex polygons, [P, M', D] (Sutherland and Hodgman, 1974, one side of the clip).

    M' is the largest number of vertices left. Distances must be linear in the coordinates.
    """
    following, following_distances = np.roll(vertices, -1, axis=1), np.roll(distances, -1, axis=1)
    inside = distances >= 0
    crosses = inside != (following_distances >= 0)
    spans = np.where(crosses, distances - following_distances, 1.0)
    cuts = vertices + (following - vertices) * (distances / spans)[..., None]
    # Each edge gives its start if that is inside, then its cut if it has one: two slots, many of them unused.
    num_polygons, num_vertices, num_coordinates = vertices.shape
    slots = np.stack([vertices, cuts], axis=2).reshape(num_polygons, 2 * num_vertices, num_coordinates)
    used = np.stack([inside, crosses], axis=2).reshape(num_polygons, 2 * num_vertices)
    positions = used.cumsum(axis=1) - 1
    first = np.take_along_axis(slots, used.argmax(axis=1)[:, None, None], axis=1)  # [P, 1, D]
    first[~used.any(axis=1)] = 0
    clipped = np.repeat(first, max(positions[:, -1].max(initial=0) + 1, 1), axis=1)
    rows, columns = np.nonzero(used)
    clipped[rows, positions[rows, columns]] = slots[rows, columns]
    return clipped


def area(vertices: np.ndarray) -> np.ndarray:  # [P, M, 2]
    """Areas [P] of simple polygons, whichever way round they are given."""
    local = vertices - vertices[:, :1]
    x, y = local[..., 0], local[..., 1]
    doubled = (x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1)
    return np.abs(doubled) / 2
