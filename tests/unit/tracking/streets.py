"""A street of parked cars, and one that drives, as a detector sees it from a car that drives past."""

import numpy as np

from vsrd_ray.data.drive import Camera
from vsrd_ray.tracking.drive import Detections

K = np.array([[720.0, 0.0, 620.0], [0.0, 720.0, 180.0], [0.0, 0.0, 1.0]])
SIZE = (1242, 375)
STEP = 1.0  # m a frame, of the camera
R_WORLD_CAM = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # looks along the world's x


def camera_along(frames, *, name="image_00"):
    poses = {}
    for frame in frames:
        poses[frame] = np.eye(4)
        poses[frame][:3] = np.column_stack([R_WORLD_CAM, [STEP * frame, 0.0, 1.65]])
    return Camera(name, K, SIZE, poses)


def places_of(frame, *, length, speed):
    """Where cars stand [N, 2] m at a frame; the last one drives towards the camera's start."""
    along = np.arange(8.0, length, 6.0)
    sides = [np.column_stack([along + shift, np.full(len(along), side)]) for shift, side in ((0.0, -3.0), (2.5, 4.5))]
    return np.concatenate([*sides, [[length - speed * frame, 1.8]]])


def street(frames, *, seed=0, noise=0.0, drop=0.0, false=0.0, length=120.0, speed=0.8, height=1.5, farthest=50.0):
    """Detections in some frames, and which car each is; -1 of false ones."""
    rng = np.random.default_rng(seed)
    rows = []
    for frame in frames:
        for car, (x, y) in enumerate(places_of(frame, length=length, speed=speed)):
            ahead = x - STEP * frame
            if not 4 < ahead < farthest:
                continue
            side, u, bottom = K[1, 1] * height / ahead, 620 - 720 * y / ahead, 180 + 720 * 1.65 / ahead
            box = np.array([u - side * 0.6, bottom - side, u + side * 0.6, bottom])
            box = np.clip(box + rng.normal(0, noise * side, 4), 0, [*SIZE, *SIZE])
            if min(box[2:] - box[:2]) > 5 and rng.random() >= drop:
                rows.append([frame, *box, rng.uniform(0.5, 0.95), car])
        for _ in range(rng.poisson(false)):
            left, top, size = rng.uniform(0, 1100), rng.uniform(150, 250), rng.uniform(20, 100)
            rows.append([frame, left, top, left + size, top + size, rng.uniform(0.1, 0.6), -1])
    table = np.array(rows)
    return Detections(table[:, 0].astype(int), table[:, 1:5], table[:, 5]), table[:, 6].astype(int)
