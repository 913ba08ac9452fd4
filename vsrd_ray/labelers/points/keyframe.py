"""What the masks of all cameras say of the points of one sweep, and their labels by the published rules.

Shapes: N points, M points in view of a camera, H x W pixels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.labelers.points.projection import InView
from vsrd_ray.labelers.points.refinement import Labels, merge_views, refine
from vsrd_ray.labels.points.classes import NO_INSTANCE, NONE

_THIN = 4  # columns of a mask of which one is looked at for its height


@dataclass(frozen=True)
class Seen:
    """What a camera's mask says of the points that it shows."""

    index: np.ndarray  # [M] int64, places in the sweep, ascending
    labels: Labels  # [M] of the pixels that the points fall on; instances are those of the camera's mask
    depth: np.ndarray  # [M] float64 m along the optical axis
    across: np.ndarray  # [M] share of the image's width, 0 at its left
    tallness: np.ndarray  # [M] height of the instance's mask over the focal length; 0 without an instance
    scores: Mapping[int, float] = field(default_factory=dict)  # of masks, by instance; 1 of those that are not here


def look_up(
    points: InView,  # M
    instance_map: np.ndarray,  # [H, W] uint16
    classes: np.ndarray,  # [...] int64, place in `NAMES` of each class number; `NONE` for others
    K: np.ndarray,  # [3, 3] px
    scores: Mapping[int, float] | None = None,  # by instance
) -> Seen:
    """What an instance map says of points; stuff and other classes give no label."""
    ids = instance_map[points.pixels].astype(np.int64)
    of_class = classes[ids // IDS_PER_CLASS]
    is_labelled = (of_class != NONE) & (ids % IDS_PER_CLASS > 0)
    labels = Labels(np.where(is_labelled, of_class, NONE), np.where(is_labelled, ids, NO_INSTANCE))
    return Seen(
        index=points.index,
        labels=labels,
        depth=points.depth,
        across=points.uv[:, 0] / instance_map.shape[1],
        tallness=np.where(is_labelled, _heights(instance_map, np.unique(ids[is_labelled]))[ids], 0) / K[1, 1],
        scores=scores or {},
    )


def _heights(instance_map: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Rows [65536] from the first to the last pixel of some instances, by id; 0 of all others."""
    place = np.zeros(np.iinfo(np.uint16).max + 1, dtype=np.int32)
    place[ids] = np.arange(1, len(ids) + 1)
    heights = np.zeros(len(place))
    boxes = ndimage.find_objects(place[instance_map[:, ::_THIN]], max_label=len(ids))
    heights[ids] = [0 if box is None else box[0].stop - box[0].start for box in boxes]
    return heights


def published(
    xyz: np.ndarray,  # [N, 3] metres, in the sensor's frame
    views: Iterable[Seen],  # in the order of the cameras
) -> Labels:
    """MixSup's rule: refine in each camera, merge over cameras, refine again; nothing is known of the ground."""
    running = Labels.none(len(xyz))
    for view in views:
        running = merge_views(running, refine(xyz, view.labels.spread(view.index, len(xyz))))
    return refine(xyz, running)
