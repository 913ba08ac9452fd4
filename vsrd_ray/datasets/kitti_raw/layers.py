"""Pixels and points of a frame: images, KITTI-MOTS's masks, and LiDAR sweeps."""

import cv2
import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS, UNKNOWN
from vsrd_ray.data.drive import Drive
from vsrd_ray.data.png import check_gray16, decode_gray16
from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.datasets.kitti_raw.classes import IGNORE, MASKED
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.storage import Location, read_bytes

_FIELDS = 4  # x, y, z, reflectance


def image_file(drive: Drive, camera: str, frame: int) -> Location:
    """Where the image of a frame lies."""
    return paths.image_file(drive.root, drive.name, camera, frame)


def mask_file(drive: Drive, camera: str, frame: int) -> Location:
    """Where the mask of a frame lies, or would lie."""
    folder = paths.mask_folder(drive.root, drive.name)
    return (drive.root / "mots" / "instances" if folder is None else folder) / f"{frame:06d}.png"


def point_file(drive: Drive, sensor: str, frame: int) -> Location:
    """Where the sweep of a frame lies."""
    return paths.point_file(drive.root, drive.name, frame)


def read_image(drive: Drive, camera: str, frame: int) -> np.ndarray:
    """Image [H, W, 3] uint8 of a frame, BGR.

    Raises:
        UnreadableFrameError: the file cannot be decoded; only this frame is lost.
        InputError: no image, or one of another size than the calibration's.
    """
    path = image_file(drive, camera, frame)
    image = cv2.imdecode(np.frombuffer(_content(path, what="image"), dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UnreadableFrameError(f"{path}: the pixels cannot be decoded: restore the file")
    _check_size(drive, camera, path, (image.shape[1], image.shape[0]))
    return image


def read_mask(drive: Drive, camera: str, frame: int) -> np.ndarray:
    """Instance map [H, W] uint16 of a frame: class number * 1000 + instance number, which is KITTI-MOTS's and 1.

    What is to be ignored there is `UNKNOWN`.

    Raises:
        UnreadableFrameError: the mask is truncated or corrupt; only this frame is lost.
        InputError: no mask, a mask of another depth or size, or one with an id that KITTI-MOTS does not have.
    """
    path = mask_file(drive, camera, frame)
    data = _content(path, what="instance mask")
    header = check_gray16(data, path, fix="use KITTI-MOTS's folder 'instances'")
    _check_size(drive, camera, path, header.size)
    ids = decode_gray16(data, path)
    number = ids // IDS_PER_CLASS
    is_object, is_ignored = np.isin(number, MASKED), number == IGNORE
    if len(odd := ids[(ids > 0) & ~is_object & ~is_ignored]):
        raise InputError(f"{path}: {odd[0]} is no id of KITTI-MOTS (1000 + n: car, 2000 + n: pedestrian, 10000)")
    return np.select([is_object, is_ignored], [ids + 1, np.uint16(UNKNOWN)], 0).astype(np.uint16)


def encode_mask(instance_map: np.ndarray) -> bytes:
    """A PNG of KITTI-MOTS's ids, which `read_mask` gives as this instance map [H, W] uint16.

    KITTI-MOTS has cars and pedestrians; what is of another class is to be ignored there.
    """
    number = instance_map // IDS_PER_CLASS
    is_object = np.isin(number, MASKED) & (instance_map % IDS_PER_CLASS > 0)
    is_ignored = (instance_map == UNKNOWN) | (~is_object & (instance_map % IDS_PER_CLASS > 0))
    ids = np.select([is_object, is_ignored], [instance_map - 1, np.uint16(IGNORE * IDS_PER_CLASS)], 0)
    return cv2.imencode(".png", ids.astype(np.uint16))[1].tobytes()


def read_points(drive: Drive, sensor: str, frame: int) -> np.ndarray:
    """Sweep [P, 4] float32 of a frame: x, y, z in metres of the LiDAR (x ahead, y left, z up), and reflectance.

    Raises:
        UnreadableFrameError: the file ends within a point; only this frame is lost.
        InputError: no such file.
    """
    path = point_file(drive, sensor, frame)
    data = _content(path, what="LiDAR sweep")
    if len(data) % (4 * _FIELDS):
        raise UnreadableFrameError(f"{path}: {len(data)} bytes are no whole number of points: restore the file")
    return np.frombuffer(data, dtype="<f4").reshape(-1, _FIELDS).astype(np.float32)


def _content(path: Location, *, what: str) -> bytes:
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no {what} {path}: restore the file") from None
    if not data:
        raise UnreadableFrameError(f"{path}: the file is empty: restore it")
    return data


def _check_size(drive: Drive, camera: str, path: Location, got: tuple[int, int]) -> None:
    expected = drive.cameras[camera].image_size
    if got != expected:
        raise InputError(
            f"{path}: expected {expected[0]} x {expected[1]} px as in calib_cam_to_cam.txt (S_rect), got {got[0]} x "
            f"{got[1]}: give images, masks and calibration of one size"
        )
