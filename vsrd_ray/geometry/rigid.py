"""Rigid transforms. `T_a_b` maps coordinates of b into a; matrices are [..., 4, 4] float64, metres."""

import numpy as np

_ROUNDING = 2e-3  # of the entries of rotations in text files


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


def is_rigid(T_a_b: np.ndarray) -> np.ndarray:
    """Whether matrices [..., 4, 4] of finite numbers are rotations and translations, but for a text file's rounding."""
    R = T_a_b[..., :3, :3]
    off = np.abs(np.swapaxes(R, -1, -2) @ R - np.eye(3)).max((-1, -2))
    last = np.abs(T_a_b[..., 3, :] - (0, 0, 0, 1)).max(-1)
    return (np.maximum(off, last) <= _ROUNDING) & (np.linalg.det(R) > 0)


def why_not_rigid(T_a_b: np.ndarray) -> str:
    """What keeps a matrix [4, 4] that is not `is_rigid` from being one, with the likely cause."""
    R, last_row = T_a_b[:3, :3], T_a_b[3]
    if np.abs(last_row - (0, 0, 0, 1)).max() > _ROUNDING:
        if np.abs(T_a_b[:, 3] - (0, 0, 0, 1)).max() <= _ROUNDING:
            return "it is transposed, as column-major tools write it: write it row by row"
        return f"its last row is {' '.join(f'{value:g}' for value in last_row)}, expected 0 0 0 1"
    scale = float(np.sqrt(np.trace(R.T @ R) / 3))
    if scale < _ROUNDING:
        return "its rotation is zero"
    if np.abs(R.T @ R / scale**2 - np.eye(3)).max() > _ROUNDING:
        return "its first three columns are not at right angles and of one length"
    if np.linalg.det(R) < 0:
        return "it mirrors (determinant below 0): one axis points the wrong way"
    return f"it scales by {scale:.6g}: divide its first three columns by that"


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
