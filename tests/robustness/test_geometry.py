"""Poses and calibrations that cannot be, named with their likely cause; inputs that do not belong together."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.data.drive import Camera
from vsrd_ray.data.placement import check_placement
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.calibration import read_calibration
from vsrd_ray.datasets.kitti360.poses import read_poses
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse, is_rigid, why_not_rigid
from vsrd_ray.runs.records import is_suspicious

SEQUENCE = "2013_05_28_drive_0000_sync"
CAMERA_OF_VEHICLE = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # T_vehicle_cam
SFM_WORLD = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # y down
OPENGL = np.diag([1.0, -1, -1, 1])


def rotation(axis: int, degrees: float) -> np.ndarray:
    """About an axis, [4, 4]."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    T = np.eye(4)
    T[a, a], T[a, b], T[b, a], T[b, b] = cos, -sin, sin, cos
    return T


def drive(heading: float = 20.0, turn: float = 3.0, step: float = 0.8, num_frames: int = 40) -> np.ndarray:
    """Poses [N, 4, 4] of a camera that looks ahead on a vehicle that drives a bend."""
    T_world_vehicle = np.eye(4)
    T_world_vehicle[:3, 3] = (1200.0, -3400.0, 116.0)
    T_world_vehicle = T_world_vehicle @ rotation(2, heading)
    poses = []
    for _ in range(num_frames):
        poses.append(T_world_vehicle @ CAMERA_OF_VEHICLE)
        T_world_vehicle = T_world_vehicle @ rotation(2, turn)
        T_world_vehicle[:3, 3] += step * T_world_vehicle[:3, 0]
    return np.stack(poses)


def check(poses: np.ndarray) -> list[str]:
    T_world_cam = dict(enumerate(poses))
    return check_placement(Camera("image_00", np.eye(3), (10, 10), T_world_cam), place="poses")


def scaled(poses: np.ndarray, factor: float) -> np.ndarray:
    """Positions in another unit."""
    poses = poses.copy()
    poses[:, :3, 3] *= factor
    return poses


@given(
    heading=st.floats(-180, 180),
    turn=st.floats(-5, 5),
    roll=st.floats(-20, 20),
    pitch=st.floats(-25, 25),
    step=st.floats(0.05, 4),
)
@settings(max_examples=60, deadline=None)
def test_vehicles_of_all_headings_are_taken(heading, turn, roll, pitch, step):
    assert check(drive(heading, turn, step) @ rotation(2, roll) @ rotation(0, pitch)) == []


@pytest.mark.parametrize("heading", [-130.0, -60.0, 10.0, 75.0, 160.0])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda poses: SFM_WORLD @ poses, "y axis points down"),
        (inverse, "world-to-camera"),
        (lambda poses: poses @ OPENGL, "OpenGL's axes"),
        (lambda poses: np.diag([1.0, -1, -1, 1]) @ poses, "z axis points down"),
        (lambda poses: poses @ np.diag([-1.0, -1, 1, 1]), "upside down"),
        (lambda poses: poses @ inverse(CAMERA_OF_VEHICLE), "vehicle or its IMU"),
        (lambda poses: inverse(SFM_WORLD @ poses), "world-to-camera"),
        (lambda poses: inverse(SFM_WORLD) @ poses @ OPENGL, "OpenGL"),
        (lambda poses: poses @ rotation(2, 35), "rolled by 35 degrees"),
        (lambda poses: poses @ rotation(0, 90), "looks up by 90 degrees"),
        (lambda poses: scaled(poses, 1000), "positions in metres"),
    ],
)
def test_other_conventions_are_named(heading, change, words):
    with pytest.raises(InputError, match=words):
        check(change(drive(heading, turn=1.0)))


def test_a_place_that_is_not_on_earth_is_told_with_its_frame():
    poses = drive()
    poses[9, 0, 3] = 99999999999.0
    with pytest.raises(InputError, match=r"poses: in frame 9 the camera is 1e\+11 m from the origin"):
        check(poses)
    poses[:, :3, 3] = drive()[:, :3, 3] + (691_000.0, 5_335_000.0, 520.0)  # UTM
    assert not check(poses)


def test_jump_is_told_with_its_frames():
    poses = drive()
    poses[17:, :3, 3] += (60.0, 0, 0)
    (warning,) = check(poses)
    assert "jumps by" in warning and "between frames 16 and 17" in warning
    poses = drive()
    poses[9] = poses[9] @ rotation(1, 180)
    (warning,) = check(poses)
    assert "turns by" in warning and "frames 8 and 9, and 1 times more" in warning


def test_a_camera_that_stays_or_does_not_drive_ahead_is_told():
    poses = drive(turn=0.0)
    for still in (
        np.repeat(poses[:1], 40, axis=0),
        scaled(poses - poses[:1], 0.01) + poses[:1] * [[[1], [1], [1], [0]]],
    ):
        still[:, :3, :3], still[:, 3] = poses[:, :3, :3], (0, 0, 0, 1)
        (warning,) = check(still)
        assert "stays within" in warning and "positions are in metres" in warning
    assert ["moves backwards: " in warning for warning in check(poses[::-1])] == [True]
    assert ["moves sideways: " in warning for warning in check(poses @ rotation(1, 90))] == [True]
    assert check(poses[:4]) == check(poses[:1]) == []


def test_one_frame_upside_down_is_told():
    poses = drive()
    poses[9] = poses[9] @ rotation(2, 180)
    (warning,) = check(poses)
    assert "turns by" in warning and "frames 8 and 9, and 1 times more" in warning


@pytest.mark.parametrize("point", [(10, 119), (690, 119), (341, 5), (341, 180)])
def test_principal_point_near_the_edge_is_told(here, label, point):
    path = paths.calibration_file(here / "root")
    lines = path.read_text().splitlines()
    other = f"P_rect_00: 276.277130 0 {point[0]} 0 0 276.277130 {point[1]} 0 0 0 1 0"
    path.write_text("".join(f"{other}\n" if line.startswith("P_rect_00") else f"{line}\n" for line in lines))
    result = label()
    assert result.exit_code == 0
    assert f"the principal point ({point[0]}, {point[1]}) of image_00 is far from the middle" in result.stdout


@given(st.lists(st.floats(-1e3, 1e3), min_size=16, max_size=16))
@settings(max_examples=200, deadline=None)
def test_only_rigid_matrices_are_taken(values):
    T = np.array(values).reshape(4, 4)
    R = T[:3, :3]
    twin = np.allclose(np.linalg.inv(T), inverse(T), atol=0.01) if abs(np.linalg.det(T)) > 1e-9 else False
    assert not is_rigid(T) or (twin and np.isclose(np.linalg.det(R), 1, atol=0.01))
    assert is_rigid(T) or why_not_rigid(T)


@given(st.lists(st.floats(-180, 180), min_size=3, max_size=3), st.integers(4, 12))
@settings(max_examples=100, deadline=None)
def test_rounding_of_text_files_is_no_fault(angles, decimals):
    T = rotation(0, angles[0]) @ rotation(1, angles[1]) @ rotation(2, angles[2])
    assert is_rigid(np.round(T, decimals))


def write_lines(root, lines):
    path = paths.poses_file(root, SEQUENCE)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture
def lines(here):
    return paths.poses_file(here / "root", SEQUENCE).read_text().splitlines()


def transposed(line: str) -> str:
    frame, *numbers = line.split()
    return " ".join([frame, *np.array(numbers).reshape(4, 4).T.ravel()])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (transposed, "line 3: the pose of frame 2 .* transposed, as column-major"),
        (lambda line: " ".join([*line.split()[:-1], "7"]), "last row is 0 0 0 7"),
        (lambda line: " ".join(line.split()[:13]), "got 13: .* poses.txt .* vehicle"),
        (lambda line: " ".join(line.split()[1:]), "got 16: .* without its frame"),
        (lambda line: " ".join(line.split()[1:13]), "got 12: .* KITTI's odometry"),
        (lambda line: line.replace(" ", ","), "got 1: write spaces"),
        (lambda line: "9999999999" + line[1:], "expected a whole frame number .* got 9999999999"),
        (lambda line: "2.5" + line[1:], "expected a whole frame number .* got 2.5"),
        (lambda line: "-2" + line[1:], "expected a whole frame number .* got -2"),
        (lambda line: "nan" + line[1:], "expected a whole frame number .* got nan"),
        (lambda line: "1" + line[1:], "another pose of frame 1, which line 2 has"),
        (lambda line: "2 " + "0 " * 15 + "1", "its rotation is zero"),
    ],
)
def test_odd_lines_of_poses_are_refused_by_number(here, lines, change, words):
    path = write_lines(here / "root", [*lines[:2], change(lines[2]), *lines[3:]])
    with pytest.raises(InputError, match=words) as told:
        read_poses(here / "root", SEQUENCE)
    assert f"{path}, line 3" in str(told.value)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.diag([-1.0, 1, 1, 1]), "mirrors"),
        (np.diag([2.0, 2, 2, 1]), "scales by 2"),
        (np.diag([1.0, 2, 1, 1]), "right angles"),
    ],
)
def test_matrices_that_are_no_motion_are_refused(here, matrix, words):
    poses = read_poses(here / "root", SEQUENCE)
    texts = (" ".join([str(frame), *map(repr, (pose @ matrix).ravel().tolist())]) for frame, pose in poses.items())
    write_lines(here / "root", texts)
    with pytest.raises(InputError, match=words):
        read_poses(here / "root", SEQUENCE)


def test_other_ways_to_write_the_same_poses_are_taken(here, lines):
    sound = read_poses(here / "root", SEQUENCE)
    frames = [line.split()[0] for line in lines]
    others = [line.replace(frame, f"{float(frame):.18e}", 1) for frame, line in zip(frames, lines, strict=True)]
    for text in (others, [*lines, lines[0]], lines[::-1], ["\ufeff" + lines[0], *lines[1:]]):
        write_lines(here / "root", text)
        read = read_poses(here / "root", SEQUENCE)
        assert read.keys() == sound.keys()
        assert all((read[frame] == sound[frame]).all() for frame in sound)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ("-276.3 0 341 0 0 276.3 59 0 0 0 1 0", "expected numbers above 0"),
        ("0 0 341 0 0 0 59 0 0 0 1 0", "expected numbers above 0"),
        ("276.3 0 9999 0 0 276.3 59 0 0 0 1 0", r"principal point \(9999, 59\) lies outside"),
        ("276.3 0 341 0 0 276.3 -1 0 0 0 1 0", "principal point"),
        ("0.39 0 .48 0 0 1.47 .63 0 0 0 1 0", "too small"),
        ("3.5 0 3.4 0 0 3.5 1.2 0 0 0 1 0", "too small"),
        ("276.3 0 341 0 0 1100 59 0 0 0 1 0", "belong to no camera"),
        ("552.6 0 682 0 0 552.6 118 0 0 0 2 0", "third row ends with 2"),
        ("276.3 0 341 0 0 276.3 59 0 0 0 0 0", "third row is 0 0 0"),
        ("276.3 0 0 0 0 276.3 0 0 341 59 1 0", "third row is 341 59 1"),
        ("276.3 200 341 0 0 276.3 59 0 0 0 1 0", "skewed"),
        ("276.3 0 341 -99999 0 276.3 59 0 0 0 1 0", "shifts the camera"),
        ("1e9 0 341 0 0 1e9 59 0 0 0 1 0", "too large"),
    ],
)
def test_camera_matrices_that_no_camera_has_are_refused(here, numbers, words):
    path = paths.calibration_file(here / "root")
    lines = path.read_text().splitlines()
    path.write_text(
        "".join(f"P_rect_00: {numbers}\n" if line.startswith("P_rect_00") else f"{line}\n" for line in lines)
    )
    with pytest.raises(InputError, match=words) as told:
        read_calibration(here / "root", "image_00")
    assert f"{path}: P_rect_00" in str(told.value)


@pytest.mark.parametrize("size", ["0 188", "704.5 188", "-704 188", "704 1e9"])
def test_sizes_that_no_image_has_are_refused(here, size):
    path = paths.calibration_file(here / "root")
    lines = path.read_text().splitlines()
    path.write_text("".join(f"S_rect_00: {size}\n" if line.startswith("S_rect_00") else f"{line}\n" for line in lines))
    with pytest.raises(InputError, match="S_rect_00 is no image size"):
        read_calibration(here / "root", "image_00")


def test_second_entry_with_other_numbers_is_refused(here):
    path = paths.calibration_file(here / "root")
    text = path.read_text()
    path.write_text(text + text)
    read_calibration(here / "root", "image_00")
    path.write_text(text + "P_rect_00: 100 0 341 0 0 100 59 0 0 0 1 0\n")
    with pytest.raises(InputError, match="two entries P_rect_00"):
        read_calibration(here / "root", "image_00")


@pytest.mark.parametrize("file", [paths.calibration_file, lambda root: paths.poses_file(root, SEQUENCE)])
def test_folder_in_a_files_place_is_refused(here, label, refused, file):
    path = file(here / "root")
    path.unlink()
    path.mkdir()
    refused(label(), f"{path.name}: expected a file, got a folder")


def test_label_refuses_poses_of_another_convention_before_it_writes(here, label, refused):
    poses = read_poses(here / "root", SEQUENCE)
    texts = (" ".join([str(frame), *map(repr, (SFM_WORLD @ pose).ravel().tolist())]) for frame, pose in poses.items())
    write_lines(here / "root", texts)
    refused(label(), "cam0_to_world.txt", "y axis points down")
    assert not (here / "new").exists()


def test_inputs_that_do_not_belong_together_end_with_a_warning(here, label, command):
    path = paths.calibration_file(here / "root")
    lines = path.read_text().splitlines()
    cropped = "P_rect_00: 276.277130 0 461.0 0 0 276.277130 59.0 0 0 0 1 0"
    path.write_text("".join(f"{cropped}\n" if line.startswith("P_rect_00") else f"{line}\n" for line in lines))
    result = label()
    assert result.exit_code == 0
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("Warning"))
    assert "of the labels have a confidence below 0.2" in line and "cropped or resized" in line
    warnings = json.loads((here / "new" / "manifest.json").read_text())["warnings"]
    assert warnings == {SEQUENCE: [line.removeprefix("Warning").strip()]}
    assert command("report", "new", "--root", "root").exit_code == 0
    assert "cropped or resized" in (here / "new" / "report.html").read_text()


def test_sound_run_has_no_warning(sound):
    assert json.loads((sound / "out" / "manifest.json").read_text())["warnings"] == {}


def change_masks(root, change):
    folder = paths.mask_folder(root, SEQUENCE, "image_00")
    for path in folder.iterdir():
        path.write_bytes(cv2.imencode(".png", change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))[1].tobytes())


@pytest.mark.parametrize(
    "change",
    [np.flipud, lambda mask: np.concatenate([mask[40:], np.zeros_like(mask[:40])])],
    ids=["flipped", "shifted"],
)
def test_masks_that_hover_are_told(here, label, change):
    """Silhouettes alone fit: all that is seen of a street may as well hang from the sky."""
    change_masks(here / "root", change)
    result = label()
    assert result.exit_code == 0, result.output
    assert "of the masks of car lie above the horizon" in result.stdout and "upside down" in result.stdout


def test_few_labels_that_are_all_doubtful_are_enough():
    assert [is_suspicious(n, n) for n in (0, 3, 4, 9, 10)] == [False, False, True, True, True]
    assert [is_suspicious(n, 10) for n in (5, 6)] == [False, True] and not is_suspicious(8, 9)
