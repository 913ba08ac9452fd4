"""Drives of a root folder of KITTI's raw data: which there are, opening one, and what tells that files have changed."""

import hashlib
import json

import numpy as np

from vsrd_ray.data.drive import IMAGES, MASKS, POINTS, Camera, Drive, Lidar
from vsrd_ray.data.index import INDEX_VERSION
from vsrd_ray.datasets.base import check_camera, check_known
from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.datasets.kitti_raw.calibration import read_camera, read_T_cam0_lidar
from vsrd_ray.datasets.kitti_raw.posing import read_T_world_cam0
from vsrd_ray.datasets.kitti_raw.times import filled, read_times
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.poses.source import OWN_POSES, PoseSource
from vsrd_ray.storage import Location, absolute, folders_in, is_folder, listing, names_in, plain_name, size_and_stamp

_UNSYNCHRONISED = "_extract"
_WHY_NOT = "drives _extract are neither synchronised nor rectified: download the drive's _sync archive"


def list_drives(root: Location) -> list[str]:
    """Names of the synchronised drives under `root`, sorted.

    Raises:
        InputError: `root` is no folder, or has none.
    """
    if not is_folder(root):
        raise InputError(f"no dataset folder {root}: give --root")
    if paths.DATE.fullmatch(absolute(root).name) and (root / "calib_cam_to_cam.txt").is_file():
        raise InputError(f"{root} is the folder of one day: give the folder around it, {absolute(root).parent}")
    names = [name for date in _dates(root) for name in folders_in(root / date)]
    drives = sorted(name for name in names if paths.date_and_number(name) is not None)
    if not drives and (others := [name for name in names if name.endswith(_UNSYNCHRONISED)]):
        raise InputError(f"no drive under {root} but {others[0]}: {_WHY_NOT}")
    if not drives:
        raise InputError(f"no drive under {root}: it has to hold folders such as 2011_09_26/2011_09_26_drive_0001_sync")
    return drives


def looks_raw(root: Location) -> bool:
    """Whether a folder holds days of KITTI's raw data, or is one."""
    if paths.DATE.fullmatch(absolute(root).name) and (root / "calib_cam_to_cam.txt").is_file():
        return True
    return any("_drive_" in name for date in _dates(root) for name in folders_in(root / date))


def _dates(root: Location) -> list[str]:
    return [name for name in folders_in(root) if paths.DATE.fullmatch(name)]


def open_drive(root: Location, name: str, cameras: tuple[str, ...], source: PoseSource = OWN_POSES) -> Drive:
    """Calibration, poses, times and layers of some cameras of a drive; no pixel is read.

    Raises:
        InputError: a missing root, an unknown drive or camera, or a calibration or poses that cannot be used.
    """
    plain_name(name, what="sequence")
    if name.endswith(_UNSYNCHRONISED):
        raise InputError(f"{name}: {_WHY_NOT}")
    if paths.date_and_number(name) is None or not is_folder(paths.drive_folder(root, name)):
        check_known(name, list_drives(root), root=root)
    for camera in cameras:
        check_camera(camera, paths.CAMERAS)
    calibrations = {camera: read_camera(root, name, camera) for camera in cameras}
    posed = read_T_world_cam0(root, name, source, camera=cameras[0], calibration=calibrations[cameras[0]])
    frames = sorted(posed.poses)
    opened: dict[str, Camera] = {}
    warnings = list(posed.warnings)
    for camera, calibration in calibrations.items():
        T_cam0_cam = inverse(calibration.T_cam_cam0)
        poses = {frame: posed.poses[frame] @ T_cam0_cam for frame in frames}
        file = paths.image_times_file(root, name, camera)
        times = filled(given := read_times(file), frames)
        if given and not times and frames:
            warnings.append(
                f"{file}: times of frames {min(given)}-{max(given)}, and poses of {frames[0]}-{frames[-1]}: times are "
                "not used, and speeds are those at ten frames a second: restore the file."
            )
        opened[camera] = Camera(camera, calibration.K, calibration.image_size, poses, times)
    points = _point_frames(root, name)
    return Drive(
        dataset="kitti_raw",
        root=absolute(root),  # workers may run elsewhere
        name=name,
        cameras=opened,
        layers={
            MASKS: {camera: mask_frames(root, name, camera) for camera in cameras},
            IMAGES: {camera: _image_frames(root, name, camera) for camera in cameras},
            POINTS: {paths.LIDAR: points},
        },
        lidars={paths.LIDAR: _lidar(root, name, posed.poses)} if points else {},
        warnings=tuple(warnings),
        is_geographic=source.file is None,  # packets are: see poses/oxts.py
        pose_scale=posed.ratio,
    )


def mask_frames(root: Location, name: str, camera: str) -> tuple[int, ...]:
    """Frames, ascending, that have a mask of KITTI-MOTS."""
    folder = paths.mask_folder(root, name) if camera == paths.MASKED_CAMERA else None
    return () if folder is None else paths.frames_among(names_in(folder), suffix=".png", digits=6)


def _image_frames(root: Location, name: str, camera: str) -> tuple[int, ...]:
    return paths.frames_among(names_in(paths.image_folder(root, name, camera)), suffix=".png")


def _point_frames(root: Location, name: str) -> tuple[int, ...]:
    return paths.frames_among(names_in(paths.point_folder(root, name)), suffix=".bin")


def _lidar(root: Location, name: str, T_world_cam0: dict[int, np.ndarray]) -> Lidar:
    T_cam0_lidar = read_T_cam0_lidar(root, name)
    poses = {frame: pose @ T_cam0_lidar for frame, pose in T_world_cam0.items()}
    return Lidar(paths.LIDAR, poses, filled(read_times(paths.point_times_file(root, name)), sorted(poses)))


def fingerprint(root: Location, name: str, cameras: tuple[str, ...]) -> str:
    """Hexadecimal digest of all that labels of a drive depend on: its files as far as a listing tells of them.

    Raises:
        FileNotFoundError: there is no calibration.
    """
    files = [
        file(root, name) for file in (paths.calibration_file, paths.lidar_calibration_file, paths.imu_calibration_file)
    ]
    times = [paths.packet_times_file(root, name), *(paths.image_times_file(root, name, one) for one in paths.CAMERAS)]
    stamps = [(file.name, *size_and_stamp(file)) for file in (*files, *(time for time in times if time.exists()))]
    masks = paths.mask_folder(root, name)
    folders = [
        paths.packet_folder(root, name),
        *(paths.image_folder(root, name, camera) for camera in cameras),
        *([] if masks is None else [masks]),
    ]
    content = json.dumps([INDEX_VERSION, name, cameras, stamps, [listing(folder) for folder in folders]])
    return hashlib.sha256(content.encode()).hexdigest()
