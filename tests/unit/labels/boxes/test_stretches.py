"""Fits of parked cars from different stretches: together where poses are exact, apart where they drift."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from vsrd_ray.data.drive import Camera
from vsrd_ray.data.index import INDEX_SCHEMA
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labelers.vsrd.bodies import random_car
from vsrd_ray.labels.boxes.columns import box_columns
from vsrd_ray.labels.boxes.report.contents import pose_sentences
from vsrd_ray.labels.boxes.stretches import scatter
from vsrd_ray.poses.check import PoseCheck

SIZE, FRAMES, STEP = (1242, 375), 60, 1.0
K = np.array([[721.5, 0, 609.5], [0, 721.5, 172.8], [0, 0, 1]])
R_WORLD_CAM = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # x ahead
CARS = UprightBoxes(
    np.array([[15.0 + 12 * n, (-4.5, 5.0)[n % 2], 0.75] for n in range(6)]),
    np.tile([4.2, 1.8, 1.5], (6, 1)),
    np.array([0.0, 0.1, 3.1, 0.0, -0.1, 1.4]),
)


def poses(shift=lambda frame: np.zeros(3)):
    found = {}
    for frame in range(FRAMES):
        found[frame] = np.eye(4)
        found[frame][:3, :3] = R_WORLD_CAM
        found[frame][:3, 3] = np.array([STEP * frame, 0, 1.65]) + shift(frame)
    return found


@pytest.fixture(scope="module")
def street():
    """Rows, index and camera of six parked cars of different shapes, and masks' boxes to the pixel."""
    rng, exact, entries = np.random.default_rng(4), poses(), []
    for n in range(len(CARS.yaws)):
        right, down, ahead = (random_car(rng).vertices * CARS.dimensions_lwh[n, [1, 2, 0]] / 2).T
        cos, sin = np.cos(CARS.yaws[n]), np.sin(CARS.yaws[n])
        body = np.stack([cos * ahead + sin * right, sin * ahead - cos * right, -down], -1) + CARS.centers[n]
        for frame, pose in exact.items():
            points = rigid.apply(rigid.inverse(pose), body)
            if points[:, 2].min() < 1:
                continue
            pixels = (points @ K.T)[:, :2] / points[:, 2:]
            low, high = np.ceil(pixels.min(axis=0)), np.floor(pixels.max(axis=0))
            box = np.clip([*low, *high], 0, np.array([*SIZE, *SIZE]) - 1).astype(int)
            if (box[2:] - box[:2]).min() > 5:
                row = {"frame": frame, "instance_id": 1001 + n, "class_name": "car", "area": 100}
                row |= dict(zip(("box_left", "box_top", "box_right", "box_bottom"), box.tolist(), strict=True))
                entries.append(row | {"touches_border": False, "touches_instance": False})
    rows = pa.table(
        {
            "instance_id": pa.array(range(1001, 1007), pa.int32()),
            "is_moving": pa.array([False] * 5 + [True]),
            "confidence": pa.array([0.9] * 6),
            **box_columns(CARS),
        }
    )
    return rows, pa.Table.from_pylist(entries, schema=INDEX_SCHEMA), Camera("image_02", K, SIZE, exact)


def apart(street, shift):
    rows, index, camera = street
    found = scatter(rows, index, replace(camera, T_world_cam=poses(shift)))
    return found, PoseCheck.of(poses(shift), None, found.metres, found.num_objects)


def longer(frame):
    """Every other stretch of ten frames is a tenth too long."""
    return np.array([0.1 * STEP * (10 * (frame // 20) + min(frame % 20, 10)), 0, 0])


def test_exact_poses_pass(street):
    found, check = apart(street, lambda frame: np.zeros(3))
    assert found.num_objects == 5 and found.metres < 0.25
    assert not check.warnings("drive")
    assert f"fits of 5 parked objects from different stretches lie {found.metres:.2f} m apart" in str(check)


@pytest.mark.parametrize("shift", [longer, lambda frame: np.array([0, 0.9 * np.sin(frame / 8), 0])])
def test_poses_that_drift_or_change_their_scale_are_told(street, shift):
    found, check = apart(street, shift)
    assert found.metres > 0.3
    (warning,) = check.warnings("drive")
    assert "drive: fits of parked objects from different stretches lie" in warning and "as --poses" in warning


def test_masks_behind_others_do_not_count(street):
    rows, index, camera = street
    hiding = index.to_pylist()
    for row in index.to_pylist():  # something nearer covers the right half of every mask
        middle = (row["box_left"] + row["box_right"]) // 2
        hiding.append({**row, "instance_id": 2001, "box_left": middle, "box_bottom": row["box_bottom"] + 9})
    assert scatter(rows, pa.Table.from_pylist(hiding, schema=INDEX_SCHEMA), camera).num_objects == 0


def test_nothing_is_said_where_nothing_tells(street):
    rows, index, camera = street
    found = scatter(rows.slice(0, 0), index, camera)
    check = PoseCheck.of(camera.T_world_cam, 0.97, found.metres, found.num_objects)
    assert check == PoseCheck(0.0, 0.97, None, 0)
    told = "steps jitter by 0.0%; the metric path is 0.970 of the file's; too few parked objects to tell more"
    assert str(check) == told


def test_what_a_manifest_holds_comes_into_the_report():
    values = {"step_jitter": 0.01, "scale_ratio": None, "parked_scatter_m": 0.2, "parked_objects": 4}
    manifest = {"poses": {"a": values, "b": {"step_jitter": "x"}, "c": 3, "d": {**values, "other": 1}}}
    said = {"a": "steps jitter by 1.0%; fits of 4 parked objects from different stretches lie 0.20 m apart"}
    assert pose_sentences(manifest) == said and pose_sentences({}) == {}
