"""Where boxes in an image are in the world, and where what stands there is in another image.

The height of a box tells its depth, as if all objects were as high as cars; the middle of its lower side tells the
place. No road need be known. What is higher or lower is taken for nearer or farther on the line of sight, and so is
back where it was once it is seen from about there. `T_a_b` maps coordinates of b into a.
Shapes: N boxes; `...` no axis, or N.
"""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.tracking.overlaps import xyah_from_xyxy, xyxy_from_xyah

_HEIGHT = 1.5  # m, of a car
_NEAREST = 1.0  # m: what comes nearer has left the image


def feet_of(
    boxes_xyxy: np.ndarray,  # [N, 4] px
    K: np.ndarray,  # [3, 3] px
) -> np.ndarray:
    """Where objects touch the ground: [N, 3] m in the camera's coordinates."""
    depths = K[1, 1] * _HEIGHT / (boxes_xyxy[:, 3] - boxes_xyxy[:, 1])
    centers_u = (boxes_xyxy[:, 0] + boxes_xyxy[:, 2]) / 2
    uv1 = np.column_stack([centers_u, boxes_xyxy[:, 3], np.ones(len(boxes_xyxy))])
    return uv1 @ np.linalg.inv(K).T * depths[:, None]


def boxes_at(
    feet_cam: np.ndarray,  # [N, 3] m
    aspects: np.ndarray,  # [N] width / height in the image
    K: np.ndarray,  # [3, 3] px
) -> np.ndarray:
    """Boxes [N, 4] px, xyxy, of objects that touch the ground there; NaN where that is not ahead of the camera."""
    depths = np.where(feet_cam[:, 2] > _NEAREST, feet_cam[:, 2], np.nan)
    u, bottom, _ = (feet_cam / depths[:, None] @ K.T).T
    heights = K[1, 1] * _HEIGHT / depths
    return xyxy_from_xyah(np.column_stack([u, bottom - heights / 2, aspects, heights]))


def applied(
    T_b_a: np.ndarray,  # [..., 4, 4]
    points_a: np.ndarray,  # [N, 3]
) -> np.ndarray:
    """Points [N, 3] in b, of one transform or of one for each."""
    return (T_b_a[..., :3, :3] @ points_a[:, :, None])[:, :, 0] + T_b_a[..., :3, 3]


@dataclass(frozen=True)
class EgoMotion:
    """How a camera moved from one frame to the next."""

    K: np.ndarray  # [3, 3] px
    T_next_cam: np.ndarray  # [4, 4] m, from the camera in the one frame to the camera in the next

    def moved(self, boxes_xyah: np.ndarray) -> np.ndarray:
        """Boxes [N, 4] of standing objects in the next frame; those that the camera has passed stay as they are."""
        feet = applied(self.T_next_cam, feet_of(xyxy_from_xyah(boxes_xyah), self.K))
        moved = xyah_from_xyxy(boxes_at(feet, boxes_xyah[:, 2], self.K))
        return np.where(np.isnan(moved), boxes_xyah, moved)
