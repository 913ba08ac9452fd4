"""What the network learns from: images of a target frame and those beside it, rays of their pixels, labelled voxels.

Shapes: V views, H x W pixels, R rays, S voxels along each, X x Y x Z voxels.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from vsrd_ray.data.drive import DEPTH, IMAGES, POINTS, SEMANTICS, Drive
from vsrd_ray.data.groups import FrameGroup, GroupPlan
from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.labelers.occupancy.images import pixel_rays
from vsrd_ray.labelers.occupancy.inputs import read_group
from vsrd_ray.labelers.occupancy.labelling import Settings, label_voxels, with_depth
from vsrd_ray.labelers.occupancy.network.model import STRIDE, depth_bin, feature_size
from vsrd_ray.labelers.occupancy.placing import grid_of, grid_pose
from vsrd_ray.labelers.occupancy.planning import plans_of, shifts_of
from vsrd_ray.labelers.occupancy.training import OccupancyNetworkTraining
from vsrd_ray.labels.voxels.classes import table_named
from vsrd_ray.labels.voxels.traversal import Rays, crossed
from vsrd_ray.training.base import Piece, Sample
from vsrd_ray.training.draws import Draws
from vsrd_ray.training.pieces import PieceStore, image_piece

_REACH = 3.0  # standard deviations behind its end to which a ray is followed
# Columns of a piece of rays: the camera and the end, m, in the grid's frame; the view; class; whether it has no end;
# error of depth as a share of it.
_ORIGIN, _END, _VIEW, _LABEL, _ENDLESS, _ERROR = slice(0, 3), slice(3, 6), 6, 7, 8, 9


@dataclass(frozen=True)
class View:
    """An image that the network sees."""

    camera: str
    frame: int
    K: np.ndarray  # [3, 3] px, of the image as the network sees it
    T_grid_cam: np.ndarray  # [4, 4]


@dataclass(frozen=True)
class Target:
    """A target frame to learn from."""

    drive: Drive = field(repr=False)
    plan: GroupPlan

    @property
    def group(self) -> FrameGroup:
        """As labelling reads it."""
        part = self.drive.part(self.plan.read_frames)
        views = tuple(part.view(frame) for frame in self.plan.view_frames)
        return FrameGroup(self.plan, (), views, (), part, part.read)


def targets_of(drive: Drive, config: OccupancyConfig) -> list[Target]:
    """Every few frames that have images of all cameras, classes, and all frames beside them.

    Raises:
        InputError: the drive has none, or tells no depth.
    """
    names = [name for name in drive.cameras if drive.frames_with(IMAGES, name)]
    frames = [
        frame
        for frame in sorted(drive.camera.T_world_cam)
        if all(frame in drive.cameras[name].T_world_cam and drive.has(IMAGES, name, frame) for name in names)
        and any(drive.has(SEMANTICS, name, frame) for name in drive.cameras)
    ]
    if not any(drive.layers.get(layer) for layer in (DEPTH, POINTS)):
        raise InputError(f"{drive.name}: neither depth maps nor sweeps tell how far anything is: bring either")
    reach = max(map(abs, shifts_of(config)), default=0)
    whole = frames[reach : len(frames) - reach][:: config.every]
    if not whole:
        raise InputError(
            f"{drive.name}: {len(frames)} frames with images, classes and poses, none with all frames beside it: "
            f"expected more than {2 * reach}, or fewer labels.sources, or a smaller labels.apart"
        )
    return [Target(drive, plan) for plan in plans_of(drive, frames, whole, config)]


def views_of(drive: Drive, plan: GroupPlan, T_world_grid: np.ndarray, size: tuple[int, int]) -> list[View]:
    """The images of a group at the (width, height) px that the network sees: frame by frame, camera by camera."""
    T_grid_world = rigid.inverse(T_world_grid)
    found = []
    for frame in plan.view_frames:
        for camera in drive.cameras.values():
            if frame in camera.T_world_cam and drive.has(IMAGES, camera.name, frame):
                scale = np.array(size) / camera.image_size
                into = np.diag([*scale, 1.0])
                into[:2, 2] = (scale - 1) / 2  # centres of pixels
                found.append(View(camera.name, frame, into @ camera.K, T_grid_world @ camera.T_world_cam[frame]))
    return found


def pieces_of(targets: Sequence[Target], settings: OccupancyNetworkTraining) -> list[Piece]:
    """The images, and rays or voxels, of target frames."""
    found: dict[str, Piece] = {}
    for target in targets:
        for frame in target.plan.view_frames:
            for name, camera in target.drive.cameras.items():
                if frame in camera.T_world_cam and target.drive.has(IMAGES, name, frame):
                    piece = image_piece(target.drive, name, frame, size=settings.network.image_size)
                    found[piece.name] = piece
        for kind in ("rays", "voxels") if settings.supervision == "voxels" else ("rays",):
            name = piece_name(target.plan, kind, settings.labels)
            found[name] = Piece(name, target.group.drive, (kind, target.plan))
    return list(found.values())


def piece_name(plan: GroupPlan, kind: str, config: OccupancyConfig) -> str:
    """Of what is made of a group: it depends on the settings of labelling alone."""
    digest = hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:12]
    return f"{plan.group_id}-{kind}-{digest}"


def make_targets(piece: Piece, config: OccupancyConfig) -> np.ndarray:
    """Rays [R, 10] float32 of a group, or its voxels [2, X, Y, Z] uint8: classes and state."""
    kind, plan = piece.detail
    classes, group = table_named(config.table), Target(piece.drive, plan).group
    T_world_grid = grid_pose(piece.drive, plan.target_frame, config)
    inputs = read_group(group, config, classes, T_world_grid)
    settings = Settings.of(config)
    if kind == "voxels":
        voxels = label_voxels(grid_of(config), classes, inputs, settings)
        assert voxels.semantics is not None and voxels.state is not None
        return np.stack([voxels.semantics, voxels.state])
    images, is_precise, errors = with_depth(inputs, classes, settings)
    poses = [view.T_grid_cam for view in views_of(piece.drive, plan, T_world_grid, (1, 1))]
    found = []
    for image, precise in zip(images, is_precise, strict=True):
        rays = pixel_rays(image)
        view = next((number for number, pose in enumerate(poses) if np.array_equal(pose, image.T_grid_cam)), -1)
        rows = np.empty((len(rays.ends), 10), dtype=np.float32)
        rows[:, _ORIGIN], rows[:, _END], rows[:, _VIEW] = rays.origin, rays.ends, view
        rows[:, _LABEL], rows[:, _ENDLESS] = rays.labels, rays.is_endless
        rows[:, _ERROR] = 0 if precise else max(errors)
        found.append(rows)
    return np.concatenate(found)


@dataclass(frozen=True)
class OccupancySamples:
    """Target frames by number; see `vsrd_ray.training.base.Samples`."""

    targets: Sequence[Target]
    settings: OccupancyNetworkTraining
    store: PieceStore

    @property
    def ids(self) -> Sequence[str]:
        """Those of the groups."""
        return [target.plan.group_id for target in self.targets]

    def read(self, index: int, draws: Draws) -> Sample:
        """A group with rays that are drawn of all.

        `images` [V, 3, H, W] uint8 RGB, `K` [V, 3, 3] and `T_grid_cam` [V, 4, 4] float32; what `RayBatch` has, by its
        names; and by voxels `state` and `voxel_labels` [X, Y, Z].
        """
        target, how = self.targets[index], self.settings
        T_world_grid = grid_pose(target.drive, target.plan.target_frame, how.labels)
        views = views_of(target.drive, target.plan, T_world_grid, how.network.image_size)
        images = [
            self.store.read(image_piece(target.drive, view.camera, view.frame, size=how.network.image_size).name)
            for view in views
        ]
        rays = self.store.read(piece_name(target.plan, "rays", how.labels))
        if not len(rays):
            raise InputError("no pixel has a depth")
        drawn = rays[draws.randint(len(rays), how.rays)[0].numpy()].astype(np.float64)
        sample = {
            **seen(images, views),
            **_rays(drawn, views, how),
        }
        if how.supervision == "voxels":
            semantics, state = self.store.read(piece_name(target.plan, "voxels", how.labels))
            sample |= {"state": state, "voxel_labels": numbers_among_logits(how.labels)[semantics]}
        return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in sample.items()}


def seen(images: Sequence[np.ndarray], views: Sequence[View]) -> dict[str, np.ndarray]:
    """What the network gets of images [H, W, 3] uint8, BGR."""
    return {
        "images": np.stack(images)[..., ::-1].transpose(0, 3, 1, 2),
        "K": np.stack([view.K for view in views]).astype(np.float32),
        "T_grid_cam": np.stack([view.T_grid_cam for view in views]).astype(np.float32),
    }


def numbers_among_logits(config: OccupancyConfig) -> np.ndarray:
    """Place [256] int64 among the network's logits of each class; -1 of what is none, or free."""
    numbers = np.full(256, -1, dtype=np.int64)
    occupied = table_named(config.table).occupied
    numbers[list(occupied)] = np.arange(len(occupied))
    return numbers


def _rays(drawn: np.ndarray, views: Sequence[View], how: OccupancyNetworkTraining) -> dict[str, np.ndarray]:
    """Drawn rays [R, 10] with the voxels that they cross."""
    grid, endless = grid_of(how.labels), drawn[:, _ENDLESS] > 0
    rays = Rays.between(grid, drawn[:, _ORIGIN], drawn[:, _END])
    hits = rays.ranges * grid.voxel_size
    sigmas = np.sqrt(how.near_error**2 + grid.voxel_size**2 / 12 + (drawn[:, _ERROR] * hits) ** 2)
    walked = crossed(Rays(rays.origins, rays.directions, rays.ranges + _REACH * sigmas / grid.voxel_size), grid.shape)
    cells, bins = _pixels(drawn, views, how)
    return {
        "places": walked.places,
        "entered": (walked.entered * grid.voxel_size).astype(np.float32),
        "left": (walked.left * grid.voxel_size).astype(np.float32),
        "hits": hits.astype(np.float32),
        "sigmas": np.where(endless, 0, sigmas).astype(np.float32),
        "labels": numbers_among_logits(how.labels)[drawn[:, _LABEL].astype(np.int64)],
        "ends_inside": ~endless & grid.is_inside(grid.indices(drawn[:, _END])),
        "cells": cells,
        "bins": np.where(endless, -1, bins),
    }


def _pixels(drawn: np.ndarray, views: Sequence[View], how: OccupancyNetworkTraining) -> tuple[np.ndarray, np.ndarray]:
    """Place [R] of rays' pixels among the features of all views, or -1, and the bin [R] of their depth, or -1."""
    number = drawn[:, _VIEW].astype(np.int64)
    poses, K = np.stack([view.T_grid_cam for view in views])[number], np.stack([view.K for view in views])[number]
    points = np.einsum("rji,rj->ri", poses[:, :3, :3], drawn[:, _END] - poses[:, :3, 3])
    depth = np.maximum(points[:, 2], 1e-6)
    width, height = feature_size(how.network.image_size)
    u = np.rint((points[:, 0] / depth * K[:, 0, 0] + K[:, 0, 2]) / STRIDE).astype(np.int64)
    v = np.rint((points[:, 1] / depth * K[:, 1, 1] + K[:, 1, 2]) / STRIDE).astype(np.int64)
    known = (number >= 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    cells = np.where(known, (number * height + v) * width + u, -1)
    return cells, depth_bin(points[:, 2], how.network.depth_bins)
