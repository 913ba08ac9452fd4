"""The layout of KITTI's tracking benchmark, read back as its development kit reads it: by the places of the columns."""

import csv
from dataclasses import dataclass

import numpy as np
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.formats.export import export
from vsrd_ray.labels.boxes.formats.kitti_tracking import _names, _with_level
from vsrd_ray.labels.boxes.selection import Selection

SEQUENCE = "2013_05_28_drive_0042_sync"
FRAMES = (1, 2, 3, 5)


@dataclass(frozen=True)
class Line:
    """A line of label_02, by the table in the readme of the benchmark's development kit."""

    frame: int
    track_id: int
    type: str
    truncated: int
    occluded: int
    alpha: float
    bbox: tuple[float, ...]
    dimensions: tuple[float, ...]  # height, width, length
    location: tuple[float, ...]
    rotation_y: float
    score: float


def read_lines(path):
    lines = []
    for line in path.read_text().splitlines():
        words = line.split(" ")
        assert len(words) == 18
        numbers = [float(word) for word in words[5:]]
        lines.append(
            Line(
                int(words[0]), int(words[1]), words[2], int(words[3]), int(words[4]), numbers[0],
                tuple(numbers[1:5]), tuple(numbers[5:8]), tuple(numbers[8:11]), numbers[11], numbers[12],
            )
        )  # fmt: skip
    return lines


def table(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_kitti_tracking_comes_back(moving_run, poses, same_boxes, tmp_path):
    folder = tmp_path / "tracking"
    export(moving_run.output, moving_run.root, folder, format="kitti-tracking")
    lines = read_lines(folder / "training/label_02/0042.txt")
    assert [(line.frame, line.track_id) for line in lines] == [(f, t) for f in range(4) for t in range(4)]
    assert [line.type for line in lines] == ["Car", "Car", "Car", "Truck"] * 4
    assert [line.score for line in lines[:4]] == [0.95, 0.4, 0.8, 0.7]
    for number, frame in enumerate(FRAMES):
        of_frame = [line for line in lines if line.frame == number]
        rows = moving_run.rows.filter(moving_run.rows["frame"].to_numpy() == frame)
        boxes = UprightBoxes.from_kitti_camera(
            np.array([line.location for line in of_frame]),
            np.array([line.dimensions for line in of_frame])[:, ::-1],
            np.array([line.rotation_y for line in of_frame]),
            poses[frame],
        )
        same_boxes(rows, boxes.centers, boxes.dimensions_lwh, boxes.yaws, atol=2e-4)
        edges = np.column_stack([rows[f"bbox_{side}"] for side in ("left", "top", "right", "bottom")])
        np.testing.assert_allclose([line.bbox for line in of_frame], edges, atol=0.01)
        assert [line.occluded for line in of_frame] == rows["occlusion"].to_pylist()
    frames, tracks = table(folder / "frames.csv"), table(folder / "tracks.csv")
    assert [(row["name"], int(row["number"]), row["sequence"], int(row["frame"])) for row in frames] == [
        ("0042", number, SEQUENCE, frame) for number, frame in enumerate(FRAMES)
    ]
    assert [(int(row["track"]), int(row["instance_id"]), row["class_name"]) for row in tracks] == [
        (0, 26001, "car"), (1, 26002, "car"), (2, 26003, "car"), (3, 27001, "truck")
    ]  # fmt: skip
    assert (folder / "training/evaluate_tracking.seqmap.training").read_text() == "0042 empty 000000 000004\n"


def test_calibration_and_images_are_where_the_benchmark_has_them(run, tmp_path, caplog):
    image = paths.image_file(run.root, SEQUENCE, "image_00", 3)
    image.parent.mkdir(parents=True)
    image.write_bytes(b"image")
    folder = tmp_path / "tracking" / "training"
    export(run.output, run.root, tmp_path / "tracking", format="kitti-tracking")
    words = [line.split() for line in (folder / "calib/0042.txt").read_text().splitlines()]
    assert [line[0] for line in words] == ["P0:", "P1:", "P2:", "P3:", "R_rect", "Tr_velo_cam", "Tr_imu_velo"]
    np.testing.assert_array_equal(np.array(words[2][1:], float), [50, 0, 10, 0, 0, 40, 8, 0, 0, 0, 1, 0])
    (link,) = (folder / "image_02/0042").iterdir()
    assert link.name == "000002.png" and link.read_bytes() == b"image" and not link.readlink().is_absolute()
    assert "3 of 4 frames have no image" in caplog.text


def test_what_is_not_trusted_is_a_region_without_a_track(run, tmp_path):
    """And tracks are counted without it."""
    selection = Selection(keep_doubtful=False)
    export(run.output, run.root, tmp_path / "tracking", format="kitti-tracking", selection=selection)
    lines = read_lines(tmp_path / "tracking/training/label_02/0042.txt")
    assert [(line.track_id, line.type) for line in lines[:4]] == [
        (0, "Car"),
        (1, "Car"),
        (2, "Truck"),
        (-1, "DontCare"),
    ]
    assert len(lines) == 16 and lines[3].bbox == (32, 20, 43, 29)  # its mask's


def test_frames_without_boxes_are_counted_and_have_no_lines(run, tmp_path):
    export(run.output, run.root, tmp_path / "tracking", format="kitti-tracking", selection=Selection(max_range=9.0))
    lines = read_lines(tmp_path / "tracking/training/label_02/0042.txt")
    assert [(line.frame, line.track_id) for line in lines] == [(1, 0), (2, 0), (3, 0), (3, 1)]
    assert [row["number"] for row in table(tmp_path / "tracking/frames.csv")] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(("share", "level"), [(0.0, 0), (0.15, 0), (0.16, 1), (0.5, 1), (0.51, 2), (1.0, 2)])
def test_truncation_has_three_levels(share, level):
    assert _with_level(f"Car {share:.2f} 0 1.0", share) == f"Car {level} 0 1.0"


def test_sequences_have_their_numbers_where_each_has_its_own():
    from builders import make_drive

    drives = [make_drive(f"2013_05_28_drive_{number:04d}_sync") for number in (3, 10)]
    assert _names(drives) == ["0003", "0010"]
    twin = make_drive("2014_01_01_drive_0003_sync")
    assert _names([*drives, twin]) == [drive.name for drive in (*drives, twin)]
    assert _names([make_drive("street")]) == ["street"]
