"""The fisheye model of KITTI-360: a unit sphere seen from a point behind its centre, with lens distortion.

Mei and Rives, "Single View Point Omnidirectional Camera Calibration from Planar Grids" (ICRA 2007). A direction
(x, y, z) of length 1 becomes (x, y) / (z + xi), is distorted, and is scaled to pixels.
"""

from dataclasses import dataclass

import numpy as np

_ROUNDS = 12  # of Newton's method for the inverse distortion


@dataclass(frozen=True)
class MEI:
    """One camera. Its axes: x right, y down, z forward."""

    xi: float
    distortion: tuple[float, float, float, float]  # k1, k2, p1, p2
    gamma: tuple[float, float]  # px
    center: tuple[float, float]  # u0, v0, px
    image_size: tuple[int, int]  # (width, height), px

    def project(self, points_cam: np.ndarray) -> np.ndarray:
        """Pixels [..., 2] of points [..., 3]; whether one is in the field of view is for the caller to say."""
        direction = points_cam / np.linalg.norm(points_cam, axis=-1, keepdims=True)
        flat = direction[..., :2] / (direction[..., 2:] + self.xi)
        return self._distorted(flat) * self.gamma + self.center

    def directions(self, pixels: np.ndarray) -> np.ndarray:
        """Unit directions [..., 3] that are seen at pixels [..., 2]; NaN where the model has none."""
        seen = (pixels - np.asarray(self.center)) / np.asarray(self.gamma)
        flat = seen.copy()
        for _ in range(_ROUNDS):
            flat -= self._step_back(flat, self._distorted(flat) - seen)
        square = (flat**2).sum(axis=-1)
        root = 1 + (1 - self.xi**2) * square
        scale = (self.xi + np.sqrt(np.where(root >= 0, root, np.nan))) / (1 + square)
        return np.concatenate([flat * scale[..., None], (scale - self.xi)[..., None]], axis=-1)

    def yaml(self, name: str) -> str:
        """The calibration as KITTI-360 keeps it."""
        (k1, k2, p1, p2), (gamma1, gamma2), (u0, v0) = self.distortion, self.gamma, self.center
        sections = {
            "mirror_parameters": {"xi": self.xi},
            "distortion_parameters": {"k1": k1, "k2": k2, "p1": p1, "p2": p2},
            "projection_parameters": {"gamma1": gamma1, "gamma2": gamma2, "u0": u0, "v0": v0},
        }
        lines = ["%YAML:1.0", "---", "model_type: MEI", f"camera_name: {name}"]
        lines += [f"image_width: {self.image_size[0]}", f"image_height: {self.image_size[1]}"]
        for section, values in sections.items():
            lines += [f"{section}:", *(f"   {key}: {value:.16e}" for key, value in values.items())]
        return "\n".join(lines) + "\n"

    def _distorted(self, flat: np.ndarray) -> np.ndarray:
        k1, k2, p1, p2 = self.distortion
        x, y = flat[..., 0], flat[..., 1]
        square = x**2 + y**2
        radial = 1 + k1 * square + k2 * square**2
        return np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (square + 2 * x**2),
                y * radial + p1 * (square + 2 * y**2) + 2 * p2 * x * y,
            ],
            axis=-1,
        )

    def _step_back(self, flat: np.ndarray, error: np.ndarray) -> np.ndarray:
        """By how much flat points [..., 2] are off where their distorted ones are off by an error [..., 2]."""
        k1, k2, p1, p2 = self.distortion
        x, y = flat[..., 0], flat[..., 1]
        square = x**2 + y**2
        radial, growth = 1 + k1 * square + k2 * square**2, k1 + 2 * k2 * square
        xx = radial + 2 * growth * x**2 + 2 * p1 * y + 6 * p2 * x
        yy = radial + 2 * growth * y**2 + 6 * p1 * y + 2 * p2 * x
        xy = 2 * growth * x * y + 2 * p1 * x + 2 * p2 * y
        dx, dy = error[..., 0], error[..., 1]
        return np.stack([yy * dx - xy * dy, xx * dy - xy * dx], axis=-1) / (xx * yy - xy**2)[..., None]
