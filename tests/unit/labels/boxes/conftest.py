"""A short labelled drive whose camera is tilted and kilometres from the origin, with parked and moving vehicles."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from builders import write_manifest
from scipy.spatial.transform import Rotation

from vsrd_ray.data.index import index_frames, write_index
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.columns import VELOCITY_WORLD, box_columns
from vsrd_ray.labels.boxes.rows import camera_columns
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0042_sync"
LABELS = f"labels/sequence={SEQUENCE}/a.parquet"  # below OUTPUT
CONFIG = {"group_id": "g", "labeler": "vsrd", "config_hash": "abc", "seed": 3, "source": "auto", "target_frame": 1}
FIT = {"mean_iou_2d": 0.8, "num_views": 9, "bearing_spread_deg": 20.0, "silhouette_loss": 0.1, "shape": [0.5, -1.25]}
SIZE = (80, 60)
CORNER = np.array([2000.25, -1500.5, 110.0])
HEADING = 0.7  # of the drive, about z
# instance, class, metres ahead and to the left of the first camera, size, yaw, confidence, moving
OBJECTS = (
    (26001, "car", (12.0, 3.0), (4.2, 1.8, 1.5), 0.75, 0.95, False),
    (26002, "car", (25.0, -4.0), (3.9, 1.7, 1.4), -2.5, 0.40, False),
    (26003, "car", (17.0, 0.5), (4.5, 1.9, 1.6), HEADING, 0.08, True),
    (27001, "truck", (40.0, 5.0), (8.0, 2.5, 3.2), np.pi - 1e-5, 0.70, False),
)
FRAMES = (1, 2, 3, 5)
MOVING = 26003
VELOCITY = 1.5 * np.array([np.cos(HEADING), np.sin(HEADING)])  # of it, where it has one: metres a frame


@dataclass(frozen=True)
class Run:
    """A labelling run, and what it says."""

    output: Path
    root: Path
    rows: pa.Table  # sorted by frame and instance


def pose(frame):
    """T_world_cam: 1.5 m up, 2 m further each frame, pitched down by 5 degrees and rolled by one."""
    ahead = np.array([np.cos(HEADING), np.sin(HEADING), 0])
    R_world_level = np.stack([[ahead[1], -ahead[0], 0], [0, 0, -1], ahead], axis=-1)
    T = np.eye(4)
    T[:3, :3] = R_world_level @ Rotation.from_euler("xz", [-5, 1], degrees=True).as_matrix()
    T[:3, 3] = CORNER + 2 * frame * ahead + [0, 0, 1.5]
    return T


def label_table(view, mask_areas, *, has_motion=False):
    """Rows of all objects in a frame; the moving one stays where it is unless it has a motion."""
    ids = [entry[0] for entry in OBJECTS]
    places = np.array([entry[2] for entry in OBJECTS])
    sizes = np.array([entry[3] for entry in OBJECTS])
    yaws = np.array([entry[4] for entry in OBJECTS])
    turn = np.array([[np.cos(HEADING), -np.sin(HEADING)], [np.sin(HEADING), np.cos(HEADING)]])
    centers = np.column_stack([places @ turn.T, sizes[:, 2] / 2]) + CORNER
    velocities = [(None, None) if entry[6] else (0.0, 0.0) for entry in OBJECTS]
    confidences = [entry[5] for entry in OBJECTS]
    if has_motion:
        place = ids.index(MOVING)
        centers[place, :2] += view.frame * VELOCITY
        velocities[place], confidences[place] = tuple(VELOCITY), 0.8
    boxes = UprightBoxes(centers, sizes, yaws)
    columns = box_columns(boxes) | camera_columns(view, boxes, mask_areas=np.array(mask_areas))
    columns |= {"instance_id": ids, "track_id": ids, "observed": [area > 0 for area in mask_areas]}
    columns |= {"class_name": [entry[1] for entry in OBJECTS]}
    columns |= {"confidence": confidences, "is_moving": [entry[6] for entry in OBJECTS]}
    columns |= dict(zip(VELOCITY_WORLD, zip(*velocities, strict=True), strict=True))
    columns |= {name: [value] * len(ids) for name, value in (CONFIG | FIT).items()}
    columns |= {"camera": ["image_00"] * len(ids), "frame": [view.frame] * len(ids)}
    columns["time_s"] = [view.time_s] * len(ids)
    return pa.table(columns, schema=LABEL_SCHEMA)


def run_rows(drive, **options):
    return pa.concat_tables([label_table(drive.view(frame), [120] * len(OBJECTS), **options) for frame in FRAMES])


@pytest.fixture
def run(write_sequence, tmp_path):
    """Five frames, the fourth of a group that failed; every instance has a mask of 12 x 10 px in every frame."""
    maps = {frame: np.full((SIZE[1], SIZE[0]), 7000, np.uint16) for frame in (*FRAMES, 4)}
    for instance_map in maps.values():
        for n, (instance_id, *_) in enumerate(OBJECTS):
            instance_map[20:30, 15 * n + 2 : 15 * n + 14] = instance_id
    root = write_sequence(maps, {frame: pose(frame) for frame in maps})
    drive = open_drive(root, SEQUENCE)
    rows = run_rows(drive)
    output = tmp_path / "run"
    write_parquet(rows, output / LABELS)
    write_index(index_frames(drive, sorted(maps)), output / "index" / f"{SEQUENCE}.parquet", "x")
    for group_id, frames, status in (("a", list(FRAMES), "ok"), ("b", [4], "failed")):
        row = {"group_id": group_id, "sequence": SEQUENCE, "target_frame": frames[0], "frames": frames}
        row |= {"instance_ids": [26001], "status": status, "error": None, "attempts": 1, "seconds": 0.0}
        write_parquet(pa.Table.from_pylist([row], schema=GROUP_SCHEMA), output / "groups" / f"{group_id}.parquet")
    write_manifest(output, [SEQUENCE], root=root, classes=["car", "truck"])
    return Run(output, root, rows)


@pytest.fixture
def moving_run(run):
    """The same run by a labeler that fits motions: a box and a velocity of 26003 in every frame, and trust in it."""
    rows = run_rows(open_drive(run.root, SEQUENCE), has_motion=True)
    write_parquet(rows, run.output / LABELS)
    return replace(run, rows=rows)


@pytest.fixture
def timed(monkeypatch):
    """Gives drives that are exported ten frames a second."""

    def opened(*arguments, **options):
        drive = open_drive(*arguments, **options)
        times = {frame: frame / 10 for frame in drive.T_world_cam}
        return replace(drive, cameras={name: replace(one, times_s=times) for name, one in drive.cameras.items()})

    monkeypatch.setattr("vsrd_ray.runs.folder.open_drive", opened)


@pytest.fixture
def poses():
    """T_world_cam [4, 4] by frame."""
    return {frame: pose(frame) for frame in (*FRAMES, 4)}


@pytest.fixture
def same_boxes():
    """Compares boxes in the world with label rows, to 1e-4."""

    def compare(rows, centers, sizes, yaws, atol=1e-4):
        expected = np.column_stack([rows[name] for name in ("x_world", "y_world", "z_world")])
        np.testing.assert_allclose(centers, expected, rtol=0, atol=atol)
        np.testing.assert_allclose(
            sizes, np.column_stack([rows[name] for name in ("length", "width", "height")]), rtol=0, atol=atol
        )
        turns = np.asarray(yaws) - rows["yaw_world"].to_numpy()
        np.testing.assert_allclose(np.exp(1j * turns), 1, rtol=0, atol=atol)

    return compare
