"""The frame that stands for a LiDAR where there is none: at the camera, upright, x ahead, y left, z up.

Detectors on points and tools for point clouds take boxes that stand upright in their frame. The boxes of a run stand
upright in the world; a camera looks some degrees down. Shapes: N boxes.
"""

import numpy as np

from vsrd_ray.data.drive import View
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes, wrap_angle


def T_world_level(view: View) -> np.ndarray:  # noqa: N802 - a transform's name
    """[4, 4] metres; the x axis is the camera's direction of view without its pitch and roll."""
    T_world_ref = rigid.levelled_at(view.T_world_cam)
    right, down, ahead = T_world_ref[:3, :3].T
    T = np.eye(4)
    T[:3, :3] = np.stack([ahead, -right, -down], axis=-1)
    T[:3, 3] = T_world_ref[:3, 3]
    return T


def to_level(
    boxes: UprightBoxes,  # [N], in the world
    view: View,
) -> UprightBoxes:
    """The boxes [N] in the frame of a view: yaws are about its z, 0 ahead."""
    T = T_world_level(view)
    centers = rigid.apply(rigid.inverse(T), boxes.centers)
    return UprightBoxes(centers, boxes.dimensions_lwh, wrap_angle(boxes.yaws - _turn(T)))


def from_level(
    boxes: UprightBoxes,  # [N], in the frame of the view
    view: View,
) -> UprightBoxes:
    """The boxes [N] in the world: the inverse of `to_level`."""
    T = T_world_level(view)
    return UprightBoxes(rigid.apply(T, boxes.centers), boxes.dimensions_lwh, wrap_angle(boxes.yaws + _turn(T)))


def _turn(T: np.ndarray) -> float:
    return float(np.arctan2(T[1, 0], T[0, 0]))
