"""The parameters of a group's boxes: unconstrained tensors, and the boxes they stand for (VSRD section 3.1).

Shapes: ... batch axes, N instances. Frame `ref`: gravity-aligned at the target camera (x right, y down, z forward).
Box axes: x right (width), y down (height), z forward (length).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vsrd_ray.geometry.boxes import CORNER_SIGNS_RDF
from vsrd_ray.labelers.vsrd.config import BoxSettings


@dataclass(frozen=True)
class Boxes:
    """Boxes in the reference frame."""

    locations: Tensor  # [..., N, 3] metres, centres
    half_extents: Tensor  # [..., N, 3] metres: half of width, height, length
    R_ref_obj: Tensor  # [..., N, 3, 3]

    def corners(self) -> Tensor:
        """Corners [..., N, 8, 3] metres, in the order of geometry/boxes.py."""
        signs = torch.as_tensor(CORNER_SIGNS_RDF).to(self.locations)
        local = signs * self.half_extents[..., None, :]
        return local @ self.R_ref_obj.transpose(-1, -2) + self.locations[..., None, :]

    def to_local(self, points: Tensor) -> Tensor:
        """Points [P, 3] of the reference frame in every box's own frame, [N, P, 3] metres."""
        return (points - self.locations[:, None]) @ self.R_ref_obj


@dataclass(frozen=True)
class BoxRanges:
    """Where boxes can be and how large."""

    location_min: Tensor  # [3] metres
    location_max: Tensor  # [3] metres
    half_extents_min: Tensor  # [N, 3] metres
    half_extents_max: Tensor  # [N, 3] metres

    @staticmethod
    def of(settings: BoxSettings, class_names: Sequence[str], *, like: Tensor) -> "BoxRanges":
        """The ranges of boxes of some classes."""
        sizes = [settings.sizes[name] for name in class_names]
        return BoxRanges(
            like.new_tensor(settings.location_min),
            like.new_tensor(settings.location_max),
            like.new_tensor([size.half_extents_min for size in sizes]),
            like.new_tensor([size.half_extents_max for size in sizes]),
        )


@dataclass
class BoxParameters:
    """Unconstrained parameters; sigmoids keep what they stand for in range."""

    raw_locations: Tensor  # [..., N, 3]
    raw_extents: Tensor  # [..., N, 3]
    raw_yaws: Tensor  # [..., N, 2], (cos, sin) times any positive length

    @staticmethod
    def flat(num_instances: int, *, like: Tensor) -> "BoxParameters":
        """The published start: every box in the middle of the ranges, facing +z."""
        yaws = like.new_zeros(num_instances, 2)
        yaws[:, 0] = 1
        return BoxParameters(like.new_zeros(num_instances, 3), like.new_zeros(num_instances, 3), yaws)

    @staticmethod
    def encode(
        ranges: BoxRanges,
        *,
        locations: Tensor,  # [..., N, 3] metres
        half_extents: Tensor,  # [..., N, 3] metres
        yaws: Tensor,  # [..., N] radians about y, 0 facing +z, pi / 2 facing +x
    ) -> "BoxParameters":
        """Parameters that decode to given boxes; what lies outside the ranges is brought just inside."""
        return BoxParameters(
            _unsquash(locations, ranges.location_min, ranges.location_max),
            _unsquash(half_extents, ranges.half_extents_min, ranges.half_extents_max),
            torch.stack([yaws.cos(), yaws.sin()], dim=-1),
        )

    def decode(self, ranges: BoxRanges) -> Boxes:
        """The boxes these parameters stand for."""
        return Boxes(
            _squash(self.raw_locations, ranges.location_min, ranges.location_max),
            _squash(self.raw_extents, ranges.half_extents_min, ranges.half_extents_max),
            rotations_about_y(self.raw_yaws),
        )

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """All parameters, for an optimiser."""
        return self.raw_locations, self.raw_extents, self.raw_yaws


def rotations_about_y(
    cos_sin: Tensor,  # [..., 2], any positive length
) -> Tensor:
    """Rotations [..., 3, 3] that turn +z towards +x by the angle with this cosine and sine."""
    cos, sin = torch.nn.functional.normalize(cos_sin, dim=-1).unbind(dim=-1)
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    rows = [cos, zero, sin, zero, one, zero, -sin, zero, cos]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def _squash(raw: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.lerp(low, high, torch.sigmoid(raw))


def _unsquash(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.logit((values - low) / (high - low), eps=1e-3)
