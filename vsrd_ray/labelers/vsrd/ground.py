"""The road's surface as far as the camera's own way tells: it drove over it, at one height of the camera.

Shapes: ... batch axes, C camera positions, N instances. Frame `ref`: gravity-aligned (x right, y down, z forward).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# The camera's height over the road where no parked object tells, m: that of cars with cameras on their roofs.
CAMERA_HEIGHT, CAMERA_HEIGHT_SPREAD = 1.6, 0.12
# To how much a parked object's foot tells that height, m. Beside the way roads fall and kerbs rise: by the square of
# the distance, 1/m. Measured on real drives: .05 m up to 6 m beside it, .2 m at 10 m.
_FOOT_SPREAD, _CROSSFALL = 0.06, 0.003
_LEAST_SPREAD = 0.05
# Roads beyond the ends of the way go on as over its last metres, and differ from that by this share of the distance.
_END_METRES, _END_SLOPE, _EXTENSION = 8.0, 0.01, 80.0


@dataclass(frozen=True)
class Ground:
    """Heights of the road around the way of a camera."""

    way: Tensor  # [C, 3] metres, the road's points under the camera, ends drawn out
    first: float  # metres of the way, level, before the first real point
    length: float  # metres of the way, level, between its real ends
    spread: float  # m, standard deviation of its height

    @staticmethod
    def under(positions: Tensor, *, height: float, spread: float) -> "Ground":
        """The road under camera positions [C, 3], which stand so high over it, metres."""
        far = _apart(positions)
        road = far + far.new_tensor([0.0, height, 0.0])
        before, after = _end(road.flip(0)), _end(road)
        way = torch.cat([before[None], road, after[None]])
        steps = (way[1:] - way[:-1])[:, [0, 2]].norm(dim=-1)
        return Ground(way, float(steps[0]), float(steps[1:-1].sum()), spread)

    def at(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Heights y [...] of the road at points (x, z) [..., 2], slopes [..., 2] and standard deviations [...]."""
        start, step = self.way[:-1], self.way[1:] - self.way[:-1]
        flat, along = start[:, [0, 2]], step[:, [0, 2]]
        lengths = along.square().sum(dim=-1).clamp(min=1e-6)
        offsets = points[..., None, :] - flat  # [..., C - 1, 2]
        share = ((offsets * along).sum(dim=-1) / lengths).clamp(0, 1)
        beside = (offsets - share[..., None] * along).norm(dim=-1)
        beside, nearest = beside.min(dim=-1)
        share = share.gather(-1, nearest[..., None])[..., 0]
        heights = start[:, 1][nearest] + share * step[:, 1][nearest]
        slopes = (step[:, 1:2] / lengths[:, None] * along)[nearest]
        metres = torch.cat([lengths.new_zeros(1), lengths.sqrt().cumsum(dim=0)])
        place = metres[nearest] + share * lengths.sqrt()[nearest] - self.first
        beyond = (-place).clamp(min=0) + (place - self.length).clamp(min=0)
        variances = self.spread**2 + (_CROSSFALL * beside.square()).square() + (_END_SLOPE * beyond).square()
        return heights, slopes, variances.sqrt()


def camera_height(positions: Tensor, feet: Tensor) -> tuple[float, float]:
    """Height of a camera over the road and its standard deviation, metres.

    Args:
        positions: [C, 3] of the camera.
        feet: [N, 3] lowest points of objects that stand on the road, below their centres.
    """
    prior = 1 / CAMERA_HEIGHT_SPREAD**2
    if not len(feet):
        return CAMERA_HEIGHT, CAMERA_HEIGHT_SPREAD
    above, _, spreads = Ground.under(positions, height=0.0, spread=_FOOT_SPREAD).at(feet[:, [0, 2]])
    heights = feet[:, 1] - above
    weights = spreads.square().reciprocal()
    mean, trust = heights.median(), weights
    for _ in range(3):  # of those that agree
        trust = weights / (1 + ((heights - mean) / (2 * spreads)).square()).square()
        mean = (prior * CAMERA_HEIGHT + (trust * heights).sum()) / (prior + trust.sum())
    spread = float((prior + trust.sum()).rsqrt())
    return float(mean), max(spread, _LEAST_SPREAD)


def _apart(positions: Tensor, *, least: float = 0.5) -> Tensor:
    """Positions [C, 3] in their order, but for those nearer than this to the last one; at least two."""
    kept = [positions[0]]
    for position in positions[1:]:
        if (position - kept[-1])[[0, 2]].norm() >= least:
            kept.append(position)
    if len(kept) == 1:
        kept.append(kept[0] + kept[0].new_tensor([0.0, 0.0, least]))
    return torch.stack(kept)


def _end(road: Tensor) -> Tensor:
    """Where a road [C, 3] would be some metres beyond its last point."""
    distances = (road - road[-1])[:, [0, 2]].norm(dim=-1)
    near = road[int((distances >= min(_END_METRES, float(distances.max()))).nonzero()[-1])]
    step = road[-1] - near
    return road[-1] + step * (_EXTENSION / step[[0, 2]].norm().clamp(min=1e-3))
