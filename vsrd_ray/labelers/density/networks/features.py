"""What a network knows of a point: the features where views see it, and a code of where that is.

Shapes: P points, V views, C channels. Metres.
"""

import torch
from torch import Tensor

from vsrd_ray.rendering.images import MIN_DEPTH, project, sample

_FREQUENCIES = tuple(1.5 * 2.0**octave for octave in range(6))
NUM_CODES = 3 * (1 + 2 * len(_FREQUENCIES))  # of a point in a view


def positional_code(
    positions: Tensor,  # [..., 3], in [-1, 1] inside of the frustum
) -> Tensor:
    """Positions and their sines and cosines at six frequencies, [..., 39] (NeRF; published code of BTS)."""
    waves = [wave(frequency * positions) for frequency in _FREQUENCIES for wave in (torch.sin, torch.cos)]
    return torch.cat([positions, *waves], dim=-1)


def point_features(
    points: Tensor,  # [P, 3] in `world`
    feature_maps: Tensor,  # [V, C, H, W]
    T_world_cam: Tensor,  # [V, 4, 4]
    K_norm: Tensor,  # [V, 3, 3]
    *,
    near: float,
    far: float,
) -> tuple[Tensor, Tensor]:
    """Features and code [P, V, C + 39] of points in views, and whether a view does not see a point, [P, V].

    The third coordinate of the code is inverse depth, from 1 at near to -1 at far.
    """
    uv, depth, unseen = project(points, T_world_cam, K_norm)
    inverse = 1 / depth.clamp(min=MIN_DEPTH)
    z = 2 * (inverse - 1 / far) / (1 / near - 1 / far) - 1
    return torch.cat([sample(feature_maps, uv), positional_code(torch.cat([uv, z[..., None]], dim=-1))], dim=-1), unseen
