"""Instance maps: 16-bit PNG files whose pixels are semantic id * 1000 + instance id (0: stuff)."""

import cv2
import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.png import check_gray16, decode_gray16, read_outline
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location, read_bytes


def read_instance_map(drive: Drive, camera: str, frame: int) -> np.ndarray:
    """Instance map [H, W] uint16 of a frame: semantic id * 1000 + instance id.

    The frame's image is not needed, but where there is one that can be read, it has to be whole and of the same size.

    Raises:
        UnreadableFrameError: the mask or the image is truncated or corrupt; only this frame is lost.
        InputError: no mask, a mask of another depth, or a size that is not that of the calibration or the image.
    """
    path = paths.mask_file(drive.root, drive.name, camera, frame)
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no instance mask {path}: restore the file") from None
    header = check_gray16(data, path, fix="use KITTI-360's 'instance' folder")
    if header.size != drive.cameras[camera].image_size:
        raise _size_error(
            path, got=header.size, expected=drive.cameras[camera].image_size, source="perspective.txt (S_rect)"
        )
    _check_image(drive, camera, frame)
    return decode_gray16(data, path)


def encode_instance_map(
    instance_map: np.ndarray,  # [H, W] uint16
) -> bytes:
    """A PNG file of 16 bits in one channel."""
    _, encoded = cv2.imencode(".png", instance_map)
    return encoded.tobytes()


def _check_image(drive: Drive, camera: str, frame: int) -> None:
    path = paths.image_file(drive.root, drive.name, camera, frame)
    try:
        header = read_outline(path)
    except OSError:  # none is there, or none that may be read
        return
    if header.size != drive.cameras[camera].image_size:
        raise _size_error(path, got=header.size, expected=drive.cameras[camera].image_size, source="its instance mask")


def _size_error(path: Location, *, got: tuple[int, int], expected: tuple[int, int], source: str) -> InputError:
    sizes = f"expected {expected[0]} x {expected[1]} px as in {source}, got {got[0]} x {got[1]}"
    return InputError(f"{path}: {sizes}: give images, masks and calibration of one size")
