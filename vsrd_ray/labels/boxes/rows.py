"""From fitted boxes to label rows: one for each box and frame.

Shapes: N boxes of one frame.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import View
from vsrd_ray.data.groups import GroupFrames
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import corners_world, to_kitti_camera
from vsrd_ray.geometry.cameras import project_boxes
from vsrd_ray.geometry.outlines import outline_areas
from vsrd_ray.labels.boxes.fits import BoxFit
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA

# Least share of a box's outline that its mask covers, for KITTI's occlusion 0 and 1. An unoccluded car covers .7 to .9.
VISIBLE_SHARES = (0.6, 0.3)


def label_rows(fits: Sequence[BoxFit], group: GroupFrames, *, labeler: str, config_hash: str, seed: int) -> pa.Table:
    """Label rows in `LABEL_SCHEMA`, sorted by frame and instance: a row for each frame in which a fit's mask is seen.

    Args:
        fits: boxes of instances of the group; an instance without a fit has no rows.
        group: where the boxes were fitted; its label frames are the frames that get rows.
        labeler: name of the labeler.
        config_hash: hash of its configuration.
        seed: the run's seed.

    Raises:
        ValueError: a fit of an instance that is not in the group.
    """
    fits = sorted(fits, key=lambda fit: fit.instance_id)
    strangers = {fit.instance_id for fit in fits} - set(group.plan.instance_ids)
    if strangers:
        raise ValueError(f"group {group.plan.group_id} has fits of instances that are not in it: {sorted(strangers)}")
    positions = [group.plan.instance_ids.index(fit.instance_id) for fit in fits]
    best_frames = np.array(group.plan.best_frames)[positions]
    constants = {
        "camera": group.plan.camera,
        "group_id": group.plan.group_id,
        "labeler": labeler,
        "config_hash": config_hash,
        "seed": seed,
        "source": "auto",
    }
    tables = [LABEL_SCHEMA.empty_table()]
    for label_frame in group.label_frames:
        areas = label_frame.mask_areas[positions]
        seen = [fit for fit, area in zip(fits, areas, strict=True) if area > 0]
        if seen:
            columns = _fit_columns(seen) | _camera_columns_of(seen, label_frame.view, areas[areas > 0])
            columns |= {name: [value] * len(seen) for name, value in constants.items()}
            columns["frame"] = [label_frame.view.frame] * len(seen)
            columns["target_frame"] = best_frames[areas > 0]
            tables.append(pa.table(columns, schema=LABEL_SCHEMA))
    return pa.concat_tables(tables).combine_chunks()


def camera_columns(
    view: View,
    *,
    centers_world: np.ndarray,  # [N, 3] metres
    dimensions_lwh: np.ndarray,  # [N, 3] metres
    yaws_world: np.ndarray,  # [N] radians
    mask_areas: np.ndarray,  # [N] pixels
) -> dict[str, np.ndarray]:
    """`columns_in_cameras` of boxes that one view shows."""
    return columns_in_cameras(
        view.T_world_cam,
        K=view.K,
        image_size=view.image_size,
        centers_world=centers_world,
        dimensions_lwh=dimensions_lwh,
        yaws_world=yaws_world,
        mask_areas=mask_areas,
    )


def columns_in_cameras(
    T_world_cam: np.ndarray,  # [4, 4], or [N, 4, 4] of boxes that different views show
    *,
    K: np.ndarray,  # [3, 3] pixels
    image_size: tuple[int, int],  # (width, height) pixels
    centers_world: np.ndarray,  # [N, 3] metres
    dimensions_lwh: np.ndarray,  # [N, 3] metres
    yaws_world: np.ndarray,  # [N] radians
    mask_areas: np.ndarray,  # [N] pixels
) -> dict[str, np.ndarray]:
    """The columns [N] of `LABEL_SCHEMA` that depend on the camera: KITTI's box, projected box, truncation, occlusion.

    The projected box is cut to [0, W - 1] x [0, H - 1] and truncation is the share of its area that this takes away: 1
    for a box that is wholly behind the camera or beside the image. Occlusion compares the mask with the part of the
    box's outline inside the image (`VISIBLE_SHARES`); it is 3 where there is no mask or no outline.
    """
    T_cam_world = rigid.inverse(T_world_cam)
    bottoms, rotation_y, alpha = to_kitti_camera(centers_world, dimensions_lwh, yaws_world, T_cam_world)
    corners_cam = rigid.apply(T_cam_world, corners_world(centers_world, dimensions_lwh, yaws_world))
    boxes = project_boxes(corners_cam, K)
    width, height = image_size
    clipped = np.clip(boxes, 0.0, [width - 1, height - 1, width - 1, height - 1])
    outlines = outline_areas(corners_cam, K, image_size)
    return {
        "x_cam": bottoms[:, 0],
        "y_cam": bottoms[:, 1],
        "z_cam": bottoms[:, 2],
        "rotation_y": rotation_y,
        "alpha": alpha,
        "bbox_left": clipped[:, 0],
        "bbox_top": clipped[:, 1],
        "bbox_right": clipped[:, 2],
        "bbox_bottom": clipped[:, 3],
        "truncation": 1 - np.clip(_ratio(_box_areas(clipped), _box_areas(boxes)), 0.0, 1.0),
        "occlusion": _occlusion(mask_areas, outlines),
    }


def _occlusion(mask_areas: np.ndarray, outlines: np.ndarray) -> np.ndarray:
    shares = _ratio(mask_areas, outlines)
    levels = (shares < VISIBLE_SHARES[0]).astype(np.int8) + (shares < VISIBLE_SHARES[1])
    return np.where((mask_areas > 0) & (outlines > 0), levels, 3).astype(np.int8)


def _box_areas(boxes_xyxy: np.ndarray) -> np.ndarray:
    return (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1)


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Parts / wholes, 0 where the whole is 0."""
    return np.where(wholes > 0, parts / np.where(wholes > 0, wholes, 1.0), 0.0)


def _camera_columns_of(fits: Sequence[BoxFit], view: View, mask_areas: np.ndarray) -> dict[str, np.ndarray]:
    return camera_columns(
        view,
        centers_world=np.stack([fit.center_world for fit in fits]),
        dimensions_lwh=np.stack([fit.dimensions_lwh for fit in fits]),
        yaws_world=np.array([fit.yaw_world for fit in fits]),
        mask_areas=mask_areas,
    )


def _fit_columns(fits: Sequence[BoxFit]) -> dict[str, list[Any]]:
    """The columns that are the same in every frame."""
    copied = (
        "instance_id class_name yaw_world confidence mean_iou_2d num_views bearing_spread_deg silhouette_loss"
        " is_moving shape"
    )
    columns: dict[str, list[Any]] = {name: [getattr(fit, name) for fit in fits] for name in copied.split()}
    for axis, name in enumerate(("x_world", "y_world", "z_world")):
        columns[name] = [float(fit.center_world[axis]) for fit in fits]
    for axis, name in enumerate(("length", "width", "height")):
        columns[name] = [float(fit.dimensions_lwh[axis]) for fit in fits]
    return columns
