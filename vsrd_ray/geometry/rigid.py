"""Rigid transforms. `T_a_b` maps coordinates of b into a; matrices are [..., 4, 4] float64, metres."""

import numpy as np


def inverse(T_a_b: np.ndarray) -> np.ndarray:
    """`T_b_a`, exactly for a rotation and a translation: no general matrix inverse."""
    T_b_a = np.zeros_like(T_a_b)
    R_b_a = np.swapaxes(T_a_b[..., :3, :3], -1, -2)
    T_b_a[..., :3, :3] = R_b_a
    T_b_a[..., :3, 3] = -(R_b_a @ T_a_b[..., :3, 3:])[..., 0]
    T_b_a[..., 3, 3] = 1
    return T_b_a


def apply(T_a_b: np.ndarray, points_b: np.ndarray) -> np.ndarray:
    """Points [..., P, 3] of frame b in frame a."""
    return points_b @ np.swapaxes(T_a_b[..., :3, :3], -1, -2) + T_a_b[..., None, :3, 3]


def levelled_at(T_world_cam: np.ndarray) -> np.ndarray:
    """`T_world_ref` [4, 4]: the frame at the camera with y along gravity and z ahead (x right, y down, z forward).

    Both pitch and roll are taken out, by turning the camera about the axis and angle that bring its y axis onto the
    world's -z by the way of its forward direction. (VSRD's public code applies the whole tilt as if it were pitch.)

    Raises:
        ValueError: if the camera looks straight up or down, so that there is no direction ahead.
    """
    down = np.array([0.0, 0.0, -1.0])
    forward = T_world_cam[:3, 2] - down * (down @ T_world_cam[:3, 2])
    length = np.linalg.norm(forward)
    if length < 1e-6:
        raise ValueError("a camera that looks along gravity has no direction ahead; expected a camera on a vehicle")
    forward = forward / length
    T_world_ref = np.eye(4)
    T_world_ref[:3, :3] = np.stack([np.cross(down, forward), down, forward], axis=-1)
    T_world_ref[:3, 3] = T_world_cam[:3, 3]
    return T_world_ref
