"""Everything that is written for one frame of a street, layer by layer, below a local folder.

A file's bytes depend on the settings of its own layer alone, not on what else is written.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.geometry import rigid
from vsrd_ray.synthetic import layers, lidar, nuscenes
from vsrd_ray.synthetic.meshes import Mesh
from vsrd_ray.synthetic.occupancy import GRIDS, StreetSolids, seen_by_camera, seen_by_lidar
from vsrd_ray.synthetic.rig import FISHEYES, SURROUND
from vsrd_ray.synthetic.settings import StreetSettings
from vsrd_ray.synthetic.street import Street, build_street
from vsrd_ray.synthetic.turns import Turn
from vsrd_ray.synthetic.views import LEFT, RIGHT, Cameras, View


class Studio:
    """A street with its cameras and sensors, made once in each process."""

    def __init__(self, settings: StreetSettings) -> None:
        self.settings = settings
        self.street: Street = build_street(settings)
        self.cameras = Cameras(self.street)
        self.velo = lidar.velo(settings)
        self.top = lidar.top()

    @cached_property
    def solids(self) -> StreetSolids:
        """The bodies that fill voxels."""
        return StreetSolids(self.street)

    @property
    def camera_names(self) -> list[str]:
        """The cameras of KITTI-360's layout that are asked for."""
        right = [RIGHT] if self.settings.has("right") else []
        return [LEFT, *right, *(FISHEYES if self.settings.has("fisheye") else ())]

    def T_world_street(self, T_street_a: np.ndarray) -> np.ndarray:  # noqa: N802
        """`T_world_a` [4, 4] from `T_street_a`."""
        T_world_a = T_street_a.copy()
        T_world_a[:3, 3] += self.street.origin_world
        return T_world_a


@dataclass(frozen=True)
class FrameFacts:
    """What the tables of all frames need of one."""

    frame: int
    T_world_velo: np.ndarray  # [4, 4] at the sweep's time
    num_points: dict[int, int]  # of LIDAR_TOP, by instance


def write_frame(root: Path, studio: Studio, frame: int) -> FrameFacts:
    """Write all files of one frame of the layers that are asked for."""
    settings = studio.settings
    left = studio.cameras[LEFT].render(frame)
    for name in studio.camera_names:
        _write_view(root, settings, left if name == LEFT else studio.cameras[name].render(frame), frame)
    looked = lidar.look(studio.street, studio.velo, frame) if settings.has("occupancy") else None
    if settings.has("lidar"):
        _write_sweep(root, studio, frame, looked if settings.lidar_delay == 0 else None)
    if looked is not None:
        _write_occupancy(root, studio, left, looked[0], frame)
    num_points = _write_surround(root, studio, frame) if settings.has("surround") else {}
    delay = settings.lidar_delay
    T_street_velo = lidar.pose(studio.street, studio.velo, frame + delay / lidar.SWEEP_PERIOD)
    return FrameFacts(frame, studio.T_world_street(T_street_velo), num_points)


def _write_view(root: Path, settings: StreetSettings, view: View, frame: int) -> None:
    """Image, mask, semantic map and depth of a camera in KITTI-360's layout."""
    sequence, name, file = settings.sequence, view.camera, f"{frame:010d}"
    write_png(Path(str(paths.image_file(root, sequence, name, frame))), cv2.cvtColor(view.image, cv2.COLOR_RGB2BGR))
    write_png(Path(str(paths.mask_file(root, sequence, name, frame))), view.mask)
    if settings.has("semantics"):
        write_png(Path(str(layers.semantic_folder(root, sequence, name))) / f"{file}.png", view.semantic_map)
    if settings.has("depth"):
        depth = Path(str(layers.depth_folder(root, sequence, name)))
        write_png(depth / f"{file}.png", depth_png(view.depth))
        if settings.exact_depth:
            np.save(depth / f"{file}.npy", view.depth)


def _write_sweep(root: Path, studio: Studio, frame: int, looked: tuple[Turn, Mesh] | None) -> None:
    """Points of the LiDAR of KITTI-360's layout, and what they truly are."""
    settings = studio.settings
    sweep = lidar.measure(
        studio.street, studio.velo, frame, delay=settings.lidar_delay, motion=settings.lidar_motion, looked=looked
    )
    folder, file = Path(str(layers.velodyne_folder(root, settings.sequence))), f"{frame:010d}"
    values = np.concatenate([sweep.points, sweep.intensity[:, None]], axis=1)
    _write_bytes(folder / "data" / f"{file}.bin", values.astype("<f4").tobytes())
    _write_npz(folder / "rays" / f"{file}.npz", ring=sweep.ring, column=sweep.column, delay=sweep.delay)
    if settings.has("panoptic"):
        _write_npz(
            Path(str(layers.label_folder(root, settings.sequence))) / f"{file}.npz",
            semantic=(sweep.instance // IDS_PER_CLASS).astype(np.uint8),
            instance=sweep.instance,
            range=sweep.range.astype(np.float32),
            time=np.array(sweep.time),
            T_world_lidar=studio.T_world_street(sweep.T_street_sensor),
        )


def _write_occupancy(root: Path, studio: Studio, left: View, turn: Turn, frame: int) -> None:
    """Voxels around the car, and which of them the left camera and the LiDAR see into."""
    settings = studio.settings
    grid = GRIDS[settings.occupancy_grid]
    T_street_grid = lidar.pose(studio.street, studio.velo, frame) @ grid.T_velo_grid
    voxels = studio.solids.voxels(frame, T_street_grid, grid)
    T_cam_grid = rigid.inverse(left.T_street_cam) @ T_street_grid
    by_camera = seen_by_camera(grid, T_cam_grid, studio.street.K, left.depth)
    by_lidar = seen_by_lidar(grid, grid.T_velo_grid, turn, studio.velo, reach=settings.lidar_range)
    _write_npz(
        Path(str(layers.occupancy_folder(root, settings.sequence))) / f"{frame:010d}.npz",
        compressed=True,
        semantics=voxels.semantics,
        instances=voxels.ids,
        fill=np.ceil(255 * voxels.fill).astype(np.uint8),
        mask_camera=by_camera.astype(np.uint8),
        mask_lidar=by_lidar.astype(np.uint8),
        range=grid.range,
        voxel_size=np.array(grid.voxel_size),
        T_world_grid=studio.T_world_street(T_street_grid),
    )


def _write_surround(root: Path, studio: Studio, frame: int) -> dict[int, int]:
    """Images, points and their truth in nuScenes' layout; gives the number of points of each instance."""
    settings = studio.settings
    files = nuscenes.Files(Path(str(layers.nuscenes_root(root, settings.sequence))), settings)
    for name in SURROUND:
        view = studio.cameras[name].render(frame)
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(view.image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])
        _write_bytes(files.data(name, frame), encoded.tobytes())
        write_png(files.truth("instance", name, frame), view.mask)
        if settings.has("semantics"):
            write_png(files.truth("semantic", name, frame), view.semantic_map)
        if settings.has("depth"):
            write_png(files.truth("depth", name, frame), depth_png(view.depth))
            if settings.exact_depth:
                np.save(files.truth("depth", name, frame).with_suffix(".npy"), view.depth)
    sweep = lidar.measure(studio.street, studio.top, frame)
    values = [sweep.points, 255 * sweep.intensity[:, None], sweep.ring[:, None].astype(np.float32)]
    _write_bytes(files.data(nuscenes.LIDAR, frame), np.concatenate(values, axis=1).astype("<f4").tobytes())
    _write_npz(files.truth("points", nuscenes.LIDAR, frame), instance=sweep.instance, range=sweep.range)
    if files.is_key(frame):
        category, panoptic = nuscenes.labels(studio.street, sweep.instance)
        _write_bytes(files.lidarseg(frame), category.tobytes())
        _write_npz(files.panoptic(frame), compressed=True, data=panoptic)
    ids, counts = np.unique(sweep.instance, return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))


def depth_png(depth: np.ndarray) -> np.ndarray:
    """Depth [H, W] uint16 in steps of 1/256 m; 0 where there is none or it is too far."""
    steps = np.rint(depth * np.float32(layers.DEPTH_STEPS))
    return np.where(steps <= np.iinfo(np.uint16).max, steps, 0).astype(np.uint16)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write an image in OpenCV's order of channels."""
    # A light compression: these images are read more often than they are sent.
    _, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 2])
    _write_bytes(path, encoded.tobytes())


def _write_bytes(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_npz(path: Path, *, compressed: bool = False, **arrays: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if compressed else np.savez)(path, **arrays)  # type: ignore[arg-type]
