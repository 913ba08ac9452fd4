"""The VSRD labeler: a frame group in, one box an instance out."""

import zlib

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from vsrd_ray.config import VSRDConfig
from vsrd_ray.data.frames import FrameGroup
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import corners_world, wrap_angle
from vsrd_ray.geometry.cameras import box_iou, clip_boxes, project_boxes
from vsrd_ray.labelers.base import TraceSink
from vsrd_ray.labelers.vsrd.optimise import Fit, Start, optimise
from vsrd_ray.labelers.vsrd.parameters import Boxes, BoxParameters
from vsrd_ray.labelers.vsrd.residual import car_start, random_start
from vsrd_ray.labelers.vsrd.start import fit_hulls, misfits
from vsrd_ray.labelers.vsrd.targets import Targets, build_targets, draw_rays
from vsrd_ray.labels.fits import BoxFit


class VSRDLabeler:
    """Fits boxes to the instance masks of a group by volumetric silhouette rendering (VSRD, CVPR 2024)."""

    name = "vsrd"

    def __init__(self, config: VSRDConfig, device: str = "cpu") -> None:
        self.config = config
        self.device = torch.device(device)
        start_fields = car_start if config.field.start == "car" else random_start
        self._fields = start_fields(config.field, seed=config.seed)

    def label(self, group: FrameGroup, *, seed: int, trace: TraceSink | None = None) -> list[BoxFit]:
        """Fit the group's instances; those that the target view shows too little of get no box.

        Args:
            group: frames with pixels.
            seed: of the run; together with the group's id it decides every random number.
            trace: called at each step with losses and boxes.

        Raises:
            FloatingPointError: if the optimisation ended in numbers that are not finite.
        """
        group_seed = zlib.crc32(f"{seed}/{group.plan.group_id}".encode())
        targets = build_targets(group, self.config.masks, device=self.device, dtype=torch.float32)
        if not targets.instance_ids:
            return []
        schedule, rendering = self.config.schedule, self.config.rendering
        rays = draw_rays(
            targets,
            num_steps=schedule.steps,
            num_rays=rendering.num_rays,
            generator=np.random.default_rng(group_seed),
        )
        fit = optimise(targets, rays, self._start(targets), self.config, seed=group_seed, trace=trace)
        return self._fits(group, targets, fit)

    def _fits(self, group: FrameGroup, targets: Targets, fit: Fit) -> list[BoxFit]:
        centers, dimensions_lwh, yaws = _to_world(fit.boxes, targets.T_world_ref)
        silhouette_losses = fit.silhouette_losses.double().cpu().numpy()
        if not all(np.isfinite(values).all() for values in (centers, dimensions_lwh, yaws, silhouette_losses)):
            raise FloatingPointError("the optimisation ended in numbers that are not finite")
        ious, order = self._match(group, targets, corners_world(centers, dimensions_lwh, yaws))
        visible = targets.visible.cpu().numpy()
        matched = Boxes(fit.boxes.locations[order], fit.boxes.half_extents[order], fit.boxes.R_ref_obj[order])
        moving = (misfits(targets, matched, self.config.start) > self.config.labels.moving_misfit).cpu().numpy()
        cameras = np.stack([view.T_world_cam[:3, 3] for view in group.views])
        return [
            BoxFit(
                instance_id=instance_id,
                class_name=targets.class_names[n],
                center_world=centers[box],
                dimensions_lwh=dimensions_lwh[box],
                yaw_world=float(yaws[box]),
                confidence=float(iou),
                mean_iou_2d=float(iou),
                num_views=int(visible[:, n].sum()),
                bearing_spread_deg=bearing_spread_deg(centers[box], cameras[visible[:, n]]),
                silhouette_loss=float(silhouette_losses[box]),
                is_moving=bool(moving[n]),
            )
            for n, (instance_id, iou, box) in enumerate(zip(targets.instance_ids, ious, order, strict=True))
        ]

    def _start(self, targets: Targets) -> Start:
        if self.config.start.kind == "flat":
            boxes = BoxParameters.flat(len(targets.instance_ids), like=targets.K)
            bodies = torch.zeros(len(targets.instance_ids), dtype=torch.int64)
        else:
            hulls = fit_hulls(targets, self.config.start)
            boxes = BoxParameters.encode(
                self.config.box, locations=hulls.boxes.locations, half_extents=hulls.boxes.half_extents, yaws=hulls.yaws
            )
            bodies = hulls.bodies.cpu()
        return Start(boxes, self._fields.hypernetwork, self._fields.embeddings[bodies])

    def _match(self, group: FrameGroup, targets: Targets, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each instance's mean 2D IoU [N] over the labelled frames that show it, and the box [N] that reaches it.

        A Hungarian assignment on that mean, unless boxes keep their instances throughout (VSRD, label export).
        """
        columns = [group.plan.instance_ids.index(instance_id) for instance_id in targets.instance_ids]
        T_cam_world = np.stack([rigid.inverse(frame.view.T_world_cam) for frame in group.label_frames])
        corners_cam = rigid.apply(T_cam_world[:, None], corners[None])  # [F, N, 8, 3]
        K = torch.as_tensor(np.stack([frame.view.K for frame in group.label_frames]))
        boxes = clip_boxes(project_boxes(torch.as_tensor(corners_cam), K[:, None]), targets.image_size)
        mask_boxes = torch.as_tensor(np.stack([frame.mask_boxes_xyxy[columns] for frame in group.label_frames]))
        ious = box_iou(boxes[:, None], mask_boxes[:, :, None])  # [F, instances, boxes]
        mean = ious.nanmean(dim=0).nan_to_num().numpy()
        order = np.arange(len(columns))
        if self.config.losses.matching == "hungarian":
            _, order = linear_sum_assignment(mean, maximize=True)
        return mean[np.arange(len(columns)), order], order


def _to_world(boxes: Boxes, T_world_ref: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres [N, 3], dimensions_lwh [N, 3] and yaws [N] in the world, float64."""
    locations, half_extents, R_ref_obj = (
        tensor.double().cpu().numpy() for tensor in (boxes.locations, boxes.half_extents, boxes.R_ref_obj)
    )
    forward = R_ref_obj[:, :, 2] @ T_world_ref[:3, :3].T
    yaws = wrap_angle(np.arctan2(forward[:, 1], forward[:, 0]))
    return rigid.apply(T_world_ref, locations), 2 * half_extents[:, [2, 0, 1]], yaws


def bearing_spread_deg(
    center: np.ndarray,  # [3] metres, world
    cameras: np.ndarray,  # [V, 3] metres, world
) -> float:
    """Largest angle, in degrees, between the directions in which a box sees two cameras, in the ground plane."""
    bearings = np.arctan2(*(cameras - center)[:, [1, 0]].T)
    return float(np.rad2deg(np.abs(wrap_angle(bearings[:, None] - bearings)).max()))
