"""3D boxes of KITTI-360, from `data_3d_bboxes/train/<sequence>.xml`: the truth.

Evaluation, pictures and the research commands read them; nothing that labels does.
Shapes: N boxes.
"""

from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes, wrap_angle
from vsrd_ray.storage import Location, read_bytes

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
# A box counts as upright, and its sides as square to each other, up to this angle in radians.
_MAX_TILT = 0.02


@dataclass(frozen=True)
class TruthObject:
    """One object of the XML that has the eight vertices of a box."""

    instance_id: int  # semantic id * 1000 + instance id, numbered as in the masks
    timestamp: int  # frame, or STATIC
    T_world_obj: np.ndarray  # [4, 4] float64; the columns hold the size too: it maps the unit box [-.5, .5]^3

    @property
    def corners_world(self) -> np.ndarray:
        """[8, 3] float64, metres, in the order of geometry/boxes.py."""
        return rigid.apply(self.T_world_obj, _UNIT_VERTICES[_CORNER_ORDER])


def read_boxes(root: Location, sequence: str) -> TruthBoxes:
    """The upright boxes of a sequence, in the order of the file.

    An object without the eight vertices of a box, with a rotation that is more than a yaw, or of an unknown class is
    left out and counted.

    Raises:
        InputError: no such file, or one that is not well-formed XML.
    """
    objects, num_skipped = read_objects(root, sequence)
    upright = [entry for entry in objects if _is_upright(entry.T_world_obj)]
    transforms = np.array([entry.T_world_obj for entry in upright]).reshape(-1, 4, 4)
    ids = [entry.instance_id for entry in upright]
    return TruthBoxes(
        instance_ids=np.array(ids, dtype=np.int32),
        class_names=tuple(CLASSES.name_of(instance_id) for instance_id in ids),
        boxes=UprightBoxes(
            transforms[:, :3, 3],
            np.linalg.norm(transforms[:, :3, :3], axis=1),
            wrap_angle(np.arctan2(transforms[:, 1, 0], transforms[:, 0, 0])),
        ),
        timestamps=np.array([entry.timestamp for entry in upright], dtype=np.int32),
        num_skipped=num_skipped + len(objects) - len(upright),
    )


def read_objects(root: Location, sequence: str) -> tuple[list[TruthObject], int]:
    """The objects of a sequence that have the vertices of a box, upright or not, and the number of all others.

    Raises:
        InputError: no such file, or one that is not well-formed XML.
    """
    path = paths.boxes_file(root, sequence)
    try:
        tree = ElementTree.fromstring(read_bytes(path), ElementTree.XMLParser(target=_BuilderWithoutDoctype()))
    except FileNotFoundError:
        raise InputError(f"no 3D boxes {path}: download KITTI-360's 3D bounding boxes into the root folder") from None
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: not well-formed XML ({error}): download it again") from None
    parsed = [_parse_object(element) for element in tree]
    objects = [entry for entry in parsed if entry is not None]
    return objects, len(parsed) - len(objects)


class _BuilderWithoutDoctype(ElementTree.TreeBuilder):
    """Builds trees from files without a document type, so that a file cannot define entities."""

    def doctype(self, name: str, pubid: str, system: str) -> None:
        raise ValueError(f"document type {name!r} is not expected")


def _parse_object(element: ElementTree.Element) -> TruthObject | None:
    try:
        semantic_id = CLASSES.by_name[XML_CLASSES[int(element.findtext("semanticId", ""))]].number
        instance_id = int(element.findtext("instanceId", ""))
        timestamp = int(element.findtext("timestamp", str(STATIC)))
        T_world_obj = _matrix(element, "transform", columns=4)
        vertices = _matrix(element, "vertices", columns=3)
    except (KeyError, ValueError):
        return None
    is_box = vertices.shape == (8, 3) and np.allclose(vertices, _UNIT_VERTICES, atol=1e-3)
    if not is_box or T_world_obj.shape != (4, 4) or not np.isfinite(T_world_obj).all():
        return None
    return TruthObject(semantic_id * IDS_PER_CLASS + instance_id, timestamp, T_world_obj)


def _matrix(element: ElementTree.Element, name: str, *, columns: int) -> np.ndarray:
    """The numbers of an OpenCV matrix, [rows, columns] float64; no rows where there is none."""
    values = element.findtext(f"{name}/data", "").split()
    return np.array([float(value) for value in values]).reshape(-1, columns)


def _is_upright(T_world_obj: np.ndarray) -> bool:
    axes = T_world_obj[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if (lengths <= 0).any():
        return False
    R = axes / lengths
    is_square = np.abs(R.T @ R - np.eye(3)).max() < _MAX_TILT
    return bool(is_square and np.abs(R[2, :2]).max() < _MAX_TILT and R[2, 2] > 0)
