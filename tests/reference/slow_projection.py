"""Slow and obvious twin of `project_boxes`, on arrays and on tensors: many points on every edge."""

import numpy as np

CUBE_EDGES = [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)]


def project_box(corners_cam, K, points_per_edge=20001):
    """Bounds (x1, y1, x2, y2) of what is in front of the camera's plane; zeros where nothing is."""
    shares = np.linspace(0, 1, points_per_edge)[:, None]
    points = np.concatenate([(1 - shares) * corners_cam[a] + shares * corners_cam[b] for a, b in CUBE_EDGES])
    points = points[points[:, 2] > 0]
    if len(points) == 0:
        return np.zeros(4)
    u = K[0, 0] * points[:, 0] / points[:, 2] + K[0, 2]
    v = K[1, 1] * points[:, 1] / points[:, 2] + K[1, 2]
    return np.array([u.min(), v.min(), u.max(), v.max()])
