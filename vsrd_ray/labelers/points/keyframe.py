"""Labels of one sweep from the masks of all cameras, by the published rules.

Shapes: N points, M points in view of a camera.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vsrd_ray.labelers.points.refinement import Labels, merge_views, refine


@dataclass(frozen=True)
class Seen:
    """What a camera's mask says of the points that it shows."""

    index: np.ndarray  # [M] int64, places in the sweep, ascending
    depth: np.ndarray  # [M] float64 m along the optical axis
    labels: Labels  # [M] of the pixels that the points fall on; instances are numbered within the camera


def published(
    xyz: np.ndarray,  # [N, 3] metres, in the sensor's frame
    views: Iterable[Seen],  # in the order of the cameras
) -> Labels:
    """MixSup's rule: refine in each camera, merge over cameras, refine again; nothing is known of the ground."""
    running = Labels.none(len(xyz))
    for view in views:
        running = merge_views(running, refine(xyz, view.labels.spread(view.index, len(xyz))))
    return refine(xyz, running)
