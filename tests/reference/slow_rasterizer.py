"""Slow and obvious twin of `vsrd_ray.synthetic.rasterizer.rasterize`: one ray and one face at a time."""

import numpy as np

NEAR = 0.1


def rasterize(faces_cam, K, image_size):
    width, height = image_size
    face = np.full((height, width), -1)
    depth = np.full((height, width), np.inf)
    for v in range(height):
        for u in range(width):
            ray = np.array([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], 1.0])
            for index, corners in enumerate(faces_cam):
                z = hit(corners, ray)
                if z is not None and NEAR < z < depth[v, u]:
                    face[v, u], depth[v, u] = index, z
    return face, depth


def hit(corners, ray):
    """Depth at which a ray from the origin enters a convex face from its outside, or None."""
    normal = np.cross(corners[2] - corners[0], corners[3] - corners[1])
    if normal @ ray >= 0:
        return None
    z = (normal @ corners[0]) / (normal @ ray)
    point = z * ray
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if normal @ np.cross(end - start, point - start) < 0:
            return None
    return z
