"""What bodies are fitted to: the outlines of instances, each in its own views.

Shapes: N instances, V views of an instance, K directions, C contour points, G grid points, P body vertices, L latents.
Instances stand side by side, so that those of many groups can be fitted at once. Frame `ref`: gravity-aligned at the
target camera of an instance's group (x right, y down, z forward).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.data.groups import FrameGroup, of_instances
from vsrd_ray.data.masks import without_specks
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.vsrd.config import SizeSettings, StartSettings
from vsrd_ray.labelers.vsrd.outlines import CLEARANCE_SAMPLES, DepthOrder, Outline, directions, trace_outline
from vsrd_ray.labelers.vsrd.priors import ShapePrior

# Directions in which extents are measured.
NUM_DIRECTIONS = 16
# How long a frame is taken to last where a dataset does not say.
SECONDS_A_FRAME = 0.1

T = TypeVar("T", bound="Rows")


class Rows:
    """Base of dataclasses of tensors that all have a row [N, ...] for each instance."""

    def part(self, instances: slice | Tensor) -> Self:
        """Some of the instances: a slice of them, or their places [N] int64."""
        return type(self)(*(values[instances] for values in self.tensors()))

    def to(self, device: torch.device | str) -> Self:
        """The same on a device."""
        return type(self)(*(values.to(device) for values in self.tensors()))

    def tensors(self) -> list[Tensor]:
        """All tensors, in their order."""
        return [getattr(self, field.name) for field in fields(cast(Any, self))]


def stacked(parts: Sequence[T]) -> T:
    """The rows of several such dataclasses one after the other."""
    columns = zip(*(part.tensors() for part in parts), strict=True)
    return type(parts[0])(*(torch.cat(column) for column in columns))


@dataclass(frozen=True)
class Observations(Rows):
    """Outlines of instances in their views; where a view does not show the instance, everything is 0."""

    K: Tensor  # [N, V, 3, 3] px
    T_cam_ref: Tensor  # [N, V, 4, 4]
    times: Tensor  # [N, V] s, since the group's first view
    seen: Tensor  # [N, V] bool, views that show the instance
    scores: Tensor  # [N, V] 0..1, how sure the mask is
    supports: Tensor  # [N, V, K] px, extents of the mask
    trusted: Tensor  # [N, V, K] bool, extents that are the object's own
    points: Tensor  # [N, V, C, 2] px, on the mask's edge
    normals: Tensor  # [N, V, C, 2] outward
    hidden: Tensor  # [N, V, C] bool, the mask's edge there is not the object's
    sampled: Tensor  # [N, V, C] bool, points that there are
    clearances: Tensor  # [N, V, G, G] px, how far from where the object can be
    crops: Tensor  # [N, V, 4] px (x1, y1, x2, y2), what the clearances cover

    @property
    def mask_boxes(self) -> Tensor:
        """Mask boxes (x1, y1, x2, y2), [N, V, 4] px, last pixel included."""
        right, bottom, left, top = self.supports[..., :: NUM_DIRECTIONS // 4].unbind(dim=-1)
        return torch.stack([-left, -top, right, bottom], dim=-1)

    @property
    def trusted_sides(self) -> Tensor:
        """Sides of the mask boxes that are the object's own, [N, V, 4] bool."""
        right, bottom, left, top = self.trusted[..., :: NUM_DIRECTIONS // 4].unbind(dim=-1)
        return torch.stack([left, top, right, bottom], dim=-1)

    def with_views(self, count: int) -> "Observations":
        """The same with at least as many views; the added ones show nothing."""
        return Observations(*(_with_views(values, count) for values in self.tensors()))


def observe(
    group: FrameGroup,
    instance_ids: Sequence[int],
    settings: StartSettings,
    *,
    T_world_ref: np.ndarray,  # [4, 4]
) -> Observations:
    """The outlines of some instances of a group, each in the views that the plan gives it.

    Masks keep all their parts but specks, since what stands in front of an object may cut it in two.
    """
    plan, seconds = group.plan, seconds_of(group)
    places = {view.frame: index for index, view in enumerate(group.views)}
    frames = [of_instances(plan).instance_views[plan.instance_ids.index(instance_id)] for instance_id in instance_ids]
    shape = len(instance_ids), max(map(len, frames), default=1)
    arrays = _blank(shape, num_points=settings.contour_points)
    units = directions(NUM_DIRECTIONS)
    for frame in sorted({frame for views in frames for frame in views}):
        view = group.views[places[frame]]
        order = DepthOrder.of(group.instance_maps[places[frame]], group.drive.classes)
        T_cam_ref = rigid.inverse(view.T_world_cam) @ T_world_ref
        scores = group.drive.mask_scores(view.camera, frame)
        for n, instance_id in enumerate(instance_ids):
            if frame not in frames[n]:
                continue
            at = n, frames[n].index(frame)
            arrays["K"][at], arrays["T_cam_ref"][at], arrays["times"][at] = view.K, T_cam_ref, seconds[frame]
            arrays["scores"][at] = scores.get(instance_id, 1.0)
            mask = without_specks(order.instance_map == instance_id)
            if mask.any():
                outline = trace_outline(
                    mask, instance_id=instance_id, order=order, units=units, num_points=settings.contour_points
                )
                _fill(arrays, at, outline)
    return Observations(**{name: _to_tensor(array) for name, array in arrays.items()})


def has_times(group: FrameGroup) -> bool:
    """Whether the dataset says when each frame of a group was taken."""
    camera = group.drive.cameras[group.plan.camera]
    return camera.T_world_cam.keys() <= camera.times_s.keys()


def seconds_of(group: FrameGroup) -> dict[int, float]:
    """When each frame of a group's drive was taken, since its first view; without times as if ten were a second."""
    camera = group.drive.cameras[group.plan.camera]
    times = camera.times_s if has_times(group) else {frame: frame * SECONDS_A_FRAME for frame in camera.T_world_cam}
    first = times[group.views[0].frame]
    return {frame: time - first for frame, time in times.items()}


@dataclass(frozen=True)
class Expectations(Rows):
    """What is known of instances by their class: sizes and shapes."""

    half_extents_min: Tensor  # [N, 3] metres
    half_extents_max: Tensor  # [N, 3] metres
    half_extents_mean: Tensor  # [N, 3] metres
    half_extents_spread: Tensor  # [N, 3] metres
    mean_body: Tensor  # [N, P, 3] unit box
    shapes: Tensor  # [N, L, P, 3] unit box; one standard deviation along each latent

    @staticmethod
    def of(sizes: Sequence[SizeSettings], priors: Sequence[ShapePrior], *, device: torch.device) -> "Expectations":
        """The expectations of instances with some sizes and shapes; latents that a prior lacks change nothing."""

        def to_tensor(rows: list) -> Tensor:
            return torch.as_tensor(np.array(rows, dtype=np.float32), device=device)

        most = max((len(prior.basis) for prior in priors), default=0)
        shapes = [np.pad(prior.basis, ((0, most - len(prior.basis)), (0, 0), (0, 0))) for prior in priors]
        names = ("half_extents_min", "half_extents_max", "half_extents_mean", "half_extents_spread")
        return Expectations(
            *(to_tensor([getattr(size, name) for size in sizes]) for name in names),
            mean_body=to_tensor([prior.mean for prior in priors]),
            shapes=to_tensor(shapes),
        )


def _blank(shape: tuple[int, int], *, num_points: int) -> dict[str, np.ndarray]:
    grid = CLEARANCE_SAMPLES
    return {
        "K": np.tile(np.eye(3), (*shape, 1, 1)),
        "T_cam_ref": np.tile(np.eye(4), (*shape, 1, 1)),
        "times": np.zeros(shape),
        "seen": np.zeros(shape, dtype=bool),
        "scores": np.ones(shape),
        "supports": np.zeros((*shape, NUM_DIRECTIONS)),
        "trusted": np.zeros((*shape, NUM_DIRECTIONS), dtype=bool),
        "points": np.zeros((*shape, num_points, 2)),
        "normals": np.zeros((*shape, num_points, 2)),
        "hidden": np.zeros((*shape, num_points), dtype=bool),
        "sampled": np.zeros((*shape, num_points), dtype=bool),
        "clearances": np.zeros((*shape, grid, grid), dtype=np.float32),
        "crops": np.tile([0.0, 0.0, 1.0, 1.0], (*shape, 1)),
    }


def _fill(arrays: dict[str, np.ndarray], at: tuple[int, int], outline: Outline) -> None:
    count = len(outline.points)
    arrays["seen"][at] = True
    arrays["supports"][at], arrays["trusted"][at] = outline.supports, outline.trusted
    arrays["clearances"][at], arrays["crops"][at] = outline.clearances, outline.crop_xyxy
    for name in ("points", "normals", "hidden"):
        arrays[name][at][:count] = getattr(outline, name)
    arrays["sampled"][at][:count] = np.abs(outline.normals).sum(axis=-1) > 0


def _to_tensor(array: np.ndarray) -> Tensor:
    tensor = torch.as_tensor(array)
    return tensor if array.dtype == bool else tensor.float()


def _with_views(tensor: Tensor, count: int) -> Tensor:
    """The tensor [N, V, ...] with `count` views, the added ones copies of the first but for flags, which are 0."""
    missing = max(count - tensor.shape[1], 0)
    added = tensor[:, :1].expand(-1, missing, *tensor.shape[2:])
    return torch.cat([tensor, added & False if tensor.dtype == torch.bool else added], dim=1)
