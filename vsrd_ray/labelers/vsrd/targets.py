"""What the volumetric optimisation is held against: a group's cameras, mask boxes, and rays with their soft masks.

Shapes: V views (the target first), N instances, T steps, R rays a step.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.config import MaskSettings
from vsrd_ray.data.frames import FrameGroup
from vsrd_ray.data.masks import SoftMask, largest_soft_mask, mask_box, refine_mask, soft_mask_window
from vsrd_ray.geometry import rigid


@dataclass(frozen=True)
class Targets:
    """Observations of a group's instances, in the reference frame (gravity-aligned at the target camera)."""

    instance_ids: tuple[int, ...]  # [N]; those of the group that the target view shows well enough
    class_names: tuple[str, ...]  # [N]
    T_world_ref: np.ndarray  # [4, 4] float64
    image_size: tuple[int, int]  # (width, height) px
    K: Tensor  # [V, 3, 3] px
    T_ref_cam: Tensor  # [V, 4, 4]
    T_cam_ref: Tensor  # [V, 4, 4], its inverse
    visible: Tensor  # [V, N] bool
    mask_boxes: Tensor  # [V, N, 4] px (x1, y1, x2, y2), last pixel included; 0 where not visible
    soft_masks: tuple[tuple[SoftMask | None, ...], ...]  # [V][N]


@dataclass(frozen=True)
class RayPlan:
    """Every ray of a run, drawn ahead."""

    views: Tensor  # [T, R] int64
    pixels: Tensor  # [T, R, 2] px (u, v)
    soft_masks: Tensor  # [T, R, N] 0..1


def build_targets(
    group: FrameGroup,
    settings: MaskSettings,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> Targets:
    """Masks refined, softened and outlined; poses brought into the reference frame in double precision first.

    Instances whose refined mask is too small in the target view are left out (VSRD section 4.1).
    """
    T_world_ref = rigid.levelled_at(group.views[0].T_world_cam)
    T_ref_cam = rigid.inverse(T_world_ref) @ np.stack([view.T_world_cam for view in group.views])
    refined = [_refined_masks(instances, group.plan.instance_ids, settings) for instances in group.instance_maps]
    kept = [n for n, mask in enumerate(refined[0]) if mask is not None and _is_target(mask, settings)]
    refined = [[masks[n] for n in kept] for masks in refined]

    def to_tensor(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, device=device).to(dtype)

    return Targets(
        instance_ids=tuple(group.plan.instance_ids[n] for n in kept),
        class_names=tuple(group.class_names[n] for n in kept),
        T_world_ref=T_world_ref,
        image_size=group.views[0].image_size,
        K=to_tensor(np.stack([view.K for view in group.views])),
        T_ref_cam=to_tensor(T_ref_cam),
        T_cam_ref=to_tensor(rigid.inverse(T_ref_cam)),
        visible=torch.as_tensor(np.array([[mask is not None for mask in masks] for masks in refined]), device=device),
        mask_boxes=to_tensor(np.array([[_box(mask) for mask in masks] for masks in refined], dtype=np.float64)),
        soft_masks=tuple(
            tuple(
                None if mask is None else soft_mask_window(mask, settings.softness, settings.distance) for mask in masks
            )
            for masks in refined
        ),
    )


def _box(mask: np.ndarray | None) -> tuple[int, int, int, int]:
    return (mask_box(mask) if mask is not None else None) or (0, 0, 0, 0)


def _refined_masks(
    instances: np.ndarray, instance_ids: tuple[int, ...], settings: MaskSettings
) -> list[np.ndarray | None]:
    masks: list[np.ndarray | None] = []
    for instance_id in instance_ids:
        mask = instances == instance_id
        if settings.refine:
            mask = refine_mask(mask)
        masks.append(mask if np.count_nonzero(mask) >= settings.min_source_area else None)
    return masks


def _is_target(mask: np.ndarray, settings: MaskSettings) -> bool:
    left, top, right, bottom = mask_box(mask) or (0, 0, 0, 0)
    side = min(right - left, bottom - top)
    return bool(np.count_nonzero(mask) >= settings.min_target_area and side >= settings.min_target_side)


def draw_rays(
    targets: Targets,
    *,
    num_steps: int,
    num_rays: int,
    generator: np.random.Generator,
) -> RayPlan:
    """Rays of every step, drawn in proportion to the largest soft mask of their pixel over all views.

    No pixel is drawn twice in a step.

    A step's rays are the first distinct ones of a longer draw with repetition, which has the same distribution as a
    draw without. There are fewer rays than asked for where they would take more than half of the pixels.
    """
    density = np.stack([largest_soft_mask(row, targets.image_size) for row in targets.soft_masks])
    cumulative = np.cumsum(density.ravel(), dtype=np.float64)
    num_rays = min(num_rays, int(np.count_nonzero(density)) // 2)
    drawn = np.stack([_draw_distinct(cumulative, num_rays, generator) for _ in range(num_steps)])
    views, v, u = np.unravel_index(drawn, density.shape)
    pixels = np.stack([u, v], axis=-1)
    soft_masks = np.zeros((*drawn.shape, len(targets.instance_ids)), dtype=np.float32)
    for index, row in enumerate(targets.soft_masks):
        here = np.nonzero(views == index)
        for n, soft in enumerate(row):
            if soft is not None:
                soft_masks[(*here, n)] = soft.at(pixels[here])
    like = targets.K
    return RayPlan(
        views=torch.as_tensor(views, device=like.device),
        pixels=torch.as_tensor(pixels, device=like.device).to(like.dtype),
        soft_masks=torch.as_tensor(soft_masks, device=like.device).to(like.dtype),
    )


def _draw_distinct(cumulative: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    drawn = np.empty(0, dtype=np.int64)
    while len(drawn) < count:
        more = np.searchsorted(cumulative, generator.random(2 * count) * cumulative[-1], side="right")
        drawn = np.concatenate([drawn, more])
        drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
    return drawn[:count]
