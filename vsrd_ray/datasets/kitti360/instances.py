"""Instance maps: 16-bit PNG files whose pixels are semantic id * 1000 + instance id (0: stuff)."""

import cv2
import numpy as np

from vsrd_ray.data.groups import Sequence
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.png import GRAYSCALE, check_chunks, parse_header, read_outline
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.storage import Location, read_bytes

IDS_PER_CLASS = 1000
# Cityscapes numbering, as in the masks; the box XML has another one.
SEMANTIC_CLASSES = {
    0: "unlabeled",
    1: "ego vehicle",
    2: "rectification border",
    3: "out of roi",
    4: "static",
    5: "dynamic",
    6: "ground",
    7: "road",
    8: "sidewalk",
    9: "parking",
    10: "rail track",
    11: "building",
    12: "wall",
    13: "fence",
    14: "guard rail",
    15: "bridge",
    16: "tunnel",
    17: "pole",
    18: "polegroup",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    29: "caravan",
    30: "trailer",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
    34: "garage",
    35: "gate",
    36: "stop",
    37: "smallpole",
    38: "lamp",
    39: "trash bin",
    40: "vending machine",
    41: "box",
    42: "unknown construction",
    43: "unknown vehicle",
    44: "unknown object",
}
# Of every value of a mask, whether it is an instance's.
IS_INSTANCE = np.arange(np.iinfo(np.uint16).max + 1) % IDS_PER_CLASS > 0
SEMANTIC_IDS = {name: number for number, name in SEMANTIC_CLASSES.items()}


def class_name(instance_id: int) -> str:
    """Class of an id such as 26001; "unlabeled" for numbers that KITTI-360 does not define."""
    return SEMANTIC_CLASSES.get(instance_id // IDS_PER_CLASS, SEMANTIC_CLASSES[0])


def read_instance_map(sequence: Sequence, frame: int) -> np.ndarray:
    """Instance map [H, W] uint16 of a frame: semantic id * 1000 + instance id.

    The frame's image is not needed, but where there is one, it has to be whole and of the same size.

    Raises:
        UnreadableFrameError: the mask or the image is truncated or corrupt; only this frame is lost.
        InputError: no mask, a mask of another depth, or a size that is not that of the calibration or the image.
    """
    path = paths.mask_file(sequence.root, sequence.name, sequence.camera, frame)
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no instance mask {path}: restore the file") from None
    header = parse_header(data, path)
    check_chunks(data, path)
    if (header.bit_depth, header.color_type) != (16, GRAYSCALE):
        kind = f"{header.bit_depth} bits" if header.color_type == GRAYSCALE else "colours"
        raise InputError(
            f"{path}: expected a mask of 16 bits in one channel, got {kind}: use KITTI-360's 'instance' folder"
        )
    if header.size != sequence.image_size:
        raise _size_error(path, got=header.size, expected=sequence.image_size, source="perspective.txt (S_rect)")
    _check_image(sequence, frame)
    instance_map = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if instance_map is None:
        raise UnreadableFrameError(f"{path}: the pixels cannot be decoded: restore the file")
    return instance_map


def _check_image(sequence: Sequence, frame: int) -> None:
    path = paths.image_file(sequence.root, sequence.name, sequence.camera, frame)
    try:
        header = read_outline(path)
    except FileNotFoundError:
        return
    if header.size != sequence.image_size:
        raise _size_error(path, got=header.size, expected=sequence.image_size, source="its instance mask")


def _size_error(path: Location, *, got: tuple[int, int], expected: tuple[int, int], source: str) -> InputError:
    sizes = f"expected {expected[0]} x {expected[1]} px as in {source}, got {got[0]} x {got[1]}"
    return InputError(f"{path}: {sizes}: give images, masks and calibration of one size")
