import numpy as np
import pytest
from builders import make_drive

from vsrd_ray.data.truth import TruthBoxes
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.columns import box_columns
from vsrd_ray.labels.boxes.rows import camera_columns
from vsrd_ray.labels.boxes.truth import frame_poses, true_rows

LOOKING_ALONG_X = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.6], [0, 0, 0, 1]])


@pytest.fixture
def sequence(tmp_path):
    poses = {frame: LOOKING_ALONG_X.copy() for frame in (3, 4, 7)}
    for frame, pose in poses.items():
        pose[0, 3] = frame
    K = np.array([[50.0, 0, 40], [0, 50, 30], [0, 0, 1]])
    return make_drive("drive", root=tmp_path, K=K, image_size=(80, 60), poses=poses, mask_frames=(3, 4, 7))


@pytest.fixture
def truth():
    centers = np.array([[12.0, 3, 0.7], [20.0, -2, 0.7], [9.0, 0, 0.7]])
    sizes = np.array([[4.0, 1.8, 1.5], [4.2, 1.7, 1.4], [8.0, 2.5, 3.0]])
    return TruthBoxes(
        instance_ids=np.array([26001, 26002, 27001]),
        class_names=("car", "car", "truck"),
        boxes=UprightBoxes(centers, sizes, np.array([0.1, -1.2, 3.0])),
        timestamps=np.full(3, -1),
    )


def test_rows_of_many_frames_are_those_of_each(sequence, truth, monkeypatch):
    monkeypatch.setattr("vsrd_ray.labels.boxes.truth._CHUNK", 3)
    boxes, frames = np.array([0, 1, 2, 0, 1, 2, 1]), np.array([3, 3, 3, 4, 7, 7, 4])
    areas = np.array([300, 200, 5, 0, 100, 900, 50])
    rows = true_rows(truth, boxes, frames=frames, mask_areas=areas, sequence=sequence)
    assert rows["frame"].to_pylist() == frames.tolist()
    assert rows["instance_id"].to_pylist() == truth.instance_ids[boxes].tolist()
    assert rows["class_name"].to_pylist() == [truth.class_names[box] for box in boxes]
    for place, (box, frame) in enumerate(zip(boxes, frames, strict=True)):
        columns = camera_columns(sequence.view(int(frame)), truth.boxes[[box]], mask_areas=areas[[place]])
        for name, values in columns.items():
            assert rows[name][place].as_py() == pytest.approx(values[0], abs=1e-9), name
    for name, values in box_columns(truth.boxes[boxes]).items():
        assert rows[name].to_pylist() == values.tolist(), name


def test_no_rows(sequence, truth):
    nothing = np.zeros(0, dtype=int)
    rows = true_rows(truth, nothing, frames=nothing, mask_areas=nothing, sequence=sequence)
    assert rows.num_rows == 0 and {"x_cam", "occlusion", "class_name", "height"} <= set(rows.column_names)


def test_poses_are_in_the_order_of_the_frames(sequence):
    assert frame_poses(sequence, np.array([7, 3, 7]))[:, 0, 3].tolist() == [7.0, 3.0, 7.0]
    assert frame_poses(sequence, np.zeros(0, dtype=int)).shape == (0, 4, 4)
