"""Drives of a KITTI-360 root folder: which there are, opening one, and what tells that its files have changed."""

import hashlib
import json
import re

import numpy as np

from vsrd_ray.data.drive import DEPTH, IMAGES, LAST_FRAME, MASKS, POINTS, SEMANTICS, Camera, Drive
from vsrd_ray.data.index import INDEX_VERSION
from vsrd_ray.data.rectified import RectifiedCamera
from vsrd_ray.data.timestamps import read_timestamps
from vsrd_ray.datasets.base import check_camera, check_known
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.calibration import read_calibration
from vsrd_ray.datasets.kitti360.fisheyes import read_pinhole
from vsrd_ray.datasets.kitti360.poses import read_poses
from vsrd_ray.datasets.kitti360.sweeps import LIDAR, open_lidar
from vsrd_ray.datasets.kitti360.times import read_times
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.poses.align import Posed, levelled
from vsrd_ray.poses.files import read_pose_file
from vsrd_ray.poses.source import OWN_POSES, PoseSource
from vsrd_ray.storage import (
    Location,
    absolute,
    folders_in,
    is_folder,
    listing,
    names_in,
    plain_name,
    size_and_stamp,
)

_NAME = re.compile(r"[0-9]{4}_[0-9]{2}_[0-9]{2}_drive_([0-9]{4})_sync")


def list_drives(root: Location) -> list[str]:
    """Names of the drives that have poses or masks under `root`, sorted.

    Raises:
        InputError: `root` is no folder.
    """
    if not is_folder(root):
        raise InputError(f"no dataset folder {root}: give --root, or set KITTI360_DATASET")
    return sorted({name for folder in _folders(root) for name in folders_in(folder)})


def _folders(root: Location) -> tuple[Location, Location]:
    return paths.poses_root(root), paths.masks_root(root)


def drive_number(name: str) -> int | None:
    """The number of a drive that is named as KITTI-360's are: 3 of `2013_05_28_drive_0003_sync`; None of others."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def open_drive(root: Location, name: str, cameras: tuple[str, ...], poses: PoseSource = OWN_POSES) -> Drive:
    """Calibration, poses, images and masks of some cameras of a drive; no pixel is read.

    Poses of a file are turned and scaled into the world of the dataset's own, where it has any.

    Raises:
        InputError: a missing root, an unknown drive or camera, or a calibration or poses file that cannot be used.
    """
    plain_name(name, what="sequence")
    if not any(is_folder(folder / name) for folder in _folders(root)):
        check_known(name, list_drives(root), root=root)
    for camera in cameras:
        check_camera(camera, (*paths.IMAGE_CAMERAS, *paths.FISHEYES))
    images = {camera: _frames(paths.image_folder(root, name, camera)) for camera in cameras}
    cameras = tuple(camera for camera in cameras if camera not in paths.FISHEYES or images[camera])
    straight = [camera for camera in cameras if camera not in paths.FISHEYES]  # maps of fisheyes are not looked up
    opened, posed = _cameras(root, name, cameras, poses)
    sweeps = _frames(paths.sweep_folder(root, name), suffix=".bin")
    lidar = open_lidar(root, name, opened[cameras[0]], has_own_poses=poses.file is None) if sweeps else None
    return Drive(
        dataset="kitti360",
        root=absolute(root),  # workers may run elsewhere
        name=name,
        cameras=opened,
        layers={
            MASKS: {camera: _frames(paths.mask_folder(root, name, camera)) for camera in straight},
            IMAGES: {camera: images[camera] for camera in cameras},
            SEMANTICS: {camera: _frames(paths.semantic_folder(root, name, camera)) for camera in straight},
            DEPTH: {camera: _frames(paths.depth_folder(root, name, camera)) for camera in straight},
            **({POINTS: {LIDAR: sweeps}} if lidar is not None else {}),
        },
        lidars={} if lidar is None else {LIDAR: lidar},
        warnings=posed.warnings,
        pose_scale=posed.ratio,
    )


def _cameras(
    root: Location, name: str, cameras: tuple[str, ...], source: PoseSource
) -> tuple[dict[str, Camera], Posed]:
    """The cameras with their poses, and what these are made of."""
    calibrations = {
        camera: (read_pinhole if camera in paths.FISHEYES else read_calibration)(root, camera) for camera in cameras
    }
    posed = _posed(root, name, cameras[0], source, calibrations[cameras[0]])
    T_world_cam0 = posed.poses
    opened: dict[str, Camera] = {}
    for camera, calibration in calibrations.items():
        T_cam0_cam = inverse(calibration.T_cam_cam0)
        poses = {frame: pose @ T_cam0_cam for frame, pose in T_world_cam0.items()}
        times = read_times(root, name, camera, poses)
        opened[camera] = Camera(camera, calibration.K, calibration.image_size, poses, times)
    return opened, posed


def _posed(root: Location, name: str, camera: str, source: PoseSource, calibration: RectifiedCamera) -> Posed:
    """`T_world_cam0` of each frame that has one."""
    if source.file is None:
        return Posed(read_poses(root, name))
    read = read_pose_file(
        source.file, camera=camera, times_s=read_timestamps(paths.timestamps_file(root, name, camera))
    )
    T_cam_cam0 = np.eye(4) if read.is_of_camera_0 else calibration.T_cam_cam0
    poses = {frame: pose @ T_cam_cam0 for frame, pose in read.poses.items()}
    own = paths.poses_file(root, name)
    reference = read_poses(root, name) if own.exists() else {}
    return levelled(poses, reference, is_scaled=source.is_scaled, place=f"{source.file}", by=own.name)


def _frames(folder: Location, *, suffix: str = ".png") -> tuple[int, ...]:
    frames = paths.frames_among(names_in(folder), suffix=suffix)
    if frames and frames[-1] > LAST_FRAME:
        file = folder / f"{frames[-1]:010d}{suffix}"
        raise InputError(f"{file}: expected frame numbers up to {LAST_FRAME}: number the frames from 0, or remove it")
    return tuple(frames)


def fingerprint(root: Location, name: str, camera: str) -> str:
    """Hexadecimal digest of all that the index of a drive depends on: its files as far as a listing tells of them.

    Images count where there are any, since a damaged one costs its frame.

    Raises:
        FileNotFoundError: there is no calibration.
    """
    masks = listing(paths.mask_folder(root, name, camera))
    images = listing(paths.image_folder(root, name, camera))
    poses, times = paths.poses_file(root, name), paths.timestamps_file(root, name, camera)
    files = [paths.calibration_file(root), *(file for file in (poses, times) if file.exists())]
    others = [(path.name, *size_and_stamp(path)) for path in files]
    content = json.dumps([INDEX_VERSION, name, camera, others, masks, images])
    return hashlib.sha256(content.encode()).hexdigest()


def fingerprint_of_fisheye(root: Location, name: str, camera: str) -> str:
    """Hexadecimal digest of what a fisheye adds: its images and its calibration; empty where it has no image."""
    if not (images := listing(paths.image_folder(root, name, camera))):
        return ""
    files = (paths.fisheye_calibration_file(root, camera), paths.camera_poses_file(root))
    others = [(path.name, *size_and_stamp(path)) for path in files if path.exists()]
    return hashlib.sha256(json.dumps([others, images]).encode()).hexdigest()


def fingerprint_of_sweeps(root: Location, name: str) -> str:
    """Hexadecimal digest of what the labels of points depend on beside the cameras; empty where there is no sweep."""
    if not (sweeps := listing(paths.sweep_folder(root, name))):
        return ""
    files = (paths.lidar_calibration_file(root), paths.lidar_poses_file(root, name))
    others = [(path.name, *size_and_stamp(path)) for path in files if path.exists()]
    return hashlib.sha256(json.dumps([others, sweeps]).encode()).hexdigest()


def fingerprint_of_maps(root: Location, name: str, camera: str) -> str:
    """Hexadecimal digest of a camera's maps of depth and classes; empty where there is none."""
    folders = (paths.semantic_folder(root, name, camera), paths.depth_folder(root, name, camera))
    found = [listing(folder) if is_folder(folder) else [] for folder in folders]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest() if any(found) else ""
