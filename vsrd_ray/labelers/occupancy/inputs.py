"""What is read of a group: images with classes and depth, and sweeps, all in the grid's frame; and what is odd of them.

Shapes: H x W pixels, N points.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from vsrd_ray.data.drive import DEPTH, IMAGES, POINTS, SEMANTICS
from vsrd_ray.data.groups import FrameGroup, GroupPlan
from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.occupancy.bodies import Body, bodies_of
from vsrd_ray.labelers.occupancy.completion import in_view
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.labelers.occupancy.images import DepthImage, majority
from vsrd_ray.labelers.occupancy.planning import OccupancyPlan
from vsrd_ray.labels.depth.schema import SCHEMA, TABLE, DepthMap, decoded
from vsrd_ray.labels.voxels.classes import NO_LABEL, SKY, VoxelClasses, numbers_of
from vsrd_ray.runs.reading import read_rows
from vsrd_ray.storage import open_location

_SPARSE = 0.05  # share of pixels with a class, below which a map is of points
_BLIND = 2.5  # m around a LiDAR, where it sees the vehicle
_SKY_POINTS, _SKY_SHARE = 100, 0.05  # so many points and this share of them in the sky: the LiDAR is elsewhere
_SCALES = {256.0: "256ths of a metre, as in KITTI's files", 1000.0: "metres, not millimetres"}
_UNIT = 1.6  # factor by which depths may be off and still be of the right unit
_NEAREST, _FARTHEST = 0.5, 250.0  # m, between which the middle depth of a view of a street lies


@dataclass(frozen=True)
class Sweep:
    """Points of a LiDAR."""

    frame: int
    origin: np.ndarray  # [3] m, grid's frame
    points: np.ndarray  # [N, 3] m, grid's frame, without those on the vehicle
    bodies: tuple[Body, ...] = ()  # boxes of a source frame


@dataclass(frozen=True)
class GroupInputs:
    """What is fused into one grid."""

    T_world_grid: np.ndarray  # [4, 4]
    frames: tuple[int, ...]  # of the images
    images: tuple[DepthImage, ...]  # depth is 0 where no map gives it; of a source, moving things are ignored
    sweeps: tuple[Sweep, ...]
    movers: tuple[Body, ...] = ()  # what moves, by boxes, where it is at the target's time


@dataclass(frozen=True)
class RawView:
    """An image of a group as it was read."""

    frame: int
    K: np.ndarray  # [3, 3] px
    T_grid_cam: np.ndarray  # [4, 4]
    pixels: np.ndarray  # [H, W] uint8, class numbers of the dataset; or for a segmenter [H, W, 3], BGR
    depth: DepthMap | np.ndarray | None  # of the dataset [H, W] float32 m, or of a run; None without


@dataclass(frozen=True)
class RawGroup:
    """All that is read of a group."""

    name: str  # of the drive
    plan: GroupPlan
    T_world_grid: np.ndarray  # [4, 4]
    views: tuple[RawView, ...]
    sweeps: tuple[Sweep, ...]


def depth_maps(output: str, sequence: str, frames: Collection[int]) -> dict[tuple[int, str], DepthMap]:
    """The depth maps that a run has of some frames of a drive, by frame and camera.

    Raises:
        InputError: a file of the run that cannot be read.
    """
    rows = read_rows(
        open_location(output), TABLE.folder, SCHEMA, needed=("frame", "group_id"), sequence=sequence, frames=frames
    )
    found = [decoded(row) for row in rows.to_pylist()]
    return {(one.frame, one.sensor): one for one in sorted(found, key=lambda one: (one.frame, one.sensor))}


def read_raw(group: FrameGroup, config: OccupancyConfig, T_world_grid: np.ndarray) -> RawGroup:
    """The images or class maps, depth and sweeps of all frames of a group."""
    T_grid_world, plan, drive = rigid.inverse(T_world_grid), group.plan, group.drive
    sweeps = _sweeps(group, T_grid_world, uncurls=config.uncurl) if config.depth != "maps" else []
    layer = IMAGES if config.segmenter else SEMANTICS
    maps = depth_maps(config.depth_run, drive.name, plan.view_frames) if config.depth_run else {}
    views = []
    for frame in plan.view_frames:
        for name, camera in drive.cameras.items():
            if frame in camera.T_world_cam and drive.has(layer, name, frame):
                depth = maps.get((frame, name))
                if not config.depth_run and config.depth != "lidar" and drive.has(DEPTH, name, frame):
                    depth = group.read(DEPTH, name, frame)
                T_grid_cam = T_grid_world @ camera.T_world_cam[frame]
                views.append(RawView(frame, camera.K, T_grid_cam, group.read(layer, name, frame), depth))
    return RawGroup(drive.name, plan, T_world_grid, tuple(views), tuple(sweeps))


def read_group(
    group: FrameGroup, config: OccupancyConfig, classes: VoxelClasses, T_world_grid: np.ndarray
) -> GroupInputs:
    """The images and sweeps of all frames of a group, with the dataset's class maps.

    Raises:
        InputError: see `inputs_of`.
    """
    raw, numbers = read_raw(group, config, T_world_grid), numbers_of(classes, group.drive.classes)
    return inputs_of(raw, [numbers[view.pixels] for view in raw.views], config, classes)


def inputs_of(
    raw: RawGroup, labels: Sequence[np.ndarray], config: OccupancyConfig, classes: VoxelClasses
) -> GroupInputs:
    """What is fused, of what was read and the classes [H, W] uint8 of each view's pixels.

    Raises:
        InputError: depth of another unit, a LiDAR that is not where it should be, or no depth at all.
    """
    target, sweeps = raw.plan.target_frame, raw.sweeps
    frames = [view.frame for view in raw.views]
    images = [_image(view, one, config) for view, one in zip(raw.views, labels, strict=True)]
    images = [
        image if frame == target else replace(image, ignored=np.isin(image.labels, classes.moving))
        for frame, image in zip(frames, images, strict=True)
    ]
    for frame, image in zip(frames, images, strict=True):
        place = f"frame {frame} of {raw.name}"
        sweep = next((one for one in sweeps if one.frame == frame), None)
        if sweep is not None:
            _check(image, sweep, place)
        elif (image.depth > 0).any():
            _check_range(image, place)
    if not sweeps and not any((image.depth > 0).any() for image in images):
        raise InputError(f"frame {target}: neither a sweep nor a depth map tells how far anything is")
    found = GroupInputs(raw.T_world_grid, tuple(frames), tuple(images), sweeps)
    return _boxed(found, raw.plan) if isinstance(raw.plan, OccupancyPlan) and raw.plan.boxes else found


def _boxed(inputs: GroupInputs, plan: OccupancyPlan) -> GroupInputs:
    """The same with the boxes of source frames, and of what moves in the target's."""
    target = plan.target_frame
    by_frame: dict[int, tuple[Body, ...]] = {target: ()}
    movers: tuple[Body, ...] = ()
    for frame in plan.source_frames:
        by_frame[frame], movers = bodies_of(plan.boxes, frame=frame, target=target, T_world_grid=inputs.T_world_grid)
    images = [replace(image, bodies=by_frame[frame]) for frame, image in zip(inputs.frames, inputs.images, strict=True)]
    sweeps = [replace(sweep, bodies=by_frame[sweep.frame]) for sweep in inputs.sweeps]
    return replace(inputs, images=tuple(images), sweeps=tuple(sweeps), movers=movers)


def _image(view: RawView, labels: np.ndarray, config: OccupancyConfig) -> DepthImage:
    is_sparse = (labels != NO_LABEL).mean() < _SPARSE  # of LiDAR points, each of which counts
    stride = 1 if is_sparse else int(np.ceil(np.sqrt(labels.size / config.rays_a_view)))
    K = view.K.copy()
    K[:2] /= stride
    labels = np.ascontiguousarray(labels[::stride, ::stride])
    if isinstance(view.depth, DepthMap):
        depth = _of_run(view.depth, K, labels.shape)
    else:
        depth = np.zeros(labels.shape, np.float32) if view.depth is None else view.depth[::stride, ::stride]
    if is_sparse:
        K[:2, 2] -= 0.5  # the pixels of points are cut to whole numbers
    return DepthImage(
        depth=np.ascontiguousarray(depth),
        labels=majority(labels) if config.majority else labels,
        K=K,
        T_grid_cam=view.T_grid_cam,
        is_measured=is_sparse and bool((depth > 0).any()),
    )


def _of_run(one: DepthMap, K: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Depth [H, W] float32 of a run's map, which may be of another size, at the nearest pixels."""
    into = one.K @ np.linalg.inv(K)
    v, u = np.mgrid[: shape[0], : shape[1]]
    columns, rows = (np.rint(into[axis] @ np.stack([u.ravel(), v.ravel(), np.ones(u.size)])) for axis in (0, 1))
    inside = (columns >= 0) & (columns < one.size[0]) & (rows >= 0) & (rows < one.size[1])
    depth = np.zeros(u.size, dtype=np.float32)
    depth[inside] = one.depth[rows[inside].astype(np.int64), columns[inside].astype(np.int64)]
    return depth.reshape(shape)


def uncurled(xyz: np.ndarray, T_world_lidar: Mapping[int, np.ndarray], frame: int) -> np.ndarray:
    """Points [N, 3] of a sweep as they would be had the LiDAR stood still while it turned.

    It turns counter-clockwise once from a frame to the next, and looks ahead at the frame's own time, as KITTI's does:
    a point is moved by -azimuth / (2 pi) of the motion to the next frame, or else of that since the one before.
    """
    steps = [(a, b) for a, b in ((frame, frame + 1), (frame - 1, frame)) if {a, b} <= T_world_lidar.keys()]
    if not steps:
        return xyz
    before, after = (T_world_lidar[one] for one in steps[0])
    T_before_after = rigid.inverse(before) @ after
    part = -np.arctan2(xyz[:, 1], xyz[:, 0])[:, None] / (2 * np.pi)
    turn = Rotation.from_matrix(T_before_after[:3, :3]).as_rotvec()
    return Rotation.from_rotvec(part * turn).apply(xyz) + part * T_before_after[:3, 3]


def _sweeps(group: FrameGroup, T_grid_world: np.ndarray, *, uncurls: bool) -> list[Sweep]:
    found = []
    for frame in group.plan.view_frames:
        for lidar in group.drive.lidars.values():
            if frame in lidar.T_world_lidar and group.drive.has(POINTS, lidar.name, frame):
                xyz = group.read(POINTS, lidar.name, frame)[:, :3].astype(np.float64)
                xyz = xyz[np.isfinite(xyz).all(axis=1)]
                xyz = xyz[np.linalg.norm(xyz, axis=1) > _BLIND]
                xyz = uncurled(xyz, lidar.T_world_lidar, frame) if uncurls else xyz
                T_grid_lidar = T_grid_world @ lidar.T_world_lidar[frame]
                found.append(Sweep(frame, T_grid_lidar[:3, 3], rigid.apply(T_grid_lidar, xyz)))
    return found


def _check(image: DepthImage, sweep: Sweep, place: str) -> None:
    """Refuse a LiDAR that the image does not go with, and depth of another unit."""
    view = in_view(sweep.points, image.T_grid_cam, image.K, image.labels.shape)
    in_sky = image.labels[view.pixels] == SKY
    if len(in_sky) >= _SKY_POINTS and in_sky.mean() > _SKY_SHARE:
        raise InputError(
            f"{place}: {in_sky.mean():.0%} of the LiDAR's points that the camera sees "
            "lie in the sky: check the calibration between both, and which frame the points are in"
        )
    depth = image.depth[view.pixels]
    known = depth > 0
    if known.sum() >= _SKY_POINTS:
        _refuse_unit(float(np.median(depth[known] / view.depth[known])), place)


def _check_range(image: DepthImage, place: str) -> None:
    middle = float(np.median(image.depth[image.depth > 0]))
    if not _NEAREST <= middle <= _FARTHEST:
        raise InputError(
            f"{place}: the middle of its depths is {middle:g} m, which is no street: "
            "give depth maps in 256ths of a metre"
        )


def _refuse_unit(ratio: float, place: str) -> None:
    for scale, meant in _SCALES.items():
        for factor in (scale, 1 / scale, scale / 256 if scale != 256.0 else scale, 256 / scale):
            if factor != 1 and 1 / _UNIT < ratio / factor < _UNIT and not 1 / _UNIT < ratio < _UNIT:
                raise InputError(
                    f"{place}: depth maps say {ratio:.3g} times what the LiDAR measures, "
                    f"as if they were not in {meant}: write them in 256ths of a metre"
                )
