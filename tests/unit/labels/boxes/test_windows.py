from itertools import pairwise

import numpy as np
import pytest
from builders import make_drive, make_labels

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.windows import (
    WINDOW_LENGTH,
    WINDOW_OVERLAP,
    Window,
    window_boxes,
    window_file_name,
    windows,
)

SEQUENCE = "2013_05_28_drive_0003_sync"


@pytest.fixture
def drive(tmp_path):
    """Makes a sequence that drives so many metres from each frame to the next."""

    def make(steps, frames=None):
        along = np.concatenate([[0.0], np.cumsum(steps)])
        poses = np.tile(np.eye(4), (len(along), 1, 1))
        poses[:, :3, 3] = [3000.0, -500.0, 116.0] + along[:, None] * [0.6, 0.8, 0.0]
        frames = range(len(along)) if frames is None else frames
        T_world_cam = dict(zip(frames, poses, strict=True))
        return make_drive(SEQUENCE, root=tmp_path, poses=T_world_cam, mask_frames=(0,))

    return make


def driven(sequence, window):
    """Metres between the first and the last frame of a window on a straight drive."""
    first, last = (sequence.T_world_cam[frame][:3, 3] for frame in (window.first, window.last))
    return np.linalg.norm(last - first)


def test_a_short_drive_is_one_window(drive):
    assert windows(drive([1.0] * 50)) == [Window(0, 50)]
    assert windows(drive([])) == [Window(0, 0)]
    assert windows(drive([0.0] * 5)) == [Window(0, 5)]  # it stands


def test_a_long_drive_is_cut_into_equal_parts_that_overlap(drive):
    sequence = drive([0.8] * 2000)
    some = windows(sequence)
    assert len(some) == 8 and (some[0].first, some[-1].last) == (0, 2000)
    lengths = [driven(sequence, window) for window in some]
    assert max(lengths) - min(lengths) < 2 and abs(np.mean(lengths) - WINDOW_LENGTH) < 20
    for before, after in pairwise(some):
        assert driven(sequence, Window(after.first, before.last)) == pytest.approx(WINDOW_OVERLAP, abs=1.7)


def test_windows_go_by_metres_not_by_frames(drive):
    """Where the car stands its frames belong to one window, and frames without a pose are none."""
    steps = [1.0] * 100 + [0.0] * 500 + [1.0] * 290
    frames = [3 * frame for frame in range(len(steps) + 1)]
    sequence = drive(steps, frames)
    some = windows(sequence)
    assert [round(driven(sequence, window)) for window in some] == [200, 200]
    assert some == [Window(0, 3 * 700), Window(3 * 690, 3 * 890)]


def test_published_windows_are_taken_where_they_are(drive):
    sequence = drive([1.0] * 500)
    folder = paths.window_folder(sequence.root, SEQUENCE)
    folder.mkdir(parents=True)
    for name in ("0000000235_0000000608.ply", "0000000002_0000000245.ply", "notes.txt"):
        (folder / name).touch()
    assert windows(sequence) == [Window(2, 245), Window(235, 608)]


def test_file_names_are_those_of_the_benchmark():
    assert window_file_name(make_drive(SEQUENCE), Window(2, 282)) == "0003_0000000002_0000000282.npy"
    with pytest.raises(InputError, match="'street' has no number"):
        window_file_name(make_drive("street"), Window(0, 1))


def row(frame, instance, confidence, *, x=1.0, class_name="car", **others):
    columns = {"camera": "image_00", "frame": frame, "instance_id": instance, "class_name": class_name}
    columns |= {"x_world": x, "y_world": 2.0, "z_world": 3.0, "length": 4.0, "width": 5.0, "height": 6.0}
    return columns | {"yaw_world": 0.7, "confidence": confidence, "is_moving": False} | others


def boxes(*rows):
    """Of the window from frame 10 to frame 20."""
    return window_boxes(make_labels(*rows), Window(10, 20), CLASSES)


def test_columns_are_those_of_the_benchmark():
    found = boxes(row(10, 26001, 0.9))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[1, 2, 3, 4, 5, 6, 0.7, 26, 0.9]])
    assert boxes(row(10, 28003, 0.9, class_name="bus"))[0, 7] == 28
    assert boxes().shape == (0, 9)


def test_each_instance_is_there_once_with_its_best_label():
    found = boxes(
        row(9, 26001, 0.99, x=0.0),  # before the window
        row(21, 26001, 0.99, x=0.0),  # after it
        row(10, 26001, 0.5, x=5.0),
        row(20, 26001, 0.8, x=6.0),
        row(15, 26001, 0.8, x=7.0),  # the first of the best
        row(12, 26002, 0.1, x=8.0),
        row(12, 26003, 0.9, is_moving=True),
        row(12, 26004, 0.9, x=9.0, is_moving=None),
    )
    assert found[:, 0].tolist() == [7.0, 8.0, 9.0]
    assert found[:, 8].tolist() == [0.8, 0.1, 0.9]
