"""LiDAR points in images.

Shapes: P points, M points in view, H x W pixels.
"""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.geometry import rigid

_MIN_DEPTH = 1.0  # m
_BORDER = 1.0  # px


@dataclass(frozen=True)
class InView:
    """The points of a sweep that an image shows."""

    index: np.ndarray  # [M] int64, places in the sweep, ascending
    uv: np.ndarray  # [M, 2] float64 px
    depth: np.ndarray  # [M] float64 m along the optical axis

    @property
    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows [M] and columns [M] of the pixels that the points fall on."""
        columns, rows = self.uv.astype(np.int64).T
        return rows, columns


def project(
    points_lidar: np.ndarray,  # [P, 3]
    T_cam_lidar: np.ndarray,  # [4, 4] float64, metres; between the time of the sweep and that of the image
    K: np.ndarray,  # [3, 3] px
    image_size: tuple[int, int],  # (width, height) px
) -> InView:
    """The points deeper than 1 m that fall more than 1 px inside the image (MixSup, stage B).

    Everything is computed in float64 from one matrix: nothing is rounded in coordinates kilometres from their origin.
    """
    P_cam = np.asarray(points_lidar, dtype=np.float64) @ T_cam_lidar[:3, :3].T + T_cam_lidar[:3, 3]
    ahead = np.flatnonzero(P_cam[:, 2] > _MIN_DEPTH)
    seen = P_cam[ahead] @ K.T
    uv = seen[:, :2] / seen[:, 2:]
    inside = ((uv > _BORDER) & (uv < np.array(image_size) - _BORDER)).all(axis=1)
    index = ahead[inside]
    return InView(index=index, uv=uv[inside], depth=P_cam[index, 2])


def between(T_world_cam: np.ndarray, T_world_lidar: np.ndarray) -> np.ndarray:
    """`T_cam_lidar` [4, 4] from two poses in the world, each of its own time."""
    return rigid.inverse(T_world_cam) @ T_world_lidar
