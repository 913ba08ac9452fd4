"""Pixels of one's own drives: images, video frames, and 16-bit instance masks."""

import cv2
import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.png import check_gray16, decode_gray16
from vsrd_ray.datasets.folder import paths
from vsrd_ray.datasets.folder.film import read_film
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.storage import Location, read_bytes

# Pixels as the file has them, as tools of structure from motion read them: cameras' notes on turning are left alone.
_COLOURS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def read_image(drive: Drive, camera: str, frame: int, path: Location) -> np.ndarray:
    """Image [H, W, 3] uint8 of a frame, BGR.

    Raises:
        UnreadableFrameError: the file cannot be decoded; only this frame is lost.
        InputError: no image, or one of another size than the camera's.
    """
    if path.name.lower().endswith(paths.VIDEO_SUFFIXES):
        image = read_film(path, frame)
    else:
        data = np.frombuffer(_bytes(path, what="image"), dtype=np.uint8)
        decoded = cv2.imdecode(data, _COLOURS) if len(data) else None
        if decoded is None:
            raise UnreadableFrameError(f"{path}: the pixels cannot be decoded: restore the file")
        image = decoded
    _check_size(path, (image.shape[1], image.shape[0]), drive.cameras[camera].image_size)
    return image


def read_mask(drive: Drive, camera: str, path: Location) -> np.ndarray:
    """Instance map [H, W] uint16: class * 1000 + instance.

    Raises:
        UnreadableFrameError: the file is truncated or corrupt; only this frame is lost.
        InputError: no mask, or one of another depth or size.
    """
    data = _bytes(path, what="instance mask")
    header = check_gray16(data, path, fix="write class * 1000 + instance as 16-bit PNG")
    _check_size(path, header.size, drive.cameras[camera].image_size)
    return decode_gray16(data, path)


def _bytes(path: Location, *, what: str) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no {what} {path}: restore the file") from None


def _check_size(path: Location, got: tuple[int, int], expected: tuple[int, int]) -> None:
    if got != expected:
        raise InputError(
            f"{path}: expected {expected[0]} x {expected[1]} px as the camera has, got {got[0]} x {got[1]}: give "
            "images, masks and intrinsics of one size"
        )
