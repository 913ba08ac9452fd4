"""The boxes of a street's vehicles as KITTI-360 keeps them: an OpenCV storage in XML."""

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.data.truth import STATIC
from vsrd_ray.datasets.kitti360.boxes import XML_CLASSES
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.synthetic.street import Street
from vsrd_ray.synthetic.traffic import Vehicle

_XML_NUMBERS = {name: number for number, name in XML_CLASSES.items()}
# Corners of the unit box and its twelve triangles, in the dataset's order.
_VERTICES = 0.5 * np.array(
    [[1, 1, 1], [1, 1, -1], [1, -1, 1], [1, -1, -1], [-1, 1, -1], [-1, 1, 1], [-1, -1, -1], [-1, -1, 1]]
)
_FACES = np.array(
    [
        *([0, 2, 1], [1, 2, 3]),  # front
        *([4, 6, 5], [5, 6, 7]),  # rear
        *([0, 1, 5], [1, 4, 5]),  # left
        *([2, 7, 3], [3, 7, 6]),  # right
        *([0, 5, 2], [2, 5, 7]),  # top
        *([1, 3, 4], [3, 6, 4]),  # bottom
    ]
)


def boxes_xml(street: Street) -> str:
    """The document: an entry for each parked vehicle, and one a frame for each car that drives."""
    lines = ['<?xml version="1.0"?>', "<opencv_storage>"]
    index = 0
    for vehicle in street.vehicles:
        for frame in range(len(vehicle.yaws)):
            index += 1
            lines += _entry(street, vehicle, frame, index)
    lines.append("</opencv_storage>")
    return "\n".join(lines) + "\n"


def _entry(street: Street, vehicle: Vehicle, frame: int, index: int) -> list[str]:
    last, label = street.settings.frames - 1, CLASSES.name_of(vehicle.instance_id)
    center, yaw = vehicle.pose_at(frame)
    cos, sin = np.cos(yaw), np.sin(yaw)
    T_world_obj = np.eye(4)
    T_world_obj[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) * vehicle.dimensions_lwh
    T_world_obj[:3, 3] = center + street.origin_world
    values = {
        "index": index,
        "label": label,
        "semanticId_orig": vehicle.instance_id // IDS_PER_CLASS,
        "semanticId": _XML_NUMBERS[label],
        "instanceId": vehicle.instance_id % IDS_PER_CLASS,
        "category": "vehicle",
        "timestamp": frame if vehicle.is_moving else STATIC,
        "dynamic": int(vehicle.is_moving),
        "dynamicSeq": 0,
        "start_frame": 0,
        "end_frame": last,
    }
    return [
        f"<object{index}>",
        *(f"  <{name}>{value}</{name}>" for name, value in values.items()),
        *_matrix("transform", T_world_obj, kind="f"),
        *_matrix("vertices", _VERTICES, kind="f"),
        *_matrix("faces", _FACES, kind="i"),
        f"</object{index}>",
    ]


def _matrix(name: str, values: np.ndarray, *, kind: str) -> list[str]:
    """A matrix of floats (kind f) or integers (kind i)."""
    rows, columns = values.shape
    text = [" ".join(f"{value:.8e}" if kind == "f" else str(value) for value in row) for row in values]
    return [
        f'  <{name} type_id="opencv-matrix">',
        f"    <rows>{rows}</rows><cols>{columns}</cols><dt>{kind}</dt>",
        *("    <data>" + text[0], *("    " + row for row in text[1:])),
        f"    </data></{name}>",
    ]
