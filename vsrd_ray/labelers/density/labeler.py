"""The labeler of density: a stretch of a drive becomes one field, and each of its frames a depth map.

Shapes: H x W pixels, X x Y x Z voxels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import cv2
import numpy as np
import pyarrow as pa
import torch

from vsrd_ray.data.drive import DEPTH, IMAGES, POINTS, View
from vsrd_ray.data.groups import FrameGroup, GroupPlan
from vsrd_ray.errors import UnreadableFrameError
from vsrd_ray.labelers.base import Output, PreparedGroup, Provenance, TraceSink
from vsrd_ray.labelers.density.carving import Carved, carve, grid_along
from vsrd_ray.labelers.density.config import DensityConfig
from vsrd_ray.labelers.density.measurements import (
    Ranges,
    disparities,
    given_ranges,
    stereo_ranges,
    sweep_ranges,
)
from vsrd_ray.labelers.density.networks.infer import PosedImage, Trained, load_network
from vsrd_ray.labelers.density.networks.labels import KeyView, network_labels, seen_beside
from vsrd_ray.labelers.density.refinement import Posed, refine
from vsrd_ray.labelers.density.spec import stereo_pair
from vsrd_ray.labels.depth.evaluation.occupancy import OCCUPIED_DENSITY
from vsrd_ray.labels.depth.field import Field, kept_density, profile, seen_depth
from vsrd_ray.labels.depth.schema import SCHEMA as DEPTH_SCHEMA
from vsrd_ray.labels.depth.schema import DepthMap
from vsrd_ray.labels.depth.schema import encoded as encoded_depth
from vsrd_ray.labels.voxels.schema import FREE, OCCUPIED, UNSEEN, Voxels
from vsrd_ray.labels.voxels.schema import SCHEMA as VOXEL_SCHEMA
from vsrd_ray.labels.voxels.schema import encoded as encoded_voxels
from vsrd_ray.storage import open_location

_WINDOW = 0.6  # m around a measured surface in which the refinement moves it
_STOPPED = 0.5  # share of light from which on a ray's depth is that of the field


@dataclass(frozen=True)
class Shot:
    """One image at the size that is worked with."""

    frame: int
    camera: str
    image: np.ndarray  # [H, W, 3] uint8
    K: np.ndarray  # [3, 3] px
    T_world_cam: np.ndarray  # [4, 4]
    ranges: Ranges | None  # what stereo says of it

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True)
class Scene:
    """All that was measured along a stretch."""

    shots: tuple[Shot, ...]  # by frame and camera
    sweeps: tuple[Ranges, ...]


@dataclass(frozen=True)
class Found:
    """The field of a stretch and what its frames see of it."""

    voxels: Voxels
    maps: tuple[DepthMap, ...]


class DensityLabeler:
    """See `vsrd_ray.labelers.base.Labeler` for what each of these is."""

    def __init__(self, config: DensityConfig, device: str) -> None:
        self.config = config
        self.device = device
        self._trained: Trained | None = None

    def setup(self) -> None:
        """Load the network, where one labels."""
        self._network()

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """Images at the size that is worked with, and what stereo or LiDAR measured."""
        by_lidar = self.config.source == "scene" and self.config.depth == "lidar"
        shots = [shot for frame in sorted(group.plan.view_frames) for shot in self._shots(group, frame)]
        sweeps = tuple(_sweeps(group)) if by_lidar else ()
        return PreparedGroup.of(group, Scene(tuple(shots), sweeps))

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> Found:
        """The field and its maps; only the choice of patches is left to the seed."""
        config, scene = self.config, prepared.payload
        grid, T_world_grid = grid_along(
            [shot.T_world_cam for shot in scene.shots if shot.camera == prepared.plan.camera],
            voxel_size=config.voxel_size,
            ahead=config.ahead,
            beside=config.beside,
            below=config.below,
            above=config.above,
        )
        if (network := self._network()) is not None:
            views = _key_views(scene.shots, prepared.plan, network.role)
            voxels, maps = network_labels(network, views, grid, T_world_grid, reach=config.ahead)
            return Found(voxels, tuple(maps))
        measured = scene.sweeps or [shot.ranges for shot in scene.shots if shot.ranges is not None]
        carved = carve(
            measured,
            grid,
            T_world_grid,
            truncation=config.truncation,
            least_evidence=config.least_evidence,
            device=self.device,
        )
        field = Field(grid, T_world_grid, carved.values)
        if config.steps:
            views = [self._posed(field, shot) for shot in scene.shots]
            field = refine(field, views, _others(scene.shots), steps=config.steps, window=_WINDOW, seed=seed)
        return Found(self._voxels(field, carved), tuple(self._maps(field, prepared)))

    def label_many(self, prepared: Sequence[PreparedGroup], *, seed: int) -> list[Found | Exception]:
        """One after the other."""
        found: list[Found | Exception] = []
        for group in prepared:
            try:
                found.append(self.label(group, seed=seed))
            except Exception as error:  # it concerns this group alone
                found.append(error)
        return found

    def output(self, found: Found, prepared: PreparedGroup, provenance: Provenance) -> Output:
        """A row of depth for each labelled frame, and one of voxels."""
        common = {"group_id": prepared.plan.group_id, **asdict(provenance)}
        times = {one.view.frame: one.view.time_s for one in prepared.label_frames}
        depth = [common | {"time_s": times[one.frame]} | encoded_depth(one) for one in found.maps]
        target = prepared.views[0]
        voxels = common | {"frame": target.frame, "time_s": target.time_s, "source": "auto"}
        voxels |= encoded_voxels(found.voxels)
        return {
            "depth": pa.Table.from_pylist(depth, schema=DEPTH_SCHEMA),
            "voxels": pa.Table.from_pylist([voxels], schema=VOXEL_SCHEMA),
        }

    def _network(self) -> Trained | None:
        """The network that labels; None where the scene is fitted."""
        if self.config.source == "scene":
            return None
        if self._trained is None:
            checkpoint = open_location(self.config.checkpoint)
            self._trained = load_network(checkpoint, self.config.source, device=self.device)
        return self._trained

    def _shots(self, group: FrameGroup, frame: int) -> list[Shot]:
        """The images of a frame, with stereo's depth where space is carved by that and both images are there."""
        own = group.plan.camera
        by_stereo = self.config.source == "teacher" or self.config.depth == "stereo"
        pair = stereo_pair(group.drive) if by_stereo and self.config.source != "student" else None
        names = [name for name in (pair or (own,)) if group.drive.has(IMAGES, name, frame)]
        shots = []
        for name in names:
            try:
                pixels = group.read(IMAGES, name, frame)
            except UnreadableFrameError:
                if name == own:
                    raise
                continue  # the frame is seen by one camera
            shots.append(self._shot(group.drive.view(frame, name), pixels))
        if self.config.source == "scene" and self.config.depth == "given" and group.drive.has(DEPTH, own, frame):
            return [_with_given(shots[0], group.read(DEPTH, own, frame))]
        is_measured = self.config.source == "scene" and pair is not None and len(shots) == 2
        return _with_depth(shots[0], shots[1]) if is_measured else shots

    def _shot(self, view: View, pixels: np.ndarray) -> Shot:
        height, width = pixels.shape[:2]
        scale = min(1.0, self.config.image_width / width)
        size = (round(width * scale), round(height * scale))
        if size != (width, height):
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        into = np.diag([size[0] / width, size[1] / height, 1.0])
        into[:2, 2] = (into[[0, 1], [0, 1]] - 1) / 2  # centres of pixels
        return Shot(view.frame, view.camera, pixels, into @ view.K, view.T_world_cam, None)

    def _posed(self, field: Field, shot: Shot) -> Posed:
        """An image with stereo's depth or, without, that of the carved field."""
        if shot.ranges is not None:
            depth = shot.ranges.values
        else:
            depth, _, stopped = seen_depth(field, shot.K, shot.T_world_cam, shot.size)
            depth = np.where(stopped > _STOPPED, depth, 0)
        return Posed(shot.image, shot.K, shot.T_world_cam, depth)

    def _voxels(self, field: Field, carved: Carved) -> Voxels:
        density = kept_density(field.values)
        state = torch.where(density > OCCUPIED_DENSITY, OCCUPIED, FREE)
        state = torch.where(carved.evidence > self.config.least_evidence, state, UNSEEN)
        return Voxels(
            field.grid,
            field.T_world_grid,
            density=density.cpu().numpy(),
            state=state.to(torch.uint8).cpu().numpy(),
        )

    def _maps(self, field: Field, prepared: PreparedGroup) -> Iterator[DepthMap]:
        """Depth of the labelled frames: the field's, and stereo's own beyond it."""
        own = {shot.frame: shot for shot in prepared.payload.shots if shot.camera == prepared.plan.camera}
        for frame in prepared.plan.label_frames:
            shot = own[frame]
            depth, spread, stopped = seen_depth(field, shot.K, shot.T_world_cam, shot.size)
            is_fields = stopped > _STOPPED
            if shot.ranges is None:
                beyond, doubt = np.zeros_like(depth), np.zeros_like(depth)
            else:
                beyond, doubt = shot.ranges.values, shot.ranges.error
            yield DepthMap(
                frame=frame,
                sensor=shot.camera,
                K=shot.K,
                T_world_cam=shot.T_world_cam,
                depth=np.where(is_fields, depth, beyond),
                spread=np.where(is_fields, spread, doubt),
                profile=profile(field, shot.T_world_cam),
            )


def _key_views(shots: Sequence[Shot], plan: GroupPlan, role: str) -> list[KeyView]:
    """The labelled frames; beside each, for the teacher, the next frame and both of the other camera."""
    frames = sorted({shot.frame for shot in shots})
    by_frame = {(shot.frame, shot.camera): shot for shot in shots}
    cameras = [plan.camera, *sorted({shot.camera for shot in shots} - {plan.camera})]
    found: list[KeyView] = []
    for frame in plan.label_frames:
        seen = [by_frame[one] for one in seen_beside(frame, frames, cameras) if one in by_frame]
        key, *others = (PosedImage(one.image, one.K, one.T_world_cam) for one in seen)
        found.append(KeyView(frame, plan.camera, key, tuple(others) if role == "teacher" else ()))
    return found


def _with_given(shot: Shot, depth: np.ndarray) -> Shot:
    ranges = given_ranges(depth, image_size=shot.size, K=shot.K, T_world_cam=shot.T_world_cam)
    return replace(shot, ranges=ranges)


def _with_depth(left: Shot, right: Shot) -> list[Shot]:
    baseline = float(np.linalg.norm(left.T_world_cam[:3, 3] - right.T_world_cam[:3, 3]))
    focal_baseline = float(left.K[0, 0]) * baseline
    found = disparities(left.image, right.image, focal_baseline=focal_baseline)
    return [
        replace(
            shot,
            ranges=stereo_ranges(one, focal_baseline=focal_baseline, K=shot.K, T_world_cam=shot.T_world_cam),
        )
        for shot, one in zip((left, right), found, strict=True)
    ]


def _sweeps(group: FrameGroup) -> Iterator[Ranges]:
    for frame in sorted(group.plan.view_frames):
        for lidar in group.drive.lidars.values():
            if group.drive.has(POINTS, lidar.name, frame) and frame in lidar.T_world_lidar:
                points = group.read(POINTS, lidar.name, frame)[:, :3].astype(np.float64)
                yield sweep_ranges(points[np.isfinite(points).all(axis=1)], lidar.T_world_lidar[frame])


def _others(shots: Sequence[Shot]) -> list[list[int]]:
    """Of each image, places of those that have to agree with it: of the same frame, and of the frames beside it."""
    frames = sorted({shot.frame for shot in shots})
    number = {frame: place for place, frame in enumerate(frames)}
    places = {(number[shot.frame], shot.camera): place for place, shot in enumerate(shots)}
    found = []
    for place, shot in enumerate(shots):
        at = number[shot.frame]
        same_time = [other for other in range(max(place - 1, 0), min(place + 2, len(shots))) if other != place]
        beside = [places.get((near, shot.camera)) for near in (at - 1, at + 1)]
        found.append(
            [other for other in same_time if shots[other].frame == shot.frame]
            + [other for other in beside if other is not None]
        )
    return found
