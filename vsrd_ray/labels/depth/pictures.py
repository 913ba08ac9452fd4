"""Depth, profiles and views from elsewhere as pictures.

Shapes: H x W pixels; pictures are BGR uint8.
"""

from dataclasses import replace

import cv2
import numpy as np

from vsrd_ray.geometry import rigid
from vsrd_ray.labels.depth.field import Field, seen_depth
from vsrd_ray.labels.depth.schema import DepthMap

_STOPPED = 0.5  # share of light from which on a ray ends in the field


def depth_picture(
    depth: np.ndarray,  # [H, W] m, 0 unknown
    *,
    near: float = 3.0,
    far: float = 40.0,
) -> np.ndarray:
    """Inverse depth between near and far in magma's colours [H, W, 3], as published; black where unknown."""
    inverse = 1 / depth.clip(min=near)
    share = ((inverse - 1 / far) / (1 / near - 1 / far)).clip(0, 1)
    picture = cv2.applyColorMap(np.rint(share * 255).astype(np.uint8), cv2.COLORMAP_MAGMA)
    picture[depth <= 0] = 0
    return picture


def profile_picture(
    profile: np.ndarray,  # [far to near, left to right]
    side: int,  # px
) -> np.ndarray:
    """The profile [side, side, 3]: bright where all heights are free."""
    shown = cv2.applyColorMap(np.rint(profile * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return cv2.resize(shown, (side, side), interpolation=cv2.INTER_NEAREST)


def beside(
    image: np.ndarray | None,  # [H, W, 3]
    one: DepthMap,
) -> np.ndarray:
    """The image over its depth, beside the profile, [2 H, W + 2 H, 3]."""
    depth = depth_picture(one.depth)
    column = np.concatenate([np.zeros_like(depth) if image is None else image, depth])
    return np.concatenate([column, profile_picture(one.profile, len(column))], axis=1)


def from_elsewhere(
    field: Field,
    one: DepthMap,
    image: np.ndarray | None,
    T_world_cam: np.ndarray,  # [4, 4] of the new camera
    *,
    near: float,
    far: float,
) -> np.ndarray:
    """What a camera elsewhere sees, in the colours of a frame's image, over its depth [2 H, W, 3].

    Black is what the frame's image does not show.
    """
    depth, _, stopped = seen_depth(field, one.K, T_world_cam, one.size)
    depth = np.where(stopped > _STOPPED, depth, 0).astype(np.float32)
    moved = replace(one, T_world_cam=T_world_cam, depth=depth)
    colors = np.zeros((*depth.shape, 3), np.uint8)
    if image is not None:
        found, seen = seen_through(moved, one, image)
        colors = np.where(seen[..., None], np.rint(found), 0).astype(np.uint8)
    return np.concatenate([colors, depth_picture(depth, near=near, far=far)])


def seen_through(
    one: DepthMap,
    other: DepthMap,
    image: np.ndarray,  # [H, W, 3] of the other frame
) -> tuple[np.ndarray, np.ndarray]:
    """The colours [H, W, 3] float32 of a frame's pixels in another's image, and which of them it shows [H, W] bool."""
    width, height = one.size
    v, u = np.mgrid[:height, :width]
    points = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(one.K).T * one.depth[..., None]
    T_other_one = rigid.inverse(other.T_world_cam) @ one.T_world_cam
    moved = rigid.apply(T_other_one, points.reshape(-1, 3)) @ other.K.T
    ahead = (moved[:, 2] > 0.1).reshape(height, width)
    places = (moved[:, :2] / moved[:, 2:].clip(min=0.1)).astype(np.float32).reshape(height, width, 2)
    inside = (places >= 0).all(axis=-1) & (places <= (other.size[0] - 1, other.size[1] - 1)).all(axis=-1)
    colors = cv2.remap(image.astype(np.float32), places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    return colors, inside & ahead & (one.depth > 0)
