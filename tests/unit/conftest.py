"""A run by hand: four frames, two parked cars and a moving one, beside their truth."""

import cv2
import numpy as np
import pyarrow as pa
import pytest
from builders import make_label, make_labels, make_mark, make_marks, write_manifest

from vsrd_ray.data.index import index_frames, write_index
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labels.boxes.parquet import REVIEW_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0042_sync"
# looks along the world's +x: x right = -y, y down = -z
LOOKING_ALONG_X = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
UNIT_VERTICES = [[1, 1, 1], [1, 1, -1], [1, -1, 1], [1, -1, -1], [-1, 1, -1], [-1, 1, 1], [-1, -1, -1], [-1, -1, 1]]
CAR = (4.0, 2.0, 1.5)


def make_label_row(frame, instance_id, center, *, size=CAR, yaw=0.0, confidence=0.5):
    box = dict(zip(("x_world", "y_world", "z_world"), center, strict=True))
    box |= dict(zip(("length", "width", "height"), size, strict=True))
    return make_label(frame, instance_id, yaw_world=yaw, confidence=confidence, **box)


def xml_matrix(name, values):
    rows = "\n".join(" ".join(map(str, row)) for row in values)
    return f'<{name} type_id="opencv-matrix"><rows>{len(values)}</rows><data>{rows}</data></{name}>'


def make_truth_object(number, instance, center, *, timestamp=-1, size=CAR, yaw=0.0):
    cos, sin = np.cos(yaw), np.sin(yaw)
    T_world_obj = np.eye(4)
    T_world_obj[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) * size
    T_world_obj[:3, 3] = center
    vertices = xml_matrix("vertices", np.array(UNIT_VERTICES) / 2)
    return (
        f"<object{number}><semanticId>13</semanticId><instanceId>{instance}</instanceId>"
        f"<timestamp>{timestamp}</timestamp>{xml_matrix('transform', T_world_obj)}{vertices}</object{number}>"
    )


@pytest.fixture
def label_row():
    """Makes one label row as a dictionary."""
    return make_label_row


@pytest.fixture
def truth_object():
    """Makes one object of the box XML."""
    return make_truth_object


@pytest.fixture
def write_run(tmp_path, write_sequence):
    """Writes a dataset and a run, and returns (output, root).

    Frames 1..4 show car 26001 (10 m ahead, 400 px), 26002 (100 px in frame 1, else 200), and in frame 4 26003, moving.
    Frames 1 and 2 belong to a group that succeeded, 3 to one that failed, 4 to another that succeeded.
    """

    def write(label_rows, objects):
        maps = {frame: np.full((60, 80), 7000, np.uint16) for frame in (1, 2, 3, 4)}
        for frame, instance_map in maps.items():
            instance_map[20:40, 10:30] = 26001
            instance_map[20 : 30 if frame == 1 else 40, 40:50] = 26002
        maps[4][20:40, 60:75] = 26003
        root = write_sequence(maps, dict.fromkeys(maps, LOOKING_ALONG_X))
        boxes = paths.boxes_file(root, SEQUENCE)
        boxes.parent.mkdir(parents=True)
        boxes.write_text(f'<?xml version="1.0"?><opencv_storage>{"".join(objects)}</opencv_storage>')
        output = tmp_path / "output"
        index = index_frames(open_drive(root, SEQUENCE), maps)
        write_index(index, output / "index" / f"{SEQUENCE}.parquet", "x")
        write_parquet(make_labels(*label_rows), output / "labels" / f"sequence={SEQUENCE}" / "a.parquet")
        for group_id, frames, status in (("a", [1, 2], "ok"), ("b", [3], "failed"), ("c", [4], "ok")):
            row = make_mark(group_id, frames, status, sequence=SEQUENCE)
            write_parquet(make_marks(row), output / "groups" / f"{group_id}.parquet")
        write_manifest(output, [SEQUENCE], root=root)
        return output, root

    return write


@pytest.fixture
def lengthen():
    """Adds two frames to a run of `write_run`: nothing is to be seen in 5, and a human took every box from 6."""

    def add(output, root):
        poses = paths.poses_file(root, SEQUENCE)
        lines = poses.read_text().splitlines()
        for frame in (5, 6):
            lines.append(" ".join([str(frame), *lines[0].split()[1:]]))
            instance_map = np.full((60, 80), 7000, np.uint16)
            instance_map[20:40, 10:30] = 26001 if frame == 6 else 7000
            cv2.imwrite(str(paths.mask_file(root, SEQUENCE, "image_00", frame)), instance_map)
        poses.write_text("\n".join([*lines, ""]))
        index = index_frames(open_drive(root, SEQUENCE), range(1, 7))
        write_index(index, output / "index" / f"{SEQUENCE}.parquet", "x")
        rows = make_labels()
        write_parquet(rows, output / "labels" / f"sequence={SEQUENCE}" / "human-image_00.parquet")
        reviewed = pa.Table.from_pylist([{"camera": "image_00", "frame": 6}], schema=REVIEW_SCHEMA)
        write_parquet(reviewed, output / "corrections" / f"{SEQUENCE}.parquet")

    return add
