"""Where the layers of a street lie, and how to read them. docs/street.md describes each in words.

Every path function takes ROOT (the folder that holds `data_2d_raw`, `calibration`, …) first. Layers that KITTI-360 has
lie where KITTI-360 keeps them. Shapes: H x W pixels, N points, X x Y x Z voxels.
"""

from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location, read_bytes

DEPTH_STEPS = 256  # of 16-bit depth maps, a metre


@dataclass(frozen=True)
class LidarPoints:
    """A sweep as it was measured."""

    points: np.ndarray  # [N, 3] float32 metres, LiDAR frame (x forward, y left, z up)
    intensity: np.ndarray  # [N] float32, 0..1
    ring: np.ndarray  # [N] uint8, 0 is the lowest
    column: np.ndarray  # [N] uint16, 0 begins behind the car; clockwise seen from above
    delay: np.ndarray  # [N] float32 s after the sweep's own time, of the sensor's pose; 0 without `lidar_motion`


@dataclass(frozen=True)
class PointTruth:
    """What the points of a sweep are, in their order."""

    semantic: np.ndarray  # [N] uint8, ids as in the masks
    instance: np.ndarray  # [N] uint16, semantic id * 1000 + instance id
    range: np.ndarray  # [N] float32 metres, without noise
    time: float  # s since the first frame, of the sweep's middle
    T_world_lidar: np.ndarray  # [4, 4] at that time


def semantic_folder(root: Location, sequence: str, camera: str) -> Location:
    """8-bit semantic maps of a camera."""
    return paths.masks_root(root) / sequence / camera / "semantic"


def depth_folder(root: Location, sequence: str, camera: str) -> Location:
    """Depth maps of a camera: 16-bit PNG, and float32 .npy if they were asked for."""
    return root / "data_2d_depth" / sequence / camera


def velodyne_folder(root: Location, sequence: str) -> Location:
    """`data` (points), `rays` (their rings and times) and timestamps.txt."""
    return root / "data_3d_raw" / sequence / "velodyne_points"


def label_folder(root: Location, sequence: str) -> Location:
    """What every LiDAR point truly is."""
    return root / "data_3d_labels" / sequence / "velodyne_points"


def occupancy_folder(root: Location, sequence: str) -> Location:
    """Voxel truth."""
    return root / "data_3d_occupancy" / sequence


def lidar_poses_file(root: Location, sequence: str) -> Location:
    """LiDAR to world at the sweeps' own times, as cam0_to_world.txt has the cameras'."""
    return paths.poses_root(root) / sequence / "velodyne_to_world.txt"


def unit_poses_file(root: Location, sequence: str) -> Location:
    """KITTI-360's poses.txt: the GPS unit to the world, a frame number and three rows of a 4 x 4 matrix a line."""
    return paths.poses_root(root) / sequence / "poses.txt"


def nuscenes_root(root: Location, sequence: str) -> Location:
    """A root in nuScenes' layout: six cameras around, LIDAR_TOP, tables v1.0-mini."""
    return root / "data_nuscenes" / sequence


def read_depth(root: Location, sequence: str, camera: str, frame: int) -> np.ndarray:
    """Depth [H, W] float32, metres along the optical axis (of fisheyes: along the ray); 0 where there is none.

    The exact map where it was written, else the one in steps of 1/256 m.
    """
    folder = depth_folder(root, sequence, camera)
    exact = folder / f"{frame:010d}.npy"
    if exact.exists():
        return np.load(BytesIO(read_bytes(exact)))
    return _read_png(folder / f"{frame:010d}.png").astype(np.float32) / DEPTH_STEPS


def read_semantics(root: Location, sequence: str, camera: str, frame: int) -> np.ndarray:
    """Semantic ids [H, W] uint8; outlines are as rough as those of the instance masks."""
    return _read_png(semantic_folder(root, sequence, camera) / f"{frame:010d}.png")


def read_points(root: Location, sequence: str, frame: int) -> LidarPoints:
    """A sweep of the `lidar` layer."""
    folder = velodyne_folder(root, sequence)
    values = np.frombuffer(read_bytes(folder / "data" / f"{frame:010d}.bin"), dtype=np.float32).reshape(-1, 4)
    return LidarPoints(values[:, :3], values[:, 3], **_read_npz(folder / "rays" / f"{frame:010d}.npz"))


def read_point_truth(root: Location, sequence: str, frame: int) -> PointTruth:
    """Labels of a sweep's points: the `panoptic` layer."""
    values = _read_npz(label_folder(root, sequence) / f"{frame:010d}.npz")
    return PointTruth(**{**values, "time": float(values["time"])})


def _read_png(path: Location) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(read_bytes(path), dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise InputError(f"{path}: the pixels cannot be decoded: restore the file")
    return pixels


def _read_npz(path: Location) -> dict[str, np.ndarray]:
    with np.load(BytesIO(read_bytes(path))) as values:
        return dict(values)
