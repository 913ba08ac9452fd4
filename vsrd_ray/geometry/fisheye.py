"""Fisheye images as pinhole cameras see them, tilted and turned as one likes.

Shapes: H x W pixels. Frames: `fisheye` and `pinhole`, at one place (x right, y down, z ahead).
"""

import numpy as np

from vsrd_ray.geometry.mei import MEI


def turned(
    *,
    yaw_deg: float,  # to the right
    pitch_deg: float,  # upwards
) -> np.ndarray:
    """`R_fisheye_pinhole` [3, 3] of a pinhole camera that is turned and then tilted."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    cos, sin = np.cos(yaw), np.sin(yaw)
    R_yaw = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    cos, sin = np.cos(pitch), np.sin(pitch)
    return R_yaw @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def fisheye_pixels(
    model: MEI,
    K_norm: np.ndarray,  # [3, 3] of the pinhole camera, image edges at -1 and 1
    R_fisheye_pinhole: np.ndarray,  # [3, 3]
    image_size: tuple[int, int],  # (width, height) of the pinhole camera's images
    *,
    corners: bool = False,
) -> np.ndarray:
    """Where in the fisheye's image [H, W, 2], px, the pinhole camera's pixels lie.

    With `corners`, the first and last pixels are taken to lie on the image's edges, as published for BTS.
    """
    u, v = (np.linspace(-1, 1, size) * (1 if corners else 1 - 1 / size) for size in image_size)
    rays = np.stack([*np.meshgrid(u, v), np.ones((len(v), len(u)))], axis=-1)
    return model.project(rays @ np.linalg.inv(K_norm).T @ R_fisheye_pinhole.T)


def lookup(
    image: np.ndarray,  # [H', W'] or [H', W', C]
    pixels: np.ndarray,  # [H, W, 2], px
) -> np.ndarray:
    """What an image [H, W] or [H, W, C] float64 shows at pixels: bilinear, and 0 outside of it."""
    height, width = image.shape[:2]
    low = np.floor(pixels).astype(int)
    shares = pixels - low
    found = np.zeros((*pixels.shape[:2], *image.shape[2:]))
    for du, dv in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = low[..., 0] + du, low[..., 1] + dv
        share = np.abs(1 - du - shares[..., 0]) * np.abs(1 - dv - shares[..., 1])
        share = np.where((column >= 0) & (column < width) & (row >= 0) & (row < height), share, 0.0)
        values = image[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        found += values * share.reshape(*share.shape, *(1,) * (image.ndim - 2))
    return found
