"""Where KITTI's raw data keeps its files. The only module that spells a path of the dataset.

Every function takes ROOT (the folder that holds `2011_09_26` and the like) first, and a drive by its whole name.
"""

import re
from collections.abc import Iterable

from vsrd_ray.storage import Location, files_below, is_folder

CAMERAS = ("image_02", "image_03")
LIDAR = "velodyne"
MASKED_CAMERA = "image_02"  # the one that KITTI-MOTS's masks are of
DATE = re.compile(r"[0-9]{4}_[0-9]{2}_[0-9]{2}")
_DRIVE = re.compile(r"([0-9]{4}_[0-9]{2}_[0-9]{2})_drive_([0-9]{4})_sync")

# Sequences of the tracking benchmark, and thus of KITTI-MOTS, in order: frames are those of the raw drives.
_TRACKED = {
    "2011_09_26": (5, 9, 11, 13, 14, 15, 18, 22, 32, 36, 56, 59, 60, 91),
    "2011_09_28": (1, 2, 21, 43),
    "2011_09_29": (4, 71),
    "2011_10_03": (47,),
}
_SEQUENCES = {
    drive: number
    for number, drive in enumerate((date, number) for date, numbers in _TRACKED.items() for number in numbers)
}


def date_and_number(name: str) -> tuple[str, int] | None:
    """("2011_09_26", 9) of `2011_09_26_drive_0009_sync`; None of names that are no synchronised drive's."""
    match = _DRIVE.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def tracking_sequence(name: str) -> int | None:
    """Number of the drive's sequence in the tracking benchmark; None where it has none."""
    drive = date_and_number(name)
    return None if drive is None else _SEQUENCES.get(drive)


def date_folder(root: Location, name: str) -> Location:
    """The folder of the drive's day, with its calibration."""
    return root / name[:10]


def calibration_file(root: Location, name: str) -> Location:
    """Intrinsics of the cameras."""
    return date_folder(root, name) / "calib_cam_to_cam.txt"


def lidar_calibration_file(root: Location, name: str) -> Location:
    """LiDAR to camera 0 before rectification."""
    return date_folder(root, name) / "calib_velo_to_cam.txt"


def imu_calibration_file(root: Location, name: str) -> Location:
    """IMU to LiDAR."""
    return date_folder(root, name) / "calib_imu_to_velo.txt"


def drive_folder(root: Location, name: str) -> Location:
    """All of a drive but its calibration."""
    return date_folder(root, name) / name


def image_folder(root: Location, name: str, camera: str) -> Location:
    """Rectified images of one camera."""
    return drive_folder(root, name) / camera / "data"


def image_file(root: Location, name: str, camera: str, frame: int) -> Location:
    """Rectified image of one frame."""
    return image_folder(root, name, camera) / f"{frame:010d}.png"


def image_times_file(root: Location, name: str, camera: str) -> Location:
    """When images were taken, a line a frame."""
    return drive_folder(root, name) / camera / "timestamps.txt"


def packet_folder(root: Location, name: str) -> Location:
    """OxTS packets."""
    return drive_folder(root, name) / "oxts" / "data"


def packet_file(root: Location, name: str, frame: int) -> Location:
    """OxTS packet of one frame."""
    return packet_folder(root, name) / f"{frame:010d}.txt"


def packet_times_file(root: Location, name: str) -> Location:
    """When packets were measured, a line a frame."""
    return drive_folder(root, name) / "oxts" / "timestamps.txt"


def point_folder(root: Location, name: str) -> Location:
    """LiDAR sweeps."""
    return drive_folder(root, name) / "velodyne_points" / "data"


def point_file(root: Location, name: str, frame: int) -> Location:
    """LiDAR sweep of one frame."""
    return point_folder(root, name) / f"{frame:010d}.bin"


def point_times_file(root: Location, name: str) -> Location:
    """When sweeps looked ahead, a line a frame."""
    return drive_folder(root, name) / "velodyne_points" / "timestamps.txt"


def tracklets_file(root: Location, name: str) -> Location:
    """3D boxes of the drive, where people drew some."""
    return drive_folder(root, name) / "tracklet_labels.xml"


def tracking_files(root: Location, name: str) -> list[Location]:
    """Where the tracking benchmark's 3D boxes of the drive may lie; nowhere for drives that are not in it."""
    number = tracking_sequence(name)
    folders = [root / "tracking" / "label_02", root / "tracking" / "training" / "label_02", root / "label_02"]
    return [] if number is None else [folder / f"{number:04d}.txt" for folder in folders]


def mapping_files(root: Location) -> tuple[Location, Location]:
    """Of the object benchmark's development kit: raw frames of its images, and their order."""
    return root / "object" / "mapping" / "train_mapping.txt", root / "object" / "mapping" / "train_rand.txt"


def validation_files(root: Location) -> list[Location]:
    """Where the list of the object benchmark's images for validation may lie."""
    return [root / "object" / "ImageSets" / "val.txt", root / "ImageSets" / "val.txt"]


def object_label_folders(root: Location) -> list[Location]:
    """Where people's labels of the object benchmark may lie."""
    return [root / "object" / "training" / "label_2", root / "object" / "label_2"]


def annotation_file(name: str, camera: str, frame: int) -> str:
    """Way from a root to an annotation of VSRD's first version."""
    folder = f"annotations{camera.removeprefix('image')}"
    return f"{name[:10]}/{name}/{folder}/data/{frame:010d}.json"


def files_beside_masks(root: Location, name: str) -> list[Location]:
    """All files of a drive but its masks: calibration, what lies in its folder, and the tracking benchmark's boxes."""
    files = [calibration_file(root, name), lidar_calibration_file(root, name), imu_calibration_file(root, name)]
    files += [file for file in tracking_files(root, name) if file.is_file()]
    return files + list(files_below(drive_folder(root, name)))


def mask_folder(root: Location, name: str) -> Location | None:
    """KITTI-MOTS's PNG masks of camera 02, in whichever place they are; None where there are none."""
    number = tracking_sequence(name)
    folders = [root / "mots" / "instances", root / "instances"]
    places = [] if number is None else [folder / f"{number:04d}" for folder in folders]
    return next((place for place in places if is_folder(place)), None)


def frames_among(names: Iterable[str], *, suffix: str, digits: int = 10) -> tuple[int, ...]:
    """Frame numbers, ascending, that files with a suffix are named after; other names are left out."""
    stems = (name.removesuffix(suffix) for name in names if name.endswith(suffix))
    return tuple(sorted(int(stem) for stem in stems if len(stem) == digits and stem.isdecimal() and stem.isascii()))
