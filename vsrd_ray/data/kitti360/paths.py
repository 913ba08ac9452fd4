"""Where KITTI-360 keeps its files. The only module that spells a path of the dataset.

Every function takes ROOT (the folder that holds `data_2d_raw`, `calibration`, …) first.
"""

from pathlib import Path

IMAGE_CAMERAS = ("image_00", "image_01")


def calibration_file(root: Path) -> Path:
    """Intrinsics of the rectified perspective cameras."""
    return root / "calibration" / "perspective.txt"


def poses_root(root: Path) -> Path:
    """The folder with one sub-folder of poses for each sequence."""
    return root / "data_poses"


def poses_file(root: Path, sequence: str) -> Path:
    """Poses of the rectified camera 0, camera to world."""
    return poses_root(root) / sequence / "cam0_to_world.txt"


def image_folder(root: Path, sequence: str, camera: str) -> Path:
    """RGB images of one camera."""
    return root / "data_2d_raw" / sequence / camera / "data_rect"


def image_file(root: Path, sequence: str, camera: str, frame: int) -> Path:
    """RGB image of one frame."""
    return image_folder(root, sequence, camera) / f"{frame:010d}.png"


def masks_root(root: Path) -> Path:
    """The folder with one sub-folder of masks for each sequence."""
    return root / "data_2d_semantics" / "train"


def mask_folder(root: Path, sequence: str, camera: str) -> Path:
    """16-bit instance masks of one camera."""
    return masks_root(root) / sequence / camera / "instance"


def mask_file(root: Path, sequence: str, camera: str, frame: int) -> Path:
    """16-bit instance mask of one frame, semantic id * 1000 + instance id."""
    return mask_folder(root, sequence, camera) / f"{frame:010d}.png"


def boxes_file(root: Path, sequence: str) -> Path:
    """3D bounding boxes: truth, read by evaluation and by nothing that labels."""
    return root / "data_3d_bboxes" / "train" / f"{sequence}.xml"


def annotation_file(root: Path, sequence: str, camera: str, frame: int) -> Path:
    """Annotation JSON of the published tools."""
    return root / "annotations" / sequence / camera / "data_rect" / f"{frame:010d}.json"


def annotation_index_file(root: Path, sequence: str, camera: str) -> Path:
    """The index that the research commands keep beside the annotations."""
    return root / "annotations" / ".index" / f"{sequence}.{camera}.parquet"


def filenames_folder(root: Path, sequence: str, split: str) -> Path:
    """Grouping text files of the published tools; `split` is a name such as R50-N16-M128-B16."""
    return root / "filenames" / split / sequence


def frame_of(path: Path) -> int:
    """Frame number that a file is named after."""
    return int(path.stem)
