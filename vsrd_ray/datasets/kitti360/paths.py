"""Where KITTI-360 keeps its files. The only module that spells a path of the dataset.

Every function takes ROOT (the folder that holds `data_2d_raw`, `calibration`, …) first.
"""

import re
from collections.abc import Iterable

from vsrd_ray.storage import Location, files_below, folders_in, is_folder

IMAGE_CAMERAS = ("image_00", "image_01")
FISHEYES = ("image_02", "image_03")  # to the left and to the right
_MASKS = "instance"  # the folder of a camera's masks
_FRAME = re.compile("[0-9]{10}")


def calibration_file(root: Location) -> Location:
    """Intrinsics of the rectified perspective cameras."""
    return root / "calibration" / "perspective.txt"


def lidar_calibration_file(root: Location) -> Location:
    """Unrectified camera 0 to LiDAR; only KITTI text for detectors that use points asks for it."""
    return root / "calibration" / "calib_cam_to_velo.txt"


def fisheye_calibration_file(root: Location, camera: str) -> Location:
    """The projection of a fisheye camera."""
    return root / "calibration" / f"{camera}.yaml"


def camera_poses_file(root: Location) -> Location:
    """Where the four cameras, unrectified, are on the car."""
    return root / "calibration" / "calib_cam_to_pose.txt"


def poses_root(root: Location) -> Location:
    """The folder with one sub-folder of poses for each sequence."""
    return root / "data_poses"


def poses_file(root: Location, sequence: str) -> Location:
    """Poses of the rectified camera 0, camera to world."""
    return poses_root(root) / sequence / "cam0_to_world.txt"


def images_root(root: Location) -> Location:
    """The folder with one sub-folder of images for each sequence."""
    return root / "data_2d_raw"


def image_folder(root: Location, sequence: str, camera: str) -> Location:
    """RGB images of one camera; of a fisheye, as it sees."""
    return images_root(root) / sequence / camera / ("data_rgb" if camera in FISHEYES else "data_rect")


def image_file(root: Location, sequence: str, camera: str, frame: int) -> Location:
    """RGB image of one frame."""
    return image_folder(root, sequence, camera) / f"{frame:010d}.png"


def masks_root(root: Location) -> Location:
    """The folder with one sub-folder of masks for each sequence."""
    return root / "data_2d_semantics" / "train"


def mask_folder(root: Location, sequence: str, camera: str) -> Location:
    """16-bit instance masks of one camera."""
    return masks_root(root) / sequence / camera / _MASKS


def mask_file(root: Location, sequence: str, camera: str, frame: int) -> Location:
    """16-bit instance mask of one frame, semantic id * 1000 + instance id."""
    return mask_folder(root, sequence, camera) / f"{frame:010d}.png"


def semantic_folder(root: Location, sequence: str, camera: str) -> Location:
    """8-bit class maps of one camera."""
    return masks_root(root) / sequence / camera / "semantic"


def semantic_file(root: Location, sequence: str, camera: str, frame: int) -> Location:
    """8-bit class map of one frame."""
    return semantic_folder(root, sequence, camera) / f"{frame:010d}.png"


def depth_folder(root: Location, sequence: str, camera: str) -> Location:
    """16-bit depth maps of one camera, as the built-in street has them; KITTI-360 has none."""
    return root / "data_2d_depth" / sequence / camera


def depth_file(root: Location, sequence: str, camera: str, frame: int) -> Location:
    """16-bit depth map of one frame, 256ths of a metre."""
    return depth_folder(root, sequence, camera) / f"{frame:010d}.png"


def occupancy_folder(root: Location, sequence: str) -> Location:
    """True voxels, of the built-in street; KITTI-360 has none."""
    return root / "data_3d_occupancy" / sequence


def timestamps_file(root: Location, sequence: str, camera: str) -> Location:
    """Times of a camera's images, a line each."""
    return root / "data_2d_raw" / sequence / camera / "timestamps.txt"


def sweep_folder(root: Location, sequence: str) -> Location:
    """Sweeps of the LiDAR."""
    return root / "data_3d_raw" / sequence / "velodyne_points" / "data"


def sweep_file(root: Location, sequence: str, frame: int) -> Location:
    """The points of one sweep."""
    return sweep_folder(root, sequence) / f"{frame:010d}.bin"


def lidar_poses_file(root: Location, sequence: str) -> Location:
    """LiDAR to world at the sweeps' own times, as the built-in street has it; KITTI-360 has none."""
    return poses_root(root) / sequence / "velodyne_to_world.txt"


def point_label_folder(root: Location, sequence: str) -> Location:
    """What the LiDAR's points truly are, of the built-in street; KITTI-360 has none."""
    return root / "data_3d_labels" / sequence / "velodyne_points"


def boxes_file(root: Location, sequence: str) -> Location:
    """3D bounding boxes: truth, read by evaluation and by nothing that labels."""
    return root / "data_3d_bboxes" / "train" / f"{sequence}.xml"


def window_folder(root: Location, sequence: str) -> Location:
    """Accumulated point clouds of a sequence's windows, `<first frame>_<last frame>.ply`; only their names matter."""
    return root / "data_3d_semantics" / "train" / sequence / "static"


def annotation_folder(root: Location, sequence: str, camera: str) -> Location:
    """Annotation JSON files of the published tools."""
    return root / "annotations" / sequence / camera / "data_rect"


def annotation_file(root: Location, sequence: str, camera: str, frame: int) -> Location:
    """Annotation JSON of one frame."""
    return annotation_folder(root, sequence, camera) / f"{frame:010d}.json"


def annotation_index_file(root: Location, sequence: str, camera: str) -> Location:
    """The index that the research commands keep beside the annotations."""
    return root / "annotations" / ".index" / f"{sequence}.{camera}.parquet"


def filenames_folder(root: Location, sequence: str, split: str) -> Location:
    """Grouping text files of the published tools; `split` is a name such as R50-N16-M128-B16."""
    return root / "filenames" / split / sequence


def files_beside_masks(root: Location, sequence: str) -> list[Location]:
    """All files of a sequence in folders `data_*`, and of the calibration, but for masks; sorted.

    Annotations and groupings of the published tools, which are made of masks, lie elsewhere.
    """
    tops = [root / name for name in folders_in(root) if name.startswith("data_")]
    places = [place for top in tops for place in (top, *(top / name for name in folders_in(top)))]
    folders = [calibration_file(root).parent, *(place / sequence for place in places)]
    files = [file for folder in folders if is_folder(folder) for file in files_below(folder)]
    masks = masks_root(root) / sequence
    files = [file for file in files if not (file.parent.name == _MASKS and masks in file.parents)]
    boxes = boxes_file(root, sequence)
    return sorted([*files, boxes] if boxes.exists() else files)


def frames_among(names: Iterable[str], *, suffix: str) -> list[int]:
    """Frame numbers, ascending, that files with a suffix are named after; other names are left out."""
    stems = (name.removesuffix(suffix) for name in names if name.endswith(suffix))
    return sorted(int(stem) for stem in stems if _FRAME.fullmatch(stem))
