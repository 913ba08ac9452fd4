"""Rays through pixels.

Shapes: V views, R rays. Frames: `cam` (x right, y down, z forward), `ref` any frame in which all views are expressed.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor


def cast_rays(
    pixels: Tensor,  # [..., 2] px (u, v), the image points themselves
    K: Tensor,  # [..., 3, 3] px
    T_ref_cam: Tensor,  # [..., 4, 4]
) -> tuple[Tensor, Tensor]:
    """Origins [..., 3] (metres) and unit directions [..., 3] in `ref` of the rays through pixels.

    Batch axes of K and T_ref_cam broadcast against those of the pixels.
    """
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    solve = cast("Callable[[Tensor, Tensor], Tensor]", torch.linalg.solve)  # pyright: ignore[reportUnknownMemberType]
    directions_cam = solve(K, homogeneous[..., None])
    directions = torch.nn.functional.normalize((T_ref_cam[..., :3, :3] @ directions_cam)[..., 0], dim=-1)
    return T_ref_cam[..., :3, 3].expand_as(directions), directions


def intersect_boxes(
    origins: Tensor,  # [R, 3] metres
    directions: Tensor,  # [R, 3] unit
    locations: Tensor,  # [N, 3] metres
    half_extents: Tensor,  # [N, 3] metres, along the boxes' own axes
    R_ref_obj: Tensor,  # [N, 3, 3]
) -> tuple[Tensor, Tensor]:
    """Distances [R, N] (metres) at which rays enter and leave boxes, by the slab method.

    Where a ray misses, enter > leave. A ray that starts inside a box enters it at 0.
    """
    origins_obj = torch.einsum("nij,rni->rnj", R_ref_obj, origins[:, None] - locations)
    directions_obj = torch.einsum("nij,ri->rnj", R_ref_obj, directions)
    tiny = torch.finfo(directions.dtype).tiny
    inverse = 1 / torch.where(directions_obj.abs() < tiny, torch.full_like(directions_obj, tiny), directions_obj)
    a, b = (-half_extents - origins_obj) * inverse, (half_extents - origins_obj) * inverse
    enter = torch.minimum(a, b).amax(dim=-1).clamp(min=0)
    leave = torch.maximum(a, b).amin(dim=-1)
    return enter, leave
