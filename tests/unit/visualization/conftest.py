"""A run with frames that no group has."""

import cv2
import numpy as np
import pyarrow as pa
import pytest

from vsrd_ray.data.index import index_frames, write_index
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.sequences import open_sequence
from vsrd_ray.labels.boxes.parquet import REVIEW_SCHEMA, write_piece
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA

SEQUENCE = "2013_05_28_drive_0042_sync"


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
        index = index_frames(open_sequence(root, SEQUENCE), range(1, 7))
        write_index(index, output / "index" / f"{SEQUENCE}.parquet", "x")
        rows = pa.Table.from_pylist([], schema=LABEL_SCHEMA)
        write_piece(rows, output / "labels" / f"sequence={SEQUENCE}" / "human-image_00.parquet")
        reviewed = pa.Table.from_pylist([{"camera": "image_00", "frame": 6}], schema=REVIEW_SCHEMA)
        write_piece(reviewed, output / "corrections" / f"{SEQUENCE}.parquet")

    return add
