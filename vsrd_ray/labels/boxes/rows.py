"""From fitted boxes to label rows: one for each box and frame.

Shapes: N boxes of one frame.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import View
from vsrd_ray.data.groups import GroupFrames, of_instances
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.geometry.cameras import box_areas, project_boxes
from vsrd_ray.geometry.outlines import outline_areas
from vsrd_ray.labels.boxes.columns import BOX_2D, BOX_CAM, VELOCITY_WORLD, box_columns
from vsrd_ray.labels.boxes.fits import BoxFit
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA

# Least share of a box's outline that its mask covers, for KITTI's occlusion 0 and 1. An unoccluded car covers .7 to .9.
VISIBLE_SHARES = (0.6, 0.3)
# Of the confidence of a box, what it has in a frame where its mask is missing.
UNSEEN_SHARE = 0.7


def label_rows(fits: Sequence[BoxFit], group: GroupFrames, *, labeler: str, config_hash: str, seed: int) -> pa.Table:
    """Label rows in `LABEL_SCHEMA`, sorted by frame and instance: a row for each frame in which a fit's mask is seen.

    And for those in which it is not, but ought to be: these are not `observed`, and have a lower confidence. A fit with
    a motion has a box and a velocity of its own in each frame, and may have a confidence.

    Args:
        fits: boxes of instances of the group; an instance without a fit has no rows.
        group: where the boxes were fitted; its label frames are the frames that get rows.
        labeler: name of the labeler.
        config_hash: hash of its configuration.
        seed: the run's seed.

    Raises:
        ValueError: a fit of an instance that is not in the group, or whose motion lacks a frame in which it is seen.
    """
    fits = sorted(fits, key=lambda fit: fit.instance_id)
    strangers = {fit.instance_id for fit in fits} - set(group.plan.instance_ids)
    if strangers:
        raise ValueError(f"group {group.plan.group_id} has fits of instances that are not in it: {sorted(strangers)}")
    positions = [group.plan.instance_ids.index(fit.instance_id) for fit in fits]
    best_frames = np.array(of_instances(group.plan).best_frames)[positions]
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
        frame = label_frame.view.frame
        every = label_frame.mask_areas[positions]
        is_seen = np.array([fit.covers(frame) for fit in fits], dtype=bool) & (every > 0)
        shown = is_seen | np.array([frame in fit.unseen_frames for fit in fits], dtype=bool)
        if shown.any():
            seen, areas, observed = [fits[n] for n in np.flatnonzero(shown)], every[shown], is_seen[shown]
            boxes, velocities = zip(*(fit.at(frame) for fit in seen), strict=True)
            boxes = UprightBoxes.stack(boxes)
            columns = _fit_columns(seen) | box_columns(boxes)
            columns |= dict(zip(VELOCITY_WORLD, zip(*velocities, strict=True), strict=True))
            columns |= camera_columns(label_frame.view, boxes, mask_areas=areas)
            columns |= {name: [value] * len(seen) for name, value in constants.items()}
            columns["frame"] = [frame] * len(seen)
            columns["time_s"] = [label_frame.view.time_s] * len(seen)
            columns["target_frame"] = best_frames[shown]
            columns["observed"] = observed
            confidences = np.array([fit.confidence_at(frame) for fit in seen])
            columns["confidence"] = np.where(observed, 1.0, UNSEEN_SHARE) * confidences
            tables.append(pa.table(columns, schema=LABEL_SCHEMA))
    return pa.concat_tables(tables).combine_chunks()


def camera_columns(
    view: View,
    boxes: UprightBoxes,  # [N], in the world
    *,
    mask_areas: np.ndarray,  # [N] pixels
) -> dict[str, np.ndarray]:
    """`columns_in_cameras` of boxes that one view shows."""
    return columns_in_cameras(view.T_world_cam, boxes, K=view.K, image_size=view.image_size, mask_areas=mask_areas)


def columns_in_cameras(
    T_world_cam: np.ndarray,  # [4, 4], or [N, 4, 4] of boxes that different views show
    boxes: UprightBoxes,  # [N], in the world
    *,
    K: np.ndarray,  # [3, 3] pixels
    image_size: tuple[int, int],  # (width, height) pixels
    mask_areas: np.ndarray,  # [N] pixels
) -> dict[str, np.ndarray]:
    """The columns [N] of `LABEL_SCHEMA` that depend on the camera: KITTI's box, projected box, truncation, occlusion.

    The projected box is cut to [0, W - 1] x [0, H - 1] and truncation is the share of its area that this takes away: 1
    for a box that is wholly behind the camera or beside the image. Occlusion compares the mask with the part of the
    box's outline inside the image (`VISIBLE_SHARES`); it is 3 where there is no mask or no outline.
    """
    T_cam_world = rigid.inverse(T_world_cam)
    bottoms, rotation_y, alpha = boxes.to_kitti_camera(T_cam_world)
    corners_cam = rigid.apply(T_cam_world, boxes.corners())
    boxes_xyxy = project_boxes(corners_cam, K)
    width, height = image_size
    clipped = np.clip(boxes_xyxy, 0.0, [width - 1, height - 1, width - 1, height - 1])
    outlines = outline_areas(corners_cam, K, image_size)
    return {
        **dict(zip(BOX_CAM, [*bottoms.T, rotation_y, alpha], strict=True)),
        **dict(zip(BOX_2D, clipped.T, strict=True)),
        "truncation": 1 - np.clip(_ratio(box_areas(clipped), box_areas(boxes_xyxy)), 0.0, 1.0),
        "occlusion": _occlusion(mask_areas, outlines),
    }


def _occlusion(mask_areas: np.ndarray, outlines: np.ndarray) -> np.ndarray:
    shares = _ratio(mask_areas, outlines)
    levels = (shares < VISIBLE_SHARES[0]).astype(np.int8) + (shares < VISIBLE_SHARES[1])
    return np.where((mask_areas > 0) & (outlines > 0), levels, 3).astype(np.int8)


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Parts / wholes, 0 where the whole is 0."""
    return np.where(wholes > 0, parts / np.where(wholes > 0, wholes, 1.0), 0.0)


def _fit_columns(fits: Sequence[BoxFit]) -> dict[str, Any]:
    """The columns that are the same in every frame."""
    copied = (
        *("instance_id", "class_name", "mean_iou_2d", "num_views", "bearing_spread_deg"),
        *("silhouette_loss", "is_moving", "shape"),
    )
    ids = [fit.instance_id if fit.track_id is None else fit.track_id for fit in fits]
    return {name: [getattr(fit, name) for fit in fits] for name in copied} | {"track_id": ids}
