"""3D boxes of KITTI-360, from `data_3d_bboxes/train/<sequence>.xml`: the truth.

Evaluation, pictures and the research commands read them, all by one rule; nothing that labels does. An entry counts if
it is a box of known class, instance and time that stands upright, to some degrees. Of several that count for one
instance and timestamp the last one stays, as in the published tools. In a frame, an instance's entry of that frame goes
before its static one. What does not count is left out, counted by reason, and told.
Shapes: N boxes.
"""

import logging
import math
from collections import Counter
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.data.drive import LAST_FRAME
from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.datasets.kitti360.downloads import no_boxes
from vsrd_ray.errors import InputError, one_line
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes, wrap_angle
from vsrd_ray.storage import Location, read_bytes

logger = logging.getLogger(__name__)

# The XML numbers classes in its own way.
XML_CLASSES = {
    1: "road",
    2: "parking",
    3: "sidewalk",
    4: "terrain",
    5: "vegetation",
    6: "gate",
    7: "wall",
    8: "fence",
    9: "sky",
    10: "rail track",
    11: "building",
    12: "garage",
    13: "car",
    14: "truck",
    15: "trailer",
    16: "caravan",
    17: "motorcycle",
    18: "bicycle",
    19: "person",
    20: "rider",
    21: "pole",
    22: "smallpole",
    23: "traffic light",
    24: "traffic sign",
    25: "lamp",
    26: "trash bin",
    27: "vending machine",
    28: "box",
    29: "stop",
    30: "guard rail",
    31: "bridge",
    32: "tunnel",
    33: "train",
    34: "bus",
    35: "unknown construction",
    36: "unknown vehicle",
    37: "unknown object",
}
# XML vertices in the corner order of geometry/boxes.py, and the vertices themselves (x forward, y left, z up).
_CORNER_ORDER = [0, 2, 7, 5, 1, 3, 6, 4]
_UNIT_VERTICES = (
    np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [1, -1, -1], [-1, 1, -1], [-1, 1, 1], [-1, -1, -1], [-1, -1, 1]]) / 2
)
_MAX_TILT_DEG = 5.0  # an upright box in place of one that is tilted so much has an IoU of about .9 with it
_MAX_SKEW = 0.02  # radians by which the sides of a box may be off square to each other
_LEAST_SIDE = 1e-3  # metres
_FARTHEST = 1e8  # metres from the origin of any world
_NO_NUMBER = -(1 << 62)  # an id of nothing
_TWINS = 0.01  # metres by which entries for the same object may differ, and not contradict each other

_ROOT = "opencv_storage"
# Why an entry is left out.
_CLASS = "of an unknown class"
_INSTANCE = f"with an instance id not from 1 to {IDS_PER_CLASS - 1}"
_TIME = "with a timestamp that is no frame"
_VERTICES = "without the eight vertices of a box"
_TRANSFORM = "with a transform that places nothing"
_FLAT = "without a volume"
_SKEWED = "with sides that are not square"
_MIRRORED = "mirrored"
_TILTED = f"tilted by more than {_MAX_TILT_DEG:g} degrees"
_REPEATED = "repeated by a later one"
_CONTRADICTED = "contradicted by a later one of the same instance and time"


@dataclass(frozen=True)
class TruthObject:
    """One object of the XML, which stands upright to some degrees."""

    instance_id: int  # semantic id * 1000 + instance id, numbered as in the masks
    timestamp: int  # frame, or STATIC
    T_world_obj: np.ndarray  # [4, 4] float64; the columns hold the size too: it maps the unit box [-.5, .5]^3

    @property
    def corners_world(self) -> np.ndarray:
        """[8, 3] float64, metres, in the order of geometry/boxes.py."""
        return rigid.apply(self.T_world_obj, _UNIT_VERTICES[_CORNER_ORDER])


def read_boxes(root: Location, sequence: str) -> TruthBoxes:
    """The boxes of `read_objects`, in its order, each as the upright one of its centre, sizes and heading.

    Raises:
        InputError: see `read_objects`.
    """
    objects, skipped = read_objects(root, sequence)
    transforms = np.array([entry.T_world_obj for entry in objects]).reshape(-1, 4, 4)
    ids = [entry.instance_id for entry in objects]
    return TruthBoxes(
        instance_ids=np.array(ids, dtype=np.int32),
        class_names=tuple(CLASSES.name_of(instance_id) for instance_id in ids),
        boxes=UprightBoxes(
            transforms[:, :3, 3],
            np.linalg.norm(transforms[:, :3, :3], axis=1),
            wrap_angle(np.arctan2(transforms[:, 1, 0], transforms[:, 0, 0])),
        ),
        timestamps=np.array([entry.timestamp for entry in objects], dtype=np.int32),
        skipped=skipped,
    )


def read_objects(root: Location, sequence: str) -> tuple[list[TruthObject], dict[str, int]]:
    """The objects of a sequence that count, in the order of the file, and the number of all others by reason.

    An instance has one for each timestamp. What is left out, or contradicts itself, is told in a warning.

    Raises:
        InputError: no such file, or one that is no box XML of KITTI-360.
    """
    path = paths.boxes_file(root, sequence)
    skipped: Counter[str] = Counter()
    objects: dict[tuple[int, int], TruthObject] = {}
    for element in _read_xml(path, root, sequence):
        entry = _parse_object(element)
        if isinstance(entry, str):
            skipped[entry] += 1
            continue
        key = (entry.instance_id, entry.timestamp)
        if (other := objects.pop(key, None)) is not None:
            is_twin = np.abs(other.corners_world - entry.corners_world).max() <= _TWINS
            skipped[_REPEATED if is_twin else _CONTRADICTED] += 1
        objects[key] = entry
    if skipped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
        logger.warning("%s: %d of its objects are left out: %s.", path, skipped.total(), reasons)
    moving = {instance_id for instance_id, timestamp in objects if timestamp != STATIC}
    if both := sum((instance_id, STATIC) in objects for instance_id in moving):
        logger.warning(
            "%s: %d instances have a static box and boxes of frames: in these frames, the latter count.", path, both
        )
    return list(objects.values()), dict(skipped)


def _read_xml(path: Location, root: Location, sequence: str) -> ElementTree.Element:
    try:
        tree = ElementTree.fromstring(read_bytes(path), ElementTree.XMLParser(target=_BuilderWithoutDoctype()))
    except FileNotFoundError:
        raise InputError(no_boxes(root, sequence)) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)}): restore the file") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path}: not well-formed XML ({error}): download it again") from None
    if tree.tag != _ROOT:
        raise InputError(
            f"{path}: no box XML of KITTI-360, since its root element is <{tree.tag}> in place of <{_ROOT}>: "
            "download it again"
        )
    return tree


class _BuilderWithoutDoctype(ElementTree.TreeBuilder):
    """Builds trees from files without a document type, so that a file cannot define entities."""

    def doctype(self, name: str, pubid: str, system: str) -> None:
        raise ValueError(f"document type {name!r} is not expected")


def _parse_object(element: ElementTree.Element) -> TruthObject | str:
    """The object of an entry, or why there is none."""
    class_name = XML_CLASSES.get(_whole_number(element.findtext("semanticId", "")))
    instance_id = _whole_number(element.findtext("instanceId", ""))
    timestamp = _whole_number(element.findtext("timestamp", str(STATIC)))
    T_world_obj = _matrix(element, "transform", columns=4)
    vertices = _matrix(element, "vertices", columns=3)
    if class_name is None:
        return _CLASS
    if not 0 < instance_id < IDS_PER_CLASS:
        return _INSTANCE
    if timestamp != STATIC and not 0 <= timestamp <= LAST_FRAME:
        return _TIME
    if vertices.shape != (8, 3) or not np.allclose(vertices, _UNIT_VERTICES, atol=1e-3):
        return _VERTICES
    is_placement = T_world_obj.shape == (4, 4) and np.allclose(T_world_obj[3], [0, 0, 0, 1])
    if not is_placement or not np.abs(T_world_obj).max() < _FARTHEST:
        return _TRANSFORM
    reason = _why_not_upright(T_world_obj[:3, :3])
    return reason or TruthObject(CLASSES.first_id(class_name) + instance_id, timestamp, T_world_obj)


def _whole_number(text: str) -> int:
    """An integer, which may be written as 7. or 7.0; a large negative one for what is none."""
    try:
        number = float(text)
    except ValueError:
        return _NO_NUMBER
    return int(number) if number.is_integer() else _NO_NUMBER


def _matrix(element: ElementTree.Element, name: str, *, columns: int) -> np.ndarray:
    """The numbers of an OpenCV matrix, [rows, columns] float64; no rows where there is none."""
    values = element.findtext(f"{name}/data", "").split()
    try:
        return np.array([float(value) for value in values]).reshape(-1, columns)
    except ValueError:
        return np.empty((0, columns))


def _why_not_upright(axes: np.ndarray) -> str | None:
    """Why a box with some axes [3, 3], as long as its sides, does not count; None if it does."""
    lengths = np.linalg.norm(axes, axis=0)
    if lengths.min() < _LEAST_SIDE:
        return _FLAT
    R = axes / lengths
    if np.abs(R.T @ R - np.eye(3)).max() >= _MAX_SKEW:
        return _SKEWED
    if np.linalg.det(R) < 0:
        return _MIRRORED
    return None if R[2, 2] >= math.cos(math.radians(_MAX_TILT_DEG)) else _TILTED
