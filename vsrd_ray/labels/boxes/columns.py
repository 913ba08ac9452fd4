"""The columns of a box in label rows: their names, and the boxes in them. No other module spells them.

Shapes: N rows.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.geometry.boxes import UprightBoxes

# The box in the world: centre and full extents in metres, heading in radians about the world's z (0 facing +x).
CENTER_WORLD = ("x_world", "y_world", "z_world")
SIZE_LWH = LENGTH, WIDTH, HEIGHT = ("length", "width", "height")
YAW_WORLD = "yaw_world"
BOX_WORLD = (*CENTER_WORLD, *SIZE_LWH, YAW_WORLD)
# Velocity of the box's centre along the world's x and y: m/s, or metres per frame where the drive has no times.
VELOCITY_WORLD = ("velocity_x_world", "velocity_y_world")
# The box in the rectified camera, as KITTI has it: bottom centre in metres, rotation_y and alpha in [-pi, pi).
BOTTOM_CAM = ("x_cam", "y_cam", "z_cam")
ROTATION_Y, ALPHA = "rotation_y", "alpha"
BOX_CAM = (*BOTTOM_CAM, ROTATION_Y, ALPHA)
# The projected box in px, clipped to [0, W - 1] x [0, H - 1].
BOX_2D = ("bbox_left", "bbox_top", "bbox_right", "bbox_bottom")


def numbers(table: pa.Table, names: tuple[str, ...]) -> np.ndarray:
    """Columns side by side, [N, columns] float64, NaN for null."""
    columns = [pc.cast(table[name], pa.float64()).to_numpy() for name in names]
    return np.stack(columns, axis=-1) if columns else np.empty((len(table), 0))


def boxes_of(table: pa.Table) -> UprightBoxes:
    """The boxes [N] of label rows, in the world."""
    return UprightBoxes(numbers(table, CENTER_WORLD), numbers(table, SIZE_LWH), numbers(table, (YAW_WORLD,))[:, 0])


def track_ids(table: pa.Table) -> np.ndarray:
    """The track [N] of each label row: that of its mask's id in rows of earlier versions, which have none."""
    tracks = table["track_id"]
    return np.where(tracks.is_null().to_numpy(), table["instance_id"].to_numpy(), tracks.fill_null(0).to_numpy())


def has_velocity(table: pa.Table) -> np.ndarray:
    """Whether the velocity of each label row [N] is known."""
    return np.all(np.isfinite(numbers(table, VELOCITY_WORLD)), axis=-1)


def velocities_of(table: pa.Table, *, has_times: bool) -> np.ndarray:
    """Velocities [N, 2] m/s of label rows along the world's x and y; NaN where they are not known.

    Args:
        table: label rows. What they say stands has 0, although rows of earlier versions have no velocity.
        has_times: whether the camera of their drive has times. Without them, of what moves metres per frame alone are
            known.
    """
    velocities = numbers(table, VELOCITY_WORLD)
    if not has_times:
        velocities[:] = np.nan
    velocities[~table["is_moving"].fill_null(True).to_numpy()] = 0.0
    return velocities


def box_of(row: Mapping[str, Any]) -> UprightBoxes:
    """The box of one label row as a dictionary, in the world; it has no batch axes."""
    center, size = ([row[name] for name in names] for names in (CENTER_WORLD, SIZE_LWH))
    return UprightBoxes(np.array(center), np.array(size), np.array(row[YAW_WORLD]))


def box_columns(
    boxes: UprightBoxes,  # [N], in the world
) -> dict[str, np.ndarray]:
    """The columns `BOX_WORLD`, each [N]: the inverse of `boxes_of`."""
    return dict(zip(BOX_WORLD, [*boxes.centers.T, *boxes.dimensions_lwh.T, boxes.yaws], strict=True))


def centers_cam(table: pa.Table) -> np.ndarray:
    """Centres [N, 3] metres of label rows in their camera."""
    centers = numbers(table, BOTTOM_CAM)
    centers[:, 1] -= numbers(table, SIZE_LWH)[:, 2] / 2
    return centers
