"""Maps of depth and of classes beside KITTI-360's images, and true voxels: the built-in street's, or SSCBench's.

Shapes: H x W pixels, X x Y x Z voxels.
"""

from io import BytesIO
from zipfile import BadZipFile

import cv2
import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.png import GRAYSCALE, check_gray16, decode_gray16, parse_header
from vsrd_ray.data.truth import TrueVoxels, TruthVoxels
from vsrd_ray.datasets.kitti360 import paths, sscbench
from vsrd_ray.errors import InputError, UnreadableFrameError, one_line
from vsrd_ray.storage import Location, names_in, read_bytes

DEPTH_STEPS = 256  # of 16-bit depth maps, a metre


def read_depth(drive: Drive, camera: str, frame: int) -> np.ndarray:
    """Depth [H, W] float32 of a frame, metres along the optical axis; 0 where unknown.

    Raises:
        UnreadableFrameError: the file is truncated or corrupt; only this frame is lost.
        InputError: no file, or one of another kind or size than the camera's images.
    """
    path = paths.depth_file(drive.root, drive.name, camera, frame)
    data = _bytes(path, "depth map")
    header = check_gray16(data, path, fix="give depth in 256ths of a metre")
    _check_size(path, header.size, drive.cameras[camera].image_size)
    return decode_gray16(data, path).astype(np.float32) / DEPTH_STEPS


def read_semantics(drive: Drive, camera: str, frame: int) -> np.ndarray:
    """Class numbers [H, W] uint8 of a frame, KITTI-360's, which are Cityscapes' ids.

    Raises:
        UnreadableFrameError: the file is truncated or corrupt; only this frame is lost.
        InputError: no file, or one of another kind or size than the camera's images.
    """
    path = paths.semantic_file(drive.root, drive.name, camera, frame)
    data = _bytes(path, "semantic map")
    header = parse_header(data, path)
    if (header.bit_depth, header.color_type) != (8, GRAYSCALE):
        raise InputError(f"{path}: expected class ids of 8 bits in one channel: use KITTI-360's 'semantic' folder")
    _check_size(path, header.size, drive.cameras[camera].image_size)
    values = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise UnreadableFrameError(f"{path}: the pixels cannot be decoded: restore the file")
    known = {one.number for one in drive.classes}
    if strange := sorted(set(np.unique(values).tolist()) - known):
        raise InputError(f"{path}: class id {strange[0]} is none of KITTI-360's, 0 to {max(known)}: map it to one")
    return values


def truth_of_voxels(root: Location, sequence: str) -> TruthVoxels | None:
    """What truly fills the voxels of a drive; None where nothing tells, as in KITTI-360 without SSCBench's files."""
    folder = paths.occupancy_folder(root, sequence)
    frames = paths.frames_among(names_in(folder), suffix=".npz")
    if frames:
        return TruthVoxels({frame: folder / f"{frame:010d}.npz" for frame in frames}, read_voxels)
    return sscbench.truth_of_voxels(root, sequence)


def read_voxels(path: Location) -> TrueVoxels:
    """True voxels of the built-in street, of one frame.

    Raises:
        UnreadableFrameError: the file is truncated or corrupt.
        InputError: it holds no voxels.
    """
    try:
        with np.load(BytesIO(read_bytes(path)), allow_pickle=False) as arrays:
            return TrueVoxels(
                semantics=arrays["semantics"],
                mask_camera=arrays["mask_camera"] > 0,
                mask_lidar=arrays["mask_lidar"] > 0,
                range=arrays["range"],
                voxel_size=float(arrays["voxel_size"]),
                T_world_grid=arrays["T_world_grid"],
            )
    except (BadZipFile, ValueError, EOFError) as error:
        raise UnreadableFrameError(f"{path}: no .npz of arrays ({one_line(error)}): restore the file") from error
    except KeyError as error:
        raise InputError(f"{path}: no array {error}: expected voxels of the built-in street") from None


def _bytes(path: Location, what: str) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no {what} {path}: restore the file") from None


def _check_size(path: Location, got: tuple[int, int], expected: tuple[int, int]) -> None:
    if got != expected:
        raise InputError(
            f"{path}: expected {expected[0]} x {expected[1]} px as in perspective.txt (S_rect), "
            f"got {got[0]} x {got[1]}: give maps as large as the images"
        )
