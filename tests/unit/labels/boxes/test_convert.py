import json

import cv2
import numpy as np
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.convert import labels_to_kitti, truth_to_kitti
from vsrd_ray.labels.boxes.kitti import read_frame
from vsrd_ray.runs.folder import group_frames, read_index
from vsrd_ray.runs.manifest import read_inputs
from vsrd_ray.runs.reading import read_groups

SEQUENCE = "2013_05_28_drive_0042_sync"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_labels_of_groups_that_succeeded_become_text(write_run, label_row, tmp_path, caplog):
    rows = [label_row(1, 26002, (9.0, 0, 0)), label_row(1, 26001, (10.0, 3, 0), confidence=0.75)]
    output, _ = write_run(rows, [])
    folder = tmp_path / "text" / SEQUENCE / "image_00" / "label_2"
    assert labels_to_kitti(output, tmp_path / "text") == 3
    # frame 3 shows cars but belongs to a group that failed: no file; 2 and 4 were labelled and hold nothing
    assert names(folder) == ["0000000001.txt", "0000000002.txt", "0000000004.txt"]
    assert [entry.score for entry in read_frame(folder / "0000000001.txt")] == [0.75, 0.5]
    assert (folder / "0000000002.txt").read_bytes() == b""
    assert "1 frames are left out, since groups that label them failed" in caplog.text


def test_frames_without_the_wanted_classes_get_an_empty_file(write_run, label_row, tmp_path):
    output, _ = write_run([label_row(1, 26001, (10.0, 3, 0))], [])
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["inputs"]["classes"] = ["truck"]
    (output / "manifest.json").write_text(json.dumps(manifest))
    assert labels_to_kitti(output, tmp_path / "text") == 4


def test_truth_becomes_text_where_its_instance_is_seen(write_run, truth_object, tmp_path):
    objects = [
        truth_object(1, 2, (20.0, -2.0, 0), yaw=0.5),
        truth_object(2, 1, (12.0, 0.0, 0)),
        truth_object(3, 3, (14.0, 0, 0), timestamp=4),
        truth_object(4, 3, (12.0, 0, 0), timestamp=3),
        truth_object(5, 9, (12.0, 0, 0)),
    ]
    _, root = write_run([], objects)
    folder = tmp_path / "truth" / SEQUENCE / "image_00" / "label_2"
    assert truth_to_kitti(root, SEQUENCE, "image_00", tmp_path / "truth") == 4
    # 26003 moves: seen in frame 4 alone; 26009 is never seen
    assert [len(read_frame(path)) for path in sorted(folder.iterdir())] == [2, 2, 2, 3]
    first, second = read_frame(folder / "0000000001.txt")
    assert first.score is None and first.type == "Car"
    assert first.bottom_cam == pytest.approx((0, 0.75, 12)) and first.dimensions_hwl == (1.5, 2.0, 4.0)
    assert first.rotation_y == pytest.approx(-np.pi / 2, abs=1e-4)  # it heads away from the camera
    assert second.bottom_cam == pytest.approx((2, 0.75, 20))
    assert second.rotation_y == pytest.approx(-np.pi / 2 - 0.5, abs=1e-4)


def test_truth_of_other_classes_is_left_out(write_run, truth_object, tmp_path):
    _, root = write_run([], [truth_object(1, 1, (12.0, 0, 0))])
    assert truth_to_kitti(root, SEQUENCE, "image_00", tmp_path / "truth", classes=("truck",)) == 4
    assert all(path.read_text() == "" for path in (tmp_path / "truth").rglob("*.txt"))


def test_frames_without_pose_or_with_a_torn_mask_get_no_file(write_run, truth_object, tmp_path):
    _, root = write_run([], [truth_object(1, 1, (12.0, 0, 0))])
    mask = paths.mask_file(root, SEQUENCE, "image_00", 2)
    mask.write_bytes(mask.read_bytes()[:-30])
    assert cv2.imwrite(str(paths.mask_file(root, SEQUENCE, "image_00", 9)), np.zeros((60, 80), np.uint16))
    assert truth_to_kitti(root, SEQUENCE, "image_00", tmp_path / "truth") == 3


def test_truth_of_a_real_street_projects_onto_its_masks(shared, tmp_path):
    root = shared / "data" / "kitti_geometry" / "drive_0001"
    sequence = "2013_05_28_drive_0001_sync"
    truth_to_kitti(root, sequence, "image_00", tmp_path)
    objects = read_frame(tmp_path / sequence / "image_00" / "label_2" / "0000000050.txt")
    assert len(objects) > 5
    for entry in objects:
        left, top, right, bottom = entry.box_xyxy
        assert 0 <= left <= right <= 1241 and 0 <= top <= bottom <= 374
        assert 0 <= entry.truncated <= 1 and entry.bottom_cam[2] > 0


def test_a_folder_that_is_no_run_is_named(tmp_path, write_run):
    with pytest.raises(InputError, match=r"no .*manifest\.json: expected the output folder"):
        read_inputs(tmp_path)
    (tmp_path / "manifest.json").write_text('{"inputs": {"sequences": ["s"]}}')
    with pytest.raises(InputError, match=r"not the manifest of a run \(.*without .*\): run `vsrd-ray label` again"):
        read_inputs(tmp_path)
    with pytest.raises(InputError, match=r"index/s\.parquet: no index that can be read"):
        read_index(tmp_path, "s")


def test_group_frames_are_those_of_one_sequence_and_status(write_run):
    output, _ = write_run([], [])
    groups = read_groups(output)
    assert group_frames(groups, sequence=SEQUENCE) == [1, 2, 3, 4]
    assert group_frames(groups, sequence=SEQUENCE, status="failed") == [3]
    assert group_frames(groups, sequence="other") == []
