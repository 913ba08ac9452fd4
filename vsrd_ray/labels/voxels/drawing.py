"""Voxels as a camera would see them: cubes with dark edges on white, by one ray a pixel.

Shapes: X x Y x Z voxels, H x W pixels.
"""

import numpy as np

from vsrd_ray.geometry import rigid
from vsrd_ray.labels.voxels.classes import UNKNOWN, VoxelClasses
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.traversal import Rays, first_occupied

_SHADES = np.array([0.82, 0.92, 1.0])  # of faces across x, y and z
_EDGE, _EDGE_SHADE = 0.05, 0.55  # voxels from the border of a face, that are drawn darker
_WITHOUT = np.array([150, 150, 150], dtype=np.uint8)  # of what has no class
_FOCAL = 0.9  # of the view from above, widths
_HEIGHT, _BEHIND = 34.0, 30.0  # m above and behind the grid's origin


def draw_voxels(
    grid: Grid,
    occupied: np.ndarray,  # [X, Y, Z] bool
    semantics: np.ndarray | None,  # [X, Y, Z] uint8
    classes: VoxelClasses | None,
    *,
    T_grid_cam: np.ndarray,  # [4, 4]
    K: np.ndarray,  # [3, 3] px
    image_size: tuple[int, int],  # (width, height) px
) -> np.ndarray:
    """An image [H, W, 3] uint8, BGR, in the published colours of the classes."""
    width, height = image_size
    v, u = np.mgrid[:height, :width]
    cam = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(u.shape)], axis=-1).reshape(-1, 3)
    directions = cam @ T_grid_cam[:3, :3].T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    start = (T_grid_cam[:3, 3] - grid.low) / grid.voxel_size
    origins = np.ascontiguousarray(np.broadcast_to(start, directions.shape))
    found = first_occupied(Rays(origins, directions, np.full(len(origins), np.inf)), occupied)
    image = np.full((height * width, 3), 255, dtype=np.uint8)
    hit = np.flatnonzero(found.places >= 0)
    if semantics is None or classes is None:
        color = np.broadcast_to(_WITHOUT, (len(hit), 3))
    else:
        palette = np.vstack([classes.colors, np.broadcast_to(_WITHOUT, (256 - len(classes.colors), 3))])
        palette[UNKNOWN] = _WITHOUT
        color = palette[semantics.ravel()[found.places[hit]]]
    place = origins[hit] + found.entered[hit, None] * directions[hit]
    inside = np.abs(place - np.floor(place) - 0.5)
    inside[np.arange(len(hit)), found.axes[hit]] = 0.0  # the face's own axis
    pixel = found.entered[hit] / K[0, 0]  # voxels that a pixel covers
    is_edge = inside.max(axis=1) > 0.5 - np.maximum(_EDGE, 0.5 * np.minimum(pixel, 0.1))
    shade = _SHADES[found.axes[hit]] * np.where(is_edge, _EDGE_SHADE, 1.0)
    image[hit] = np.rint(color[:, ::-1] * shade[:, None]).astype(np.uint8)
    return image.reshape(height, width, 3)


def view_from_above(grid: Grid, image_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """`T_grid_cam` [4, 4] and K [3, 3] of a camera above and behind the vehicle, that looks ahead and down."""
    low, high = np.array(grid.range[:3]), np.array(grid.range[3:])
    middle = (low + high) / 2
    scale = (high[0] - low[0]) / 80.0
    eye = np.array([min(middle[0], 0.0) - _BEHIND * scale if low[0] < 0 else low[0] - 10 * scale, middle[1], 0])
    eye[2] = _HEIGHT * scale
    ahead = np.array([middle[0] + 2.0 * scale, middle[1], low[2]]) - eye
    forward = ahead / np.linalg.norm(ahead)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    T_grid_cam = np.eye(4)
    T_grid_cam[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T_grid_cam[:3, 3] = eye
    width, height = image_size
    focal = _FOCAL * width
    return T_grid_cam, np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])


def scaled(K: np.ndarray, old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """The matrix [3, 3] of a camera whose images are drawn in another size; sizes are (width, height), px."""
    factor = np.array([new[0] / old[0], new[1] / old[1]])
    result = K.copy()
    result[:2] *= factor[:, None]
    result[:2, 2] += (factor - 1) / 2
    return result


def pose_in_grid(T_world_grid: np.ndarray, T_world_cam: np.ndarray) -> np.ndarray:
    """`T_grid_cam` [4, 4]."""
    return rigid.inverse(T_world_grid) @ T_world_cam
