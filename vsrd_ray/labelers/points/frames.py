"""What labelling needs of a frame, read and projected on the CPU.

Shapes: N points of a sweep, M points in view, P pixels, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS, ClassTable
from vsrd_ray.data.drive import IMAGES, MASKS, POINTS, Camera
from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.points.config import PointsConfig
from vsrd_ray.labelers.points.keyframe import Seen, look_up
from vsrd_ray.labelers.points.painting import Coarse
from vsrd_ray.labelers.points.projection import InView, between, project
from vsrd_ray.labelers.points.prompts import dense_points, distinct, prompts_at
from vsrd_ray.labelers.points.spec import points_plan
from vsrd_ray.labels.points.classes import NONE, class_named


@dataclass(frozen=True)
class Shot:
    """One image, with what is known of it before a model has seen it."""

    image: np.ndarray  # [H, W, 3] uint8, BGR
    pixels: np.ndarray  # [P, 2] int64, distinct, on which the LiDAR's points fall
    given: Coarse | None = None  # masks that were given
    prompts: np.ndarray | None = None  # [P, 2] of given masks


@dataclass(frozen=True)
class Sweep:
    """One sweep, with what the cameras show of it."""

    sensor: str
    xyz: np.ndarray  # [N, 3] float64 metres, in the sensor's frame
    T_world_lidar: np.ndarray  # [4, 4]
    views: tuple[Seen, ...]  # in the order of the cameras; none before models have made masks
    in_view: tuple[tuple[InView, np.ndarray], ...] = ()  # of each shot, with its K
    time_s: float | None = None  # seconds, where the dataset has times


@dataclass(frozen=True)
class Frame:
    """What labelling needs of a frame."""

    sweeps: tuple[Sweep, ...]
    shots: tuple[Shot, ...] = ()  # images that models are to see


def read_frame(group: FrameGroup, config: PointsConfig) -> Frame:
    """What labelling needs of a group's frame.

    Raises:
        UnreadableFrameError: a file is damaged.
        InputError: masks of another size than the images.
    """
    frame, drive, plan = group.plan.target_frame, group.drive, points_plan(group.plan)
    classes = class_places(drive.classes, plan.classes)
    sweeps = [
        Sweep(
            name,
            _finite(group.read(POINTS, name, frame)[:, :3]),
            lidar.T_world_lidar[frame],
            views=(),
            time_s=lidar.times_s.get(frame),
        )
        for name, lidar in drive.lidars.items()
        if drive.has(POINTS, name, frame) and frame in lidar.T_world_lidar
    ]
    layer = IMAGES if config.segmenter else MASKS
    cameras = [
        camera
        for camera in drive.cameras.values()
        if frame in camera.T_world_cam and drive.has(layer, camera.name, frame)
    ]
    in_view = [[(_in_view(sweep, camera, frame), camera.K) for camera in cameras] for sweep in sweeps]
    if config.models:
        shots = _shots(group, cameras, None if config.segmenter else classes)
        sweeps = [replace(sweep, in_view=tuple(seen)) for sweep, seen in zip(sweeps, in_view, strict=True)]
        return Frame(tuple(sweeps), shots)
    maps = [_checked_map(group, camera) for camera in cameras]
    found = []
    for sweep, seen in zip(sweeps, in_view, strict=True):
        views = [look_up(points, one, classes, K) for (points, K), one in zip(seen, maps, strict=True)]
        found.append(replace(sweep, views=tuple(views)))
    return Frame(tuple(found))


def _shots(group: FrameGroup, cameras: Sequence[Camera], classes: np.ndarray | None) -> tuple[Shot, ...]:
    """The images of the cameras, with the pixels on which points of several sweeps fall.

    With `classes`, masks are given, and so it is known already where to ask.
    """
    frame = group.plan.target_frame
    dense = [_dense(group, lidar, frames) for lidar, frames in points_plan(group.plan).sweeps]
    shots = []
    for camera in cameras:
        T = camera.T_world_cam[frame]
        uv = [project(xyz, between(T, pose), camera.K, camera.image_size).uv for xyz, pose in dense]
        pixels = distinct(np.concatenate([np.zeros((0, 2)), *uv]))
        image = group.read(IMAGES, camera.name, frame)
        if classes is None:
            shots.append(Shot(image, pixels))
        else:
            given = given_coarse(_checked_map(group, camera), classes)
            shots.append(Shot(image, pixels, given, prompts_at(pixels, given.semantic)))
    return tuple(shots)


def given_coarse(
    instance_map: np.ndarray,  # [H, W] uint16
    classes: np.ndarray,  # place in `NAMES` of each class number
) -> Coarse:
    """What given masks show, as detections of full score."""
    ids = np.unique(instance_map)
    ids = ids[(classes[ids // IDS_PER_CLASS] != NONE) & (ids % IDS_PER_CLASS > 0)]
    masks = instance_map[None] == ids[:, None, None]
    return Coarse.of(masks, classes[ids // IDS_PER_CLASS], np.ones(len(ids)))


def _in_view(sweep: Sweep, camera: Camera, frame: int) -> InView:
    """The points that a camera shows."""
    T_cam_lidar = between(camera.T_world_cam[frame], sweep.T_world_lidar)
    return project(sweep.xyz, T_cam_lidar, camera.K, camera.image_size)


def _checked_map(group: FrameGroup, camera: Camera) -> np.ndarray:
    """The instance map of a camera in the group's frame."""
    frame, drive = group.plan.target_frame, group.drive
    instance_map = group.read(MASKS, camera.name, frame)
    _check_size(instance_map, camera.image_size, f"{drive.file(MASKS, camera.name, frame)}")
    return instance_map


def _dense(group: FrameGroup, lidar: str, frames: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Points [N, 3] of several sweeps in the frame of the first, and its pose [4, 4]."""
    poses = [group.drive.lidars[lidar].T_world_lidar[frame] for frame in frames]
    xyz = [_finite(group.read(POINTS, lidar, frame)[:, :3]) for frame in frames]
    return dense_points(xyz, poses), poses[0]


def class_places(classes: ClassTable, wanted: Sequence[str] = ()) -> np.ndarray:
    """Place [66] in `NAMES` of each class number of a dataset; `NONE` of others, and of those that are not wanted."""
    places = np.full(np.iinfo(np.uint16).max // IDS_PER_CLASS + 1, NONE)
    for one in classes:
        if (place := class_named(one.name)) is not None and (not wanted or one.name in wanted):
            places[one.number] = place
    return places


def _finite(xyz: np.ndarray) -> np.ndarray:
    """Points in float64; those that are no place are far below, where no camera looks."""
    xyz = xyz.astype(np.float64)
    xyz[~np.isfinite(xyz).all(axis=1)] = (0.0, 0.0, -1e4)
    return xyz


def _check_size(instance_map: np.ndarray, image_size: tuple[int, int], place: str) -> None:
    height, width = instance_map.shape
    if (width, height) != tuple(image_size):
        raise InputError(
            f"{place}: a mask of {width} x {height} px, of a camera with images of {image_size[0]} x {image_size[1]}: "
            "give masks as large as the images"
        )
