"""Formats of boxes in the world, read back by pandas, by Rerun's own reader, or by a reader of this file's own.

The devkit of nuScenes cannot be installed beside NumPy 2: its checks of a box are repeated here.
"""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.columns import VELOCITY_WORLD
from vsrd_ray.labels.boxes.formats.export import export
from vsrd_ray.labels.boxes.selection import Selection

SEQUENCE = "2013_05_28_drive_0042_sync"
FRAMES = (1, 2, 3, 5)


def frame_rows(run, frame):
    return run.rows.filter(run.rows["frame"].to_numpy() == frame)


def test_nuscenes_comes_back(run, same_boxes, tmp_path):
    export(run.output, run.root, tmp_path / "nu", format="nuscenes")
    content = json.loads((tmp_path / "nu" / "results.json").read_text())
    assert set(content) == {"meta", "results"}
    assert {name for name, used in content["meta"].items() if used} == {"use_camera"}
    assert len(content["results"]) == 4
    for frame in FRAMES:
        token = f"{SEQUENCE}-image_00-{frame:010d}"
        boxes = content["results"][token]
        assert all(box["sample_token"] == token for box in boxes)
        centers, wlh, quaternions = (
            np.array([box[key] for box in boxes]) for key in ("translation", "size", "rotation")
        )
        headings = Rotation.from_quat(quaternions[:, [1, 2, 3, 0]]).apply([1.0, 0, 0])
        assert headings[:, 2] == pytest.approx(0)
        same_boxes(frame_rows(run, frame), centers, wlh[:, [1, 0, 2]], np.arctan2(headings[:, 1], headings[:, 0]))
        assert [box["detection_name"] for box in boxes] == ["car", "car", "car", "truck"]
        assert [box["attribute_name"] for box in boxes] == [*["vehicle.parked"] * 2, "", "vehicle.parked"]
        assert [box["detection_score"] for box in boxes] == [0.95, 0.4, 0.08, 0.7]
        velocities = np.array([box["velocity"] for box in boxes])
        np.testing.assert_array_equal(velocities, [[0, 0], [0, 0], [np.nan, np.nan], [0, 0]])


def moving_cars(folder):
    content = json.loads((folder / "results.json").read_text())
    return [box for boxes in content["results"].values() for box in boxes if box["tracking_id"] == "26003"]


def test_nuscenes_has_the_motion_of_what_moves(moving_run, same_boxes, timed, tmp_path):
    export(moving_run.output, moving_run.root, tmp_path / "nu", format="nuscenes")
    boxes = moving_cars(tmp_path / "nu")
    assert {box["attribute_name"] for box in boxes} == {"vehicle.moving"}
    velocities, centers = (np.array([box[key] for box in boxes]) for key in ("velocity", "translation"))
    rows = moving_run.rows.filter(moving_run.rows["instance_id"].to_numpy() == 26003)
    np.testing.assert_array_equal(velocities, np.column_stack([rows[name] for name in VELOCITY_WORLD]))
    np.testing.assert_allclose(centers[-1] - centers[0], [*(4 * velocities[0]), 0], atol=1e-9)  # from frame 1 to 5


def test_metres_a_frame_are_no_velocity_of_nuscenes(moving_run, tmp_path):
    export(moving_run.output, moving_run.root, tmp_path / "nu", format="nuscenes")
    boxes = moving_cars(tmp_path / "nu")
    assert np.isnan([box["velocity"] for box in boxes]).all()
    assert {box["attribute_name"] for box in boxes} == {"vehicle.moving"}


def test_kitti360_windows_come_back(run, same_boxes, tmp_path):
    export(run.output, run.root, tmp_path / "windows", format="kitti360")
    (path,) = (tmp_path / "windows").glob("*.npy")
    assert path.name == "0042_0000000001_0000000005.npy"
    boxes = np.load(path)
    # each object once; what moves belongs to no window
    static = frame_rows(run, 1).filter(np.array([True, True, False, True]))
    assert boxes.shape == (3, 9)
    same_boxes(static, boxes[:, :3], boxes[:, 3:6], boxes[:, 6])
    assert boxes[:, 7].tolist() == [26, 26, 27] and boxes[:, 8].tolist() == [0.95, 0.4, 0.7]


@pytest.mark.parametrize("labelled", ["run", "moving_run"])
def test_csv_comes_back(labelled, tmp_path, request):
    run = request.getfixturevalue(labelled)
    export(run.output, run.root, tmp_path / "csv", format="csv")
    table = pd.read_csv(tmp_path / "csv" / "labels.csv")
    expected = run.rows.to_pandas()
    assert set(table.columns) == {*expected.columns, "sequence"}
    assert (table["sequence"] == SEQUENCE).all()
    for name in expected.columns.drop("shape"):
        pd.testing.assert_series_equal(table[name], expected[name], check_dtype=False)
    assert np.array(table["shape"][0].split(), dtype=float).tolist() == [0.5, -1.25]
    assert pd.read_csv(tmp_path / "csv" / "frames.csv")["frame"].tolist() == [1, 2, 3, 5]


def chunks(path):
    """Entity path -> record batches of its chunks."""
    from rerun.chunk import RrdReader

    found = {}
    for chunk in RrdReader(path).stream():
        found.setdefault(str(chunk.entity_path), []).append(chunk.to_record_batch().to_pydict())
    return found


def column(parts, name):
    """Values of a column, in the order of the frames."""
    rows = [
        (frame, value) for part in parts if name in part for frame, value in zip(part["frame"], part[name], strict=True)
    ]
    return {frame: value for frame, value in rows if value is not None}


def test_rerun_comes_back(run, poses, same_boxes, tmp_path):
    pytest.importorskip("rerun", reason="no rerun-sdk: pip install 'vsrd-ray[rerun]'")
    image = paths.image_file(run.root, SEQUENCE, "image_00", 2)
    import cv2

    image.parent.mkdir(parents=True)
    assert cv2.imwrite(str(image), np.full((60, 80, 3), 90, np.uint8))
    export(run.output, run.root, tmp_path / "rr", format="rerun")
    found = chunks(tmp_path / "rr" / f"{SEQUENCE}.rrd")
    (origin,) = (part["origin"][0] for part in found["/world"] if "origin" in part)
    np.testing.assert_allclose(origin, poses[1][:3, 3])
    centers, half_sizes, quaternions, ids = (
        column(found["/world/boxes"], name)
        for name in ("Boxes3D:centers", "Boxes3D:half_sizes", "Boxes3D:quaternions", "instance_id")
    )
    assert sorted(centers) == [1, 2, 3, 5]
    for frame in FRAMES:
        yaws = Rotation.from_quat(np.array(quaternions[frame])).as_euler("zyx")[:, 0]
        sizes = 2 * np.array(half_sizes[frame])
        same_boxes(frame_rows(run, frame), np.array(centers[frame]) + origin, sizes, yaws)
        assert ids[frame] == [26001, 26002, 26003, 27001]
    (way,) = found["/world/trajectory"]
    np.testing.assert_allclose(
        np.array(way["LineStrips3D:strips"][0][0]) + origin, [poses[frame][:3, 3] for frame in FRAMES], atol=1e-4
    )
    translations = column(found["/world/camera"], "Transform3D:translation")
    np.testing.assert_allclose(np.array(translations[5][0]) + origin, poses[5][:3, 3], atol=1e-4)
    images = column(found["/world/camera/image"], "EncodedImage:blob")
    assert bytes(images[2][0]) == image.read_bytes() and not images.get(3)
    masks = column(found["/world/camera/image/masks"], "SegmentationImage:buffer")
    assert set(np.frombuffer(bytes(masks[1][0]), np.uint16)) == {0, 26001, 26002, 26003, 27001}


def test_what_a_frame_lacks_in_a_recording_is_not_that_of_the_frame_before(run, tmp_path):
    pytest.importorskip("rerun", reason="no rerun-sdk: pip install 'vsrd-ray[rerun]'")
    paths.mask_file(run.root, SEQUENCE, "image_00", 3).unlink()
    # in frame 1 no car is within 9 m
    export(run.output, run.root, tmp_path / "rr", format="rerun", selection=Selection(classes=("car",), max_range=9.0))
    found = chunks(tmp_path / "rr" / f"{SEQUENCE}.rrd")
    cleared = column(found["/world/boxes"], "Clear:is_recursive")
    assert cleared == {1: [False]}
    assert sorted(column(found["/world/boxes"], "Boxes3D:centers")) == [2, 3, 5]
    assert list(column(found["/world/camera/image/masks"], "Clear:is_recursive")) == [3]


def test_rerun_without_its_package_says_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setattr("vsrd_ray.visualization.recording.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'vsrd-ray\[rerun\]'"):
        export(run.output, run.root, tmp_path / "rr", format="rerun")
    assert not (tmp_path / "rr").exists()


def test_classes_that_nuscenes_lacks_are_left_out_with_a_warning(run, tmp_path, caplog, monkeypatch):
    from vsrd_ray.labels.boxes.formats import nuscenes

    monkeypatch.delitem(nuscenes._CLASSES, "truck")
    export(run.output, run.root, tmp_path / "nu", format="nuscenes")
    content = json.loads((tmp_path / "nu" / "results.json").read_text())
    assert [len(boxes) for boxes in content["results"].values()] == [3] * 4
    assert "4 boxes of the class truck are left out" in caplog.text
