"""Sweeps of the LiDAR, where it was, and what the points of the built-in street truly are.

Shapes: P points.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from zipfile import BadZipFile

import numpy as np

from vsrd_ray.data.drive import Camera, Drive, Lidar
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.calibration import read_lidar
from vsrd_ray.datasets.kitti360.poses import read_pose_file
from vsrd_ray.errors import InputError, UnreadableFrameError, one_line
from vsrd_ray.storage import Location, names_in, read_bytes

LIDAR = "velodyne"
_COLUMNS = 4  # x forward, y left, z up (m), reflectance 0..1


@dataclass(frozen=True)
class TruthPoints:
    """True labels of the points of some sweeps, read when they are asked for."""

    sensor: str
    files: Mapping[int, Location]  # frame -> file; these frames have truth

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames, ascending, that have labels."""
        return tuple(sorted(self.files))

    def labels(self, frame: int) -> np.ndarray:
        """Class number * 1000 + instance [P] uint16 as in the masks, in the order of the points.

        Raises:
            UnreadableFrameError: the file is truncated or corrupt.
            InputError: it holds no labels.
        """
        path = self.files[frame]
        try:
            with np.load(BytesIO(read_bytes(path)), allow_pickle=False) as arrays:
                return arrays["instance"].astype(np.uint16)
        except (BadZipFile, ValueError, EOFError) as error:
            raise UnreadableFrameError(f"{path}: no .npz of arrays ({one_line(error)}): restore the file") from error
        except KeyError:
            raise InputError(f"{path}: no array 'instance': expected labels of the built-in street") from None


def open_lidar(root: Location, sequence: str, camera: Camera, *, has_own_poses: bool) -> Lidar | None:
    """The LiDAR with its poses: those of its own file, or else those of a camera; None where nothing places it.

    Sweeps are not corrected for the motion during a turn, and their poses are then those of the images' times.

    Args:
        root: the dataset's root folder.
        sequence: name of the drive.
        camera: one of the drive's, with its poses.
        has_own_poses: whether these are the dataset's own, as those of the LiDAR's file are.

    Raises:
        InputError: a file of poses or of the calibration that cannot be used.
    """
    own = paths.lidar_poses_file(root, sequence)
    if has_own_poses and own.exists():
        return Lidar(LIDAR, read_pose_file(own))
    T_cam_lidar = read_lidar(root, camera.name)
    if T_cam_lidar is None:
        return None
    return Lidar(LIDAR, {frame: pose @ T_cam_lidar for frame, pose in camera.T_world_cam.items()})


def read_sweep(drive: Drive, sensor: str, frame: int) -> np.ndarray:
    """Points [P, 4] float32 of a sweep: x forward, y left, z up in metres, reflectance.

    Raises:
        UnreadableFrameError: the file does not hold whole points; only this frame is lost.
        InputError: no file.
    """
    path = paths.sweep_file(drive.root, drive.name, frame)
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no sweep {path}: restore the file") from None
    if not data or len(data) % (4 * _COLUMNS):
        raise UnreadableFrameError(
            f"{path}: {len(data)} bytes are no whole number of points of {4 * _COLUMNS} bytes: restore the file"
        )
    return np.frombuffer(data, dtype="<f4").reshape(-1, _COLUMNS).astype(np.float32)


def truth_of_points(root: Location, sequence: str) -> TruthPoints | None:
    """What the points of a drive truly are; None where nothing tells, as in KITTI-360's own drives."""
    folder = paths.point_label_folder(root, sequence)
    frames = paths.frames_among(names_in(folder), suffix=".npz")
    return TruthPoints(LIDAR, {frame: folder / f"{frame:010d}.npz" for frame in frames}) if frames else None
