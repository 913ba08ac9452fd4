"""KITTI's raw data as a dataset: what the rest of the house asks of it."""

from functools import partial
from typing import Any

import numpy as np

from vsrd_ray.data.drive import IMAGES, MASKS, POINTS, Drive
from vsrd_ray.datasets.kitti_raw import drives, layers, paths
from vsrd_ray.datasets.kitti_raw.benchmark import read_benchmark
from vsrd_ray.datasets.kitti_raw.calibration import read_camera, read_T_cam0_lidar
from vsrd_ray.datasets.kitti_raw.classes import CLASSES
from vsrd_ray.datasets.kitti_raw.truth import read_truth, truth_file
from vsrd_ray.errors import InputError
from vsrd_ray.poses.source import NAMES, PoseSource
from vsrd_ray.storage import Location, is_folder, names_in

_READ = {MASKS: layers.read_mask, IMAGES: layers.read_image, POINTS: layers.read_points}
_FILE = {MASKS: layers.mask_file, IMAGES: layers.image_file, POINTS: layers.point_file}


class KITTIRaw:
    """KITTI's raw data: see `vsrd_ray.datasets.base.Dataset` for what each of these is."""

    name = "kitti_raw"
    title = "KITTI's raw data"
    summary = "KITTI's raw data: colour cameras, LiDAR, poses of OxTS; KITTI-MOTS masks and boxes of people where there"
    classes = CLASSES
    cameras = paths.CAMERAS
    layers = (IMAGES, MASKS, POINTS)
    truths = ("boxes",)
    pose_names = NAMES

    def recognises(self, root: Location) -> bool:
        """Where there is a folder of a day, such as 2011_09_26, with a drive in it."""
        return drives.looks_raw(root)

    def drives(self, root: Location) -> list[str]:
        """Names of the synchronised drives, such as `2011_09_26_drive_0009_sync`.

        Raises:
            InputError: `root` is no folder, or has none.
        """
        return drives.list_drives(root)

    def has_layer(self, root: Location, name: str, layer: str, sensor: str) -> bool:
        """Whether the layer's folder holds anything."""
        match layer:
            case "images":
                return is_folder(paths.image_folder(root, name, sensor))
            case "masks":
                return sensor == paths.MASKED_CAMERA and paths.mask_folder(root, name) is not None
            case "points":
                return is_folder(paths.point_folder(root, name))
            case _:
                return False

    def missing(self, root: Location, name: str | None, layer: str, sensor: str) -> str:
        """What is missing, where it ought to lie, and where it comes from."""
        if layer not in self.layers:
            return f"KITTI's raw data has no {layer}: choose a labeler that needs none, or another dataset"
        of = "any drive" if name is None else name
        if layer == MASKS:
            if sensor != paths.MASKED_CAMERA:
                return (
                    f"no instance masks of {sensor}: KITTI-MOTS has those of {paths.MASKED_CAMERA}; give --masks FILE"
                )
            number = None if name is None else paths.tracking_sequence(name)
            place = root / "mots" / "instances"
            if name is not None and number is None:
                return f"no instance masks of {name}: KITTI-MOTS has none of this drive; give your own as --masks FILE"
            place = place if number is None else place / f"{number:04d}"
            return (
                f"no instance masks of {of} in {place}: unpack KITTI-MOTS's instances.zip there, or give --masks FILE"
            )
        if name is None:
            return f"no {layer} of {sensor} in any drive under {root}: unpack the drives' _sync archives into the root"
        folder = paths.point_folder(root, name) if layer == POINTS else paths.image_folder(root, name, sensor)
        names = names_in(folder)
        there = f"it holds {len(names)} files such as {names[0]}, expected ten digits" if names else "it is not there"
        return f"no {layer} of {sensor} in {folder}: {there}: unpack the drive's _sync archive into the root folder"

    def open(self, root: Location, name: str, cameras: tuple[str, ...]) -> Drive:
        """See `Dataset.open`: poses of OxTS, at the images' times."""
        return drives.open_drive(root, name, cameras)

    def open_with_poses(self, root: Location, name: str, cameras: tuple[str, ...], poses: PoseSource) -> Drive:
        """See `TakesPoses`: those of a file are levelled and scaled by OxTS."""
        return drives.open_drive(root, name, cameras, poses)

    def fingerprint(self, root: Location, name: str, cameras: tuple[str, ...]) -> str:
        """See `Dataset.fingerprint`."""
        return drives.fingerprint(root, name, cameras)

    def read(self, drive: Drive, layer: str, sensor: str, frame: int) -> np.ndarray:
        """See `Drive.read`."""
        return _READ[layer](drive, sensor, frame)

    def file(self, drive: Drive, layer: str, sensor: str, frame: int) -> Location:
        """See `Drive.file`."""
        return _FILE[layer](drive, sensor, frame)

    def files_beside_masks(self, root: Location, name: str) -> list[Location]:
        """See `MaskWriter`."""
        return paths.files_beside_masks(root, name)

    def encode_mask(self, instance_map: np.ndarray) -> bytes:
        """See `MaskWriter`: KITTI-MOTS's ids."""
        return layers.encode_mask(instance_map)

    def truth(self, root: Location, name: str, kind: str) -> Any:
        """`TruthBoxes` in the world of the drive's own poses; of a drive that is open, see `truth_in`."""
        return self.truth_in(self.open(root, name, self.cameras[:1]), kind)

    def truth_in(self, drive: Drive, kind: str) -> Any:
        """`TruthBoxes` in the world of an open drive, whatever its poses."""
        if kind not in self.truths:
            raise InputError(f"KITTI's raw data has no true {kind}: there are {', '.join(self.truths)}")
        return read_truth(drive)

    def has_truth(self, root: Location, name: str, kind: str) -> bool:
        """Whether there are boxes of the tracking benchmark, or tracklets."""
        return kind == "boxes" and truth_file(root, name) is not None

    def split(self, name: str) -> str | None:
        """None: KITTI's divisions are of frames and not of drives."""
        return None

    def detail(self, drive: Drive, name: str) -> Any:
        """Folder of the `poses`, `T_cam_lidar` [4, 4] of the camera, or what other benchmarks say of the drive."""
        match name:
            case "poses":
                return paths.packet_folder(drive.root, drive.name)
            case "T_cam_lidar":
                T_cam_cam0 = read_camera(drive.root, drive.name, drive.camera.name).T_cam_cam0
                return T_cam_cam0 @ read_T_cam0_lidar(drive.root, drive.name)
            case "object_benchmark":
                return read_benchmark(drive)
            case "tracking_sequence":
                return paths.tracking_sequence(drive.name)
            case "annotation_file":
                return partial(paths.annotation_file, drive.name, drive.camera.name)
            case _:
                return None


SPEC = KITTIRaw()
