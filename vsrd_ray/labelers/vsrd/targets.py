"""What the volumetric optimisation is held against: a group's cameras, mask boxes, and rays with their soft masks.

Shapes: V views (the target first), N instances, T steps, R rays a step.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.data.classes import UNKNOWN
from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.data.masks import (
    DistanceMethod,
    SoftMask,
    largest_soft_mask,
    mask_box,
    refine_mask,
    soft_mask_crop,
)
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.vsrd.config import MaskSettings


@dataclass(frozen=True)
class BoxedMask:
    """A refined mask, kept in its box alone: softened, it takes a hundred times as much."""

    box_xyxy: tuple[int, int, int, int]  # px, last pixel included
    pixels: np.ndarray  # [h, w] bool, of the box

    @staticmethod
    def of(mask: np.ndarray) -> "BoxedMask":
        """A mask [H, W] bool that is not empty."""
        left, top, right, bottom = box = mask_box(mask) or (0, 0, 0, 0)
        return BoxedMask(box, mask[top : bottom + 1, left : right + 1].copy())

    def full(self, image_size: tuple[int, int]) -> np.ndarray:
        """The mask in its image, [H, W] bool."""
        left, top, right, bottom = self.box_xyxy
        mask = np.zeros(image_size[::-1], dtype=bool)
        mask[top : bottom + 1, left : right + 1] = self.pixels
        return mask


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
    masks: tuple[tuple[BoxedMask | None, ...], ...]  # [V][N]
    softness: float  # of soft masks, px
    distance: DistanceMethod  # of soft masks
    unknown: tuple[
        BoxedMask | None, ...
    ]  # [V], pixels of which nobody knows what they show: no ray is held against them

    def to(self, device: torch.device | str) -> "Targets":
        """The same with its tensors on a device; masks are NumPy's."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **tensors)

    def soft_masks(self) -> list[list[SoftMask | None]]:
        """The masks softened, [V][N]; work for every call."""
        return [[self._softened(mask) for mask in masks] for masks in self.masks]

    def _softened(self, mask: BoxedMask | None) -> SoftMask | None:
        if mask is None:
            return None
        return soft_mask_crop(mask.full(self.image_size), self.softness, self.distance)


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
    dtype: torch.dtype,
) -> Targets:
    """Masks refined, and outlined by boxes; poses brought into the reference frame in double precision first.

    Instances whose refined mask is too small in the target view are left out (VSRD section 4.1). All is on the CPU.
    """
    T_world_ref = rigid.levelled_at(group.views[0].T_world_cam)
    T_ref_cam = rigid.inverse(T_world_ref) @ np.stack([view.T_world_cam for view in group.views])
    refined = [_refined_masks(instances, group.plan.instance_ids, settings) for instances in group.instance_maps]
    kept = [n for n, mask in enumerate(refined[0]) if mask is not None and _is_target(mask, settings)]
    refined = [[masks[n] for n in kept] for masks in refined]

    def to_tensor(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array).to(dtype)

    return Targets(
        instance_ids=tuple(group.plan.instance_ids[n] for n in kept),
        class_names=tuple(group.class_names[n] for n in kept),
        T_world_ref=T_world_ref,
        image_size=group.views[0].image_size,
        K=to_tensor(np.stack([view.K for view in group.views])),
        T_ref_cam=to_tensor(T_ref_cam),
        T_cam_ref=to_tensor(rigid.inverse(T_ref_cam)),
        visible=torch.tensor([[mask is not None for mask in masks] for masks in refined], dtype=torch.bool),
        mask_boxes=to_tensor(np.array([[_box(mask) for mask in masks] for masks in refined], dtype=np.float64)),
        masks=tuple(map(tuple, refined)),
        softness=settings.softness,
        distance=settings.distance,
        unknown=tuple(_unknown(instances) for instances in group.instance_maps),
    )


def _unknown(instances: np.ndarray) -> BoxedMask | None:
    mask = instances == UNKNOWN
    return BoxedMask.of(mask) if mask.any() else None


def _box(mask: BoxedMask | None) -> tuple[int, int, int, int]:
    return (0, 0, 0, 0) if mask is None else mask.box_xyxy


def _refined_masks(
    instances: np.ndarray, instance_ids: tuple[int, ...], settings: MaskSettings
) -> list[BoxedMask | None]:
    masks: list[BoxedMask | None] = []
    for instance_id in instance_ids:
        mask = instances == instance_id
        if settings.refine:
            mask = refine_mask(mask)
        masks.append(BoxedMask.of(mask) if np.count_nonzero(mask) >= settings.min_source_area else None)
    return masks


def _is_target(mask: BoxedMask, settings: MaskSettings) -> bool:
    left, top, right, bottom = mask.box_xyxy
    side = min(right - left, bottom - top)
    return bool(np.count_nonzero(mask.pixels) >= settings.min_target_area and side >= settings.min_target_side)


def draw_rays(
    targets: Targets,
    *,
    num_steps: int,
    num_rays: int,
    generator: np.random.Generator,
) -> RayPlan:
    """Rays of every step, drawn in proportion to the largest soft mask of their pixel over all views.

    No pixel is drawn twice in a step, and none that is unknown.

    A step's rays are the first distinct ones of a longer draw with repetition, which has the same distribution as a
    draw without. There are fewer rays than asked for where they would take more than half of the pixels.
    """
    softened = targets.soft_masks()
    density = np.stack([largest_soft_mask(row, targets.image_size) for row in softened])
    for view, unknown in zip(density, targets.unknown, strict=True):
        if unknown is not None:
            view[unknown.full(targets.image_size)] = 0
    cumulative = np.cumsum(density.ravel(), dtype=np.float64)
    num_rays = min(num_rays, int(np.count_nonzero(density)) // 2)
    drawn = np.stack([_draw_distinct(cumulative, num_rays, generator) for _ in range(num_steps)])
    views, v, u = np.unravel_index(drawn, density.shape)
    pixels = np.stack([u, v], axis=-1)
    soft_masks = np.zeros((*drawn.shape, len(targets.instance_ids)), dtype=np.float32)
    for index, row in enumerate(softened):
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
