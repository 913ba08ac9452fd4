"""The optimisation of one group: boxes and residual fields until their silhouettes match the masks (VSRD section 3).

Shapes: V views, N instances, R rays, P points.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from vsrd_ray.labelers.base import TraceSink
from vsrd_ray.labelers.vsrd import losses
from vsrd_ray.labelers.vsrd.config import FieldSettings, RenderingSettings, ScheduleSettings, VSRDConfig
from vsrd_ray.labelers.vsrd.parameters import Boxes, BoxParameters, BoxRanges
from vsrd_ray.labelers.vsrd.residual import HyperNetwork, residual_distances
from vsrd_ray.labelers.vsrd.targets import RayPlan, Targets
from vsrd_ray.rendering.projection import clip_boxes, project_boxes
from vsrd_ray.rendering.rays import cast_rays, intersect_boxes
from vsrd_ray.rendering.sdf import box_distance, soft_union
from vsrd_ray.rendering.silhouettes import Field, Silhouettes, hierarchical_distances, render_sections


@dataclass(frozen=True)
class Annealed:
    """The annealed quantities of one step."""

    sigma: float  # metres
    temperature: float  # metres
    cosine_ratio: float

    @staticmethod
    def at(step: int, settings: ScheduleSettings) -> "Annealed":
        """Cosine for sigma and temperature, linear for the cosine ratio, over all steps."""
        progress = step / settings.steps
        cosine = (1 - math.cos(math.pi * progress)) / 2

        def mix(ends: tuple[float, float], share: float) -> float:
            return ends[0] + (ends[1] - ends[0]) * share

        return Annealed(
            sigma=mix(settings.sigma, cosine),
            temperature=mix(settings.temperature, cosine),
            cosine_ratio=mix(settings.cosine_ratio, progress),
        )


@dataclass(frozen=True)
class Start:
    """What an optimisation starts from."""

    boxes: BoxParameters  # [N]
    hypernetwork: dict[str, Tensor]  # state
    embeddings: Tensor  # [N, E]


@dataclass(frozen=True)
class Fit:
    """What an optimisation ends with."""

    boxes: Boxes  # [N]
    silhouette_losses: Tensor  # [N], of the last step's rays


def instance_field(
    boxes: Boxes,  # [N]
    *,
    hyper_weights: Tensor | None,  # [N, W], of the residual fields, or none
    settings: FieldSettings,
    temperature: float,  # metres
    margin: float | None = None,  # metres
) -> Field:
    """The soft union of boxes, each carved by its residual field if there is one.

    With a margin, residuals count only nearer to their box than that. Farther out they would add opacity where there is
    nearly none; how near is near enough hangs on sigma, so a margin is an approximation.
    """

    def residual(points_obj: Tensor) -> Tensor:
        assert hyper_weights is not None
        return residual_distances(hyper_weights, points_obj, settings, half_extents=boxes.half_extents)

    def field(points: Tensor) -> tuple[Tensor, Tensor]:
        points_obj = boxes.to_local(points)
        distances = box_distance(points_obj, boxes.half_extents)
        if hyper_weights is None:
            return soft_union(distances, temperature)
        if margin is None:
            return soft_union(distances + residual(points_obj), temperature)
        is_near = distances.detach() < margin  # [N, P]
        most = int(is_near.sum(dim=1).max())
        near, columns = is_near.to(torch.uint8).topk(most, dim=1)
        residuals = residual(points_obj.gather(1, columns[..., None].expand(-1, -1, 3))) * near
        return soft_union(distances.scatter_add(1, columns, residuals), temperature)

    return field


def render_silhouettes(
    field: Field,
    origins: Tensor,  # [R, 3] metres
    directions: Tensor,  # [R, 3] unit
    *,
    boxes: Boxes,  # [N], those of the field
    settings: RenderingSettings,
    annealed: Annealed,
    generator: torch.Generator | None,
) -> Silhouettes:
    """Silhouettes of all instances along rays, by samples over the whole range or, with bounds, near the boxes alone.

    With bounds, rays that pass every enlarged box are empty, and gradients come from the others only.
    """
    near, far = torch.full_like(origins[:, 0], settings.near), torch.full_like(origins[:, 0], settings.far)
    hit = slice(None)
    if settings.bounds_margin is not None:
        with torch.no_grad():
            enlarged = boxes.half_extents + settings.bounds_margin
            enter, leave = intersect_boxes(origins, directions, boxes.locations, enlarged, boxes.R_ref_obj)
            hits = enter < leave
            near = torch.where(hits, enter, settings.far).amin(dim=-1).clamp(min=settings.near)
            far = torch.where(hits, leave, settings.near).amax(dim=-1).clamp(max=settings.far)
            hit = (near < far).nonzero()[:, 0]
    distances = hierarchical_distances(
        field,
        origins[hit],
        directions[hit],
        near=near[hit],
        far=far[hit],
        coarse_samples=settings.coarse_samples,
        fine_samples=settings.fine_samples,
        sigma=annealed.sigma,
        cosine_ratio=annealed.cosine_ratio,
        generator=generator,
    )
    rendered = render_sections(
        field, origins[hit], directions[hit], distances, sigma=annealed.sigma, cosine_ratio=annealed.cosine_ratio
    )
    if isinstance(hit, slice):
        return rendered
    empty = rendered.labels.new_zeros(len(origins), rendered.labels.shape[-1])
    return Silhouettes(empty.index_copy(0, hit, rendered.labels), rendered.weights, rendered.gradients)


def project(boxes: Boxes, targets: Targets) -> Tensor:
    """2D boxes [V, N, 4] px of all boxes in all views, clipped to the image."""
    R, t = targets.T_cam_ref[:, None, :3, :3], targets.T_cam_ref[:, None, None, :3, 3]
    corners_cam = boxes.corners() @ R.transpose(-1, -2) + t
    return clip_boxes(project_boxes(corners_cam, targets.K[:, None]), targets.image_size)


def match_boxes(
    boxes: Tensor,  # [N, 4] px, projected into the target view
    mask_boxes: Tensor,  # [N, 4] px
) -> Tensor:
    """Which box [N] belongs to each instance: the assignment with the largest sum of DIoU."""
    similarity = losses.distance_iou(boxes[None], mask_boxes[:, None])  # [instances, boxes]
    _, columns = linear_sum_assignment(similarity.detach().cpu().numpy(), maximize=True)
    return torch.as_tensor(columns, device=boxes.device)


@dataclass(frozen=True)
class Evaluation:
    """The losses of one step, of those that have a weight."""

    losses: dict[str, Tensor]  # by the names of LossSettings
    order: Tensor  # [N] the box of each instance
    ray_losses: Tensor  # [R, N] of the silhouettes


def evaluate_step(
    boxes: Boxes,  # [N]
    hyper_weights: Tensor | None,  # [N, W], of the residual fields, or none
    *,
    step: int,
    targets: Targets,
    rays: RayPlan,
    config: VSRDConfig,
    generator: torch.Generator | None,
) -> Evaluation:
    """All losses of one step, boxes assigned to instances in the target view (VSRD section 3.3)."""
    weights, annealed = config.losses, Annealed.at(step, config.schedule)
    values: dict[str, Tensor] = {}
    order = torch.arange(len(targets.instance_ids), device=targets.K.device)
    if weights.projection or weights.diou or weights.matching == "hungarian":
        projected, mask_boxes = project(boxes, targets), targets.mask_boxes
        if weights.matching == "hungarian":
            order = match_boxes(projected[0], mask_boxes[0])
        if weights.projection:
            values["projection"] = losses.projection_loss(projected[:, order], mask_boxes, targets.visible)
        if weights.diou:
            values["diou"] = losses.distance_iou_loss(projected[:, order], mask_boxes, targets.visible)
    field = instance_field(
        boxes,
        hyper_weights=hyper_weights,
        settings=config.field,
        temperature=annealed.temperature,
        margin=config.rendering.bounds_margin,
    )
    views = rays.views[step]
    origins, directions = cast_rays(rays.pixels[step], targets.K[views], targets.T_ref_cam[views])
    rendered = render_silhouettes(
        field,
        origins,
        directions,
        boxes=boxes,
        settings=config.rendering,
        annealed=annealed,
        generator=generator,
    )
    ray_losses = losses.silhouette_loss(rendered.labels[:, order], rays.soft_masks[step])
    values["silhouette"] = ray_losses.mean()
    if hyper_weights is not None and weights.eikonal:
        values["eikonal"] = losses.eikonal_loss(rendered.gradients)
    return Evaluation(values, order, ray_losses.detach())


def optimise(
    targets: Targets,
    rays: RayPlan,
    start: Start,
    config: VSRDConfig,
    *,
    seed: int,
    trace: TraceSink | None = None,
) -> Fit:
    """Boxes of all instances, in the order of the targets' instances.

    Deterministic for a seed and a device.
    """
    schedule = config.schedule
    ranges = BoxRanges.of(config.box, targets.class_names, like=targets.K)
    parameters = BoxParameters(*(raw.clone().requires_grad_() for raw in start.boxes.tensors()))
    hypernetwork = HyperNetwork(config.field).to(targets.K)
    hypernetwork.load_state_dict(start.hypernetwork)
    embeddings = start.embeddings.to(targets.K, copy=True).requires_grad_()
    optimizer = _adam(parameters, embeddings, hypernetwork, schedule)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, schedule.final_learning_rate ** (1 / schedule.steps))
    generator = torch.Generator(targets.K.device).manual_seed(seed)
    evaluation: Evaluation | None = None
    for step in range(schedule.steps):
        boxes = parameters.decode(ranges)
        evaluation = evaluate_step(
            boxes,
            hypernetwork(embeddings) if step >= schedule.residual_from else None,
            step=step,
            targets=targets,
            rays=rays,
            config=config,
            generator=generator,
        )
        weighted = [getattr(config.losses, name) * loss for name, loss in evaluation.losses.items()]
        total = torch.stack(weighted).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        decay.step()
        if trace is not None:
            trace(step, _traced(total, evaluation, boxes))
    assert evaluation is not None  # there is at least one step
    order = evaluation.order
    with torch.no_grad():
        boxes = parameters.decode(ranges)
    ordered = Boxes(boxes.locations[order], boxes.half_extents[order], boxes.R_ref_obj[order])
    return Fit(boxes=ordered, silhouette_losses=evaluation.ray_losses.mean(dim=0))


def _adam(
    parameters: BoxParameters, embeddings: Tensor, hypernetwork: HyperNetwork, schedule: ScheduleSettings
) -> torch.optim.Adam:
    locations, extents, yaws = parameters.tensors()
    return torch.optim.Adam(
        [
            {"params": [locations], "lr": schedule.learning_rate_location},
            {"params": [extents], "lr": schedule.learning_rate_extent},
            {"params": [yaws], "lr": schedule.learning_rate_yaw},
            {"params": [embeddings], "lr": schedule.learning_rate_embedding},
            {"params": list(hypernetwork.parameters()), "lr": schedule.learning_rate_hypernetwork},
        ]
    )


def _traced(total: Tensor, evaluation: Evaluation, boxes: Boxes) -> dict[str, float | np.ndarray]:
    values: dict[str, float | np.ndarray] = {f"loss/{name}": loss.item() for name, loss in evaluation.losses.items()}
    values["loss/total"] = total.item()
    for name in ("locations", "half_extents", "R_ref_obj"):
        values[name] = getattr(boxes, name)[evaluation.order].detach().cpu().numpy()
    return values
