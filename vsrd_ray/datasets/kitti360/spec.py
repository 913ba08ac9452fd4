"""KITTI-360 as a dataset: what the rest of the house asks of it."""

from typing import Any

import numpy as np

from vsrd_ray.data.drive import DEPTH, IMAGES, MASKS, POINTS, SEMANTICS, Drive
from vsrd_ray.datasets.kitti360 import downloads, drives, paths
from vsrd_ray.datasets.kitti360.boxes import read_boxes
from vsrd_ray.datasets.kitti360.calibration import read_lidar
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.datasets.kitti360.geometry import truth_of_geometry
from vsrd_ray.datasets.kitti360.images import read_image
from vsrd_ray.datasets.kitti360.instances import encode_instance_map, read_instance_map
from vsrd_ray.datasets.kitti360.maps import read_depth, read_semantics, truth_of_voxels
from vsrd_ray.datasets.kitti360.sweeps import read_sweep, truth_of_points
from vsrd_ray.errors import InputError
from vsrd_ray.poses.source import OWN, PoseSource
from vsrd_ray.storage import Location, is_folder

# Numbers of the drives in VSRD's division (paper, experiments).
_SPLITS = {"train": (0, 2, 4, 5, 6, 9), "val": (3, 7), "test": (10,)}
_SPLIT_OF_DRIVE = {number: split for split, numbers in _SPLITS.items() for number in numbers}


class KITTI360:
    """KITTI-360: see `vsrd_ray.datasets.base.Dataset` for what each of these is."""

    name = "kitti360"
    title = "KITTI-360"
    summary = "KITTI-360: rectified cameras, 2D instance masks, LiDAR sweeps, poses; boxes as truth"
    classes = CLASSES
    cameras = paths.IMAGE_CAMERAS
    side_cameras = paths.FISHEYES
    layers = (IMAGES, MASKS, POINTS, DEPTH, SEMANTICS)
    truths = ("boxes", "points", "depth", "voxels")
    pose_names = (OWN,)

    def recognises(self, root: Location) -> bool:
        """Where there is a folder of poses or masks as KITTI-360 has them, and its calibration."""
        return is_folder(paths.poses_root(root)) or is_folder(paths.masks_root(root))

    def drives(self, root: Location) -> list[str]:
        """Names of those that have poses or masks.

        Raises:
            InputError: `root` is no folder, or has none.
        """
        names = drives.list_drives(root)
        doubled = [folder for folder in (paths.poses_root(root), paths.masks_root(root)) if folder.name in names]
        if not (names := [name for name in names if name not in [folder.name for folder in doubled]]):
            raise InputError(downloads.no_drives(root, doubled))
        return names

    def has_layer(self, root: Location, name: str, layer: str, sensor: str) -> bool:
        """Whether the layer's folder holds anything."""
        if layer == POINTS:
            return is_folder(paths.sweep_folder(root, name))
        folders = {
            MASKS: paths.mask_folder,
            IMAGES: paths.image_folder,
            DEPTH: paths.depth_folder,
            SEMANTICS: paths.semantic_folder,
        }
        return layer in folders and is_folder(folders[layer](root, name, sensor))

    def missing(self, root: Location, name: str | None, layer: str, sensor: str) -> str:
        """The folder that is missing, what lies in its stead, or else KITTI-360's name of the download."""
        if layer not in self.layers:
            return f"KITTI-360 has no {layer} here: choose a labeler that needs none, or another dataset"
        if layer == POINTS:
            return _missing_sweeps(root, name)
        if layer in (DEPTH, SEMANTICS):
            return _missing_maps(root, name, layer, sensor)
        what = {MASKS: "instance masks", IMAGES: "images"}[layer]
        folder_of = {MASKS: paths.mask_folder, IMAGES: paths.image_folder}[layer]
        if name is None:
            places = {one: folder_of(root, one, sensor) for one in self.drives(root)}
            root_of_layer = {MASKS: paths.masks_root, IMAGES: paths.images_root}[layer](root)
            fix = downloads.what_to_do(root, places, download=_DOWNLOADS[layer])
            return f"no {what} of {sensor} in {root_of_layer}: {fix}"
        return downloads.no_frames(root, name, folder_of(root, name, sensor), what=what, download=_DOWNLOADS[layer])

    def open(self, root: Location, name: str, cameras: tuple[str, ...]) -> Drive:
        """See `Dataset.open`."""
        try:
            return drives.open_drive(root, name, cameras)
        except InputError:
            if (found := downloads.missing_file(root, name)) is not None:
                raise InputError(found) from None
            raise

    def open_with_poses(self, root: Location, name: str, cameras: tuple[str, ...], poses: PoseSource) -> Drive:
        """See `TakesPoses`: those of a file are turned and scaled into the world of the dataset's own."""
        return drives.open_drive(root, name, cameras, poses)

    def fingerprint(self, root: Location, name: str, cameras: tuple[str, ...]) -> str:
        """Of one camera, the digest that runs have kept since the first version; of several, with the sweeps."""
        fisheyes = [drives.fingerprint_of_fisheye(root, name, one) for one in cameras if one in paths.FISHEYES]
        cameras = tuple(camera for camera in cameras if camera not in paths.FISHEYES)
        digests = [drives.fingerprint(root, name, camera) for camera in cameras]
        sweeps = drives.fingerprint_of_sweeps(root, name)
        maps = [drives.fingerprint_of_maps(root, name, camera) for camera in cameras]
        others = [digest for digest in (sweeps, *maps, *fisheyes) if digest]
        return digests[0] if len(digests) == 1 and not any(fisheyes) else "+".join([*digests, *others])

    def read(self, drive: Drive, layer: str, sensor: str, frame: int) -> np.ndarray:
        """See `Drive.read`."""
        readers = {
            MASKS: read_instance_map,
            IMAGES: read_image,
            POINTS: read_sweep,
            DEPTH: read_depth,
            SEMANTICS: read_semantics,
        }
        return readers[layer](drive, sensor, frame)

    def file(self, drive: Drive, layer: str, sensor: str, frame: int) -> Location:
        """See `Drive.file`."""
        if layer == POINTS:
            return paths.sweep_file(drive.root, drive.name, frame)
        file = {
            MASKS: paths.mask_file,
            IMAGES: paths.image_file,
            DEPTH: paths.depth_file,
            SEMANTICS: paths.semantic_file,
        }[layer]
        return file(drive.root, drive.name, sensor, frame)

    def files_beside_masks(self, root: Location, name: str) -> list[Location]:
        """See `MaskWriter`: what lies under the drive's name in the folders `data_*`, and the calibration."""
        return paths.files_beside_masks(root, name)

    def encode_mask(self, instance_map: np.ndarray) -> bytes:
        """See `MaskWriter`: a PNG of 16 bits."""
        return encode_instance_map(instance_map)

    def truth(self, root: Location, name: str, kind: str) -> Any:
        """`TruthBoxes` of the box XML; of the built-in street `TruthPoints` and, of image_00, `TruthGeometry`."""
        if kind not in self.truths:
            raise InputError(f"KITTI-360 has no true {kind} here: there are {', '.join(self.truths)}")
        if kind == "points":
            if (found := truth_of_points(root, name)) is None:
                raise InputError(f"no labels of points {paths.point_label_folder(root, name)}: KITTI-360 has none")
            return found
        if kind == "depth":
            if (geometry := truth_of_geometry(root, name, paths.IMAGE_CAMERAS[0])) is None:
                raise InputError(f"no true depth in {root / 'data_2d_depth' / name}: KITTI-360 has none")
            return geometry
        if kind == "voxels":
            if (voxels := truth_of_voxels(root, name)) is None:
                raise InputError(f"no true voxels in {paths.occupancy_folder(root, name)}: KITTI-360 has none")
            return voxels
        return read_boxes(root, name)

    def has_truth(self, root: Location, name: str, kind: str) -> bool:
        """Whether there is a box XML, labels of points, true depth or true voxels."""
        if kind == "depth":
            return truth_of_geometry(root, name, paths.IMAGE_CAMERAS[0]) is not None
        if kind == "points":
            return truth_of_points(root, name) is not None
        if kind == "voxels":
            return truth_of_voxels(root, name) is not None
        return kind == "boxes" and paths.boxes_file(root, name).exists()

    def split(self, name: str) -> str | None:
        """By VSRD's division."""
        number = drives.drive_number(name)
        return None if number is None else _SPLIT_OF_DRIVE.get(number)

    def detail(self, drive: Drive, name: str) -> Any:
        """`number`, file of `poses`, `T_cam_lidar` [4, 4] of the camera, or folder of the `windows`' point clouds."""
        match name:
            case "poses":
                return paths.poses_file(drive.root, drive.name)
            case "number":
                return drives.drive_number(drive.name)
            case "T_cam_lidar":
                return read_lidar(drive.root, drive.camera.name)
            case "windows":
                return paths.window_folder(drive.root, drive.name)
            case _:
                return None


def _missing_sweeps(root: Location, name: str | None) -> str:
    """Which folder or file lacks, so that a drive has no points."""
    folder = paths.sweep_folder(root, name or "<sequence>")
    if name is not None and is_folder(folder) and not paths.lidar_calibration_file(root).exists():
        return f"no {paths.lidar_calibration_file(root)}, which places the sweeps: download KITTI-360's calibrations"
    return f"no sweeps of the LiDAR in {folder}: download KITTI-360's raw Velodyne scans into the root folder"


def _missing_maps(root: Location, name: str | None, layer: str, camera: str) -> str:
    """Which folder of maps lacks, and where such maps come from."""
    if layer == DEPTH:
        folder = paths.depth_folder(root, name or "<sequence>", camera)
        return (
            f"no depth maps in {folder}: give PNG files of 16 bits there, in 256ths of a metre, or sweeps of the LiDAR"
        )
    folder = paths.semantic_folder(root, name or "<sequence>", camera)
    return f"no class maps in {folder}: download KITTI-360's 2D semantics into the root folder"


_DOWNLOADS = {MASKS: downloads.SEMANTICS, IMAGES: downloads.IMAGES}

SPEC = KITTI360()
