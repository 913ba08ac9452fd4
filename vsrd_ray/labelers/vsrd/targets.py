"""What a fit is held against: a group's cameras, mask boxes, outlines and the rays with their soft masks.

Shapes: V views (the target first), N instances, K outline directions, T steps, R rays a step.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.config import MaskSettings
from vsrd_ray.data.frames import FrameGroup
from vsrd_ray.data.masks import SoftMask, largest_soft_mask, mask_box, refine_mask, soft_mask_window
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.vsrd.outlines import (
    CLEARANCE_SAMPLES,
    directions,
    foot_rows,
    may_hide_map,
    measure_clearance,
    trace_outline,
)


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
    supports: Tensor  # [V, N, K] px, extents of the outlines; 0 where not visible
    trusted: Tensor  # [V, N, K] bool, extents that are the object's own
    clearances: Tensor  # [V, N, G, G] px, around each mask the distance from where the instance can be
    clearance_windows: Tensor  # [V, N, 4] px (x1, y1, x2, y2), what the clearances cover
    soft_masks: tuple[tuple[SoftMask | None, ...], ...]  # [V][N]

    @property
    def mask_boxes(self) -> Tensor:
        """Mask boxes (x1, y1, x2, y2), [V, N, 4] px, last pixel included."""
        right, bottom, left, top = self._sides(self.supports)
        return torch.stack([-left, -top, right, bottom], dim=-1)

    @property
    def trusted_sides(self) -> Tensor:
        """Sides of the mask boxes that are the object's own, [V, N, 4] bool."""
        right, bottom, left, top = self._sides(self.trusted)
        return torch.stack([left, top, right, bottom], dim=-1)

    @staticmethod
    def _sides(values: Tensor) -> tuple[Tensor, ...]:
        quarter = values.shape[-1] // 4
        return values[..., ::quarter].unbind(dim=-1)


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
    instance_ids = tuple(group.plan.instance_ids[n] for n in kept)
    seen = [
        _observe_view(instance_map, [masks[n] for n in kept], instance_ids, settings)
        for instance_map, masks in zip(group.instance_maps, refined, strict=True)
    ]

    def to_tensor(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, device=device).to(dtype)

    return Targets(
        instance_ids=instance_ids,
        class_names=tuple(group.class_names[n] for n in kept),
        T_world_ref=T_world_ref,
        image_size=group.views[0].image_size,
        K=to_tensor(np.stack([view.K for view in group.views])),
        T_ref_cam=to_tensor(T_ref_cam),
        T_cam_ref=to_tensor(rigid.inverse(T_ref_cam)),
        visible=torch.as_tensor(np.stack([view.visible for view in seen]), device=device),
        supports=to_tensor(np.stack([view.supports for view in seen])),
        trusted=torch.as_tensor(np.stack([view.trusted for view in seen]), device=device),
        clearances=to_tensor(np.stack([view.clearances for view in seen])),
        clearance_windows=to_tensor(np.stack([view.windows for view in seen])),
        soft_masks=tuple(view.soft_masks for view in seen),
    )


@dataclass(frozen=True)
class _ViewTargets:
    """One view's part of the targets."""

    visible: np.ndarray  # [N] bool
    supports: np.ndarray  # [N, K] px
    trusted: np.ndarray  # [N, K] bool
    clearances: np.ndarray  # [N, G, G] px
    windows: np.ndarray  # [N, 4] px
    soft_masks: tuple[SoftMask | None, ...]  # [N]


def _observe_view(
    instance_map: np.ndarray,  # [H, W] uint16
    masks: list[np.ndarray | None],  # [N] of [H, W] bool, refined
    instance_ids: tuple[int, ...],  # [N]
    settings: MaskSettings,
) -> _ViewTargets:
    units, feet, count = directions(settings.directions), foot_rows(instance_map), len(masks)
    supports, trusted = np.zeros((count, len(units))), np.zeros((count, len(units)), dtype=bool)
    clearances = np.zeros((count, CLEARANCE_SAMPLES, CLEARANCE_SAMPLES))
    windows = np.tile([0.0, 0.0, 1.0, 1.0], (count, 1))
    soft_masks: list[SoftMask | None] = [None] * count
    for n, mask in enumerate(masks):
        if mask is None:
            continue
        may_hide = may_hide_map(mask, instance_id=instance_ids[n], instance_map=instance_map, feet=feet)
        outline, clearance = trace_outline(mask, may_hide, units), measure_clearance(mask, may_hide)
        supports[n], trusted[n] = outline.supports, outline.trusted
        clearances[n], windows[n] = clearance.distances, clearance.window_xyxy
        soft_masks[n] = soft_mask_window(mask, settings.softness, settings.distance)
    visible = np.array([mask is not None for mask in masks], dtype=bool)
    return _ViewTargets(visible, supports, trusted, clearances, windows, tuple(soft_masks))


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
