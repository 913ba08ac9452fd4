"""Fields that know nothing, but score well: LiDAR occupancy means something only beside them.

A network that calls everything free gets all empty space behind objects right (`ie_rec` 1). One that puts a shell of
some metres behind its depth gets most of the rest right, without having seen what lies there.

Shapes: Q query points, H x W pixels. Metres, z along the optical axis.
"""

from collections.abc import Mapping

import numpy as np

from vsrd_ray.labels.depth.evaluation.occupancy import Measured, behind_depth, scores

SHELLS = {"1 m shell": 1.0, "4 m shell": 4.0, "all behind": np.inf}  # name -> thickness behind the depth
NAMES = ("all free", *SHELLS)


def baselines(
    points_cam: np.ndarray,  # [Q, 3]
    depth: np.ndarray,  # [H, W], of the method that they are compared with
    K_norm: np.ndarray,  # [3, 3], image edges at -1 and 1
) -> dict[str, np.ndarray]:
    """Which points [Q] each baseline calls occupied: none, a shell behind the depth, or all that is behind it."""
    beyond = behind_depth(points_cam, depth, K_norm)
    shells = {name: (beyond > 0) & (beyond <= thickness) for name, thickness in SHELLS.items()}
    return {"all free": np.zeros(len(points_cam), bool)} | shells


def compared(
    predicted: np.ndarray,  # [Q] bool: the method's
    points_cam: np.ndarray,  # [Q, 3]
    depth: np.ndarray,  # [H, W], the method's
    K_norm: np.ndarray,  # [3, 3]
    *,
    published: Measured,
    strict: Measured,
    strict_depth: np.ndarray | None,  # [H', W'], true or dense depth; None: visible is what the key frame's sweep saw
    method: str = "method",
) -> dict[str, dict[str, Mapping[str, float]]]:
    """Scores of one frame by method ("method" and the baselines), then by protocol ("published", "strict").

    As published the method's own depth says what is visible. In the strict protocol that is the same for all.
    """
    reached = behind_depth(points_cam, depth, K_norm) <= 0
    if strict_depth is None:
        truly = np.zeros(len(points_cam), bool)
    else:
        truly = behind_depth(points_cam, strict_depth, K_norm) <= 0
    return {
        name: {"published": scores(one, published, reached), "strict": scores(one, strict, truly)}
        for name, one in ({method: predicted} | baselines(points_cam, depth, K_norm)).items()
    }
