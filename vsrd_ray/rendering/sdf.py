"""Signed distances to boxes and their soft union.

Shapes: N instances, P points. Metres, positive outside.
"""

import torch
from torch import Tensor


def box_distance(
    points_obj: Tensor,  # [N, P, 3] metres, in each box's own frame
    half_extents: Tensor,  # [N, 3] metres, along the same axes
) -> Tensor:
    """Signed distances [N, P] to axis-aligned boxes (VSRD, box SDF).

    Outside, the root is kept off zero by 1e-6, so that the gradient exists everywhere; distances there are up to 1 mm
    too long.
    """
    q = points_obj.abs() - half_extents[:, None]
    outside = torch.sqrt(q.relu().square().sum(dim=-1) + 1e-6)
    return outside - (-q.amax(dim=-1)).relu()


def soft_union(
    distances: Tensor,  # [N, P] metres
    temperature: float,  # metres
) -> tuple[Tensor, Tensor]:
    """Distance [P] to the union of N shapes and the share [P, N] that each has in it: both softmin averages."""
    shares = torch.softmax(-distances / temperature, dim=0)
    return (shares * distances).sum(dim=0), shares.transpose(0, 1)
