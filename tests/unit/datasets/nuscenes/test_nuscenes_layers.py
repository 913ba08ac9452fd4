"""Images, points and masks of a scene, and what is said of files that are not as they should be."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vsrd_ray.data.drive import IMAGES, MASKS, POINTS
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.nuscenes.spec import SPEC
from vsrd_ray.errors import InputError, UnreadableFrameError

SCENE = "scene-0000"


def test_points_are_those_of_the_file(written_street: Path) -> None:
    drive = open_drive(written_street, SCENE)
    for frame in (0, 33):
        expected = np.fromfile(drive.file(POINTS, "LIDAR_TOP", frame), dtype="<f4").reshape(-1, 5)
        found = drive.read(POINTS, "LIDAR_TOP", frame)
        assert found.dtype == np.float32 and found.flags.writeable
        np.testing.assert_array_equal(found, expected)


def test_images_are_those_of_the_file(written_street: Path) -> None:
    drive = open_drive(written_street, SCENE, "CAM_BACK_LEFT")
    np.testing.assert_array_equal(
        drive.read(IMAGES, "CAM_BACK_LEFT", 67), cv2.imread(str(drive.file(IMAGES, "CAM_BACK_LEFT", 67)))
    )


@pytest.mark.parametrize(
    ("layer", "sensor", "content", "error", "message"),
    [
        (POINTS, "LIDAR_TOP", b"0" * 30, UnreadableFrameError, "30 bytes are no whole number of points of 20 bytes"),
        (IMAGES, "CAM_FRONT", b"", UnreadableFrameError, "the pixels cannot be decoded: restore the file"),
        (
            IMAGES,
            "CAM_FRONT",
            cv2.imencode(".jpg", np.zeros((90, 120, 3), np.uint8))[1].tobytes(),
            InputError,
            "expected 160 x 90 px as in sample_data.json, got 120 x 90 px",
        ),
        (POINTS, "LIDAR_TOP", None, InputError, "no points .*LIDAR_TOP.*: restore the file"),
        (IMAGES, "CAM_FRONT", None, InputError, "no image .*CAM_FRONT.*: restore the file"),
    ],
)
def test_files_that_cannot_be_used(layer, sensor, content, error, message: str, spoilt: Path) -> None:  # noqa: PLR0917 - fixtures
    drive = open_drive(spoilt, SCENE)
    path = drive.file(layer, sensor, 33)
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(error, match=message) as raised:
        drive.read(layer, sensor, 33)
    assert str(path) in str(raised.value) and type(raised.value) is error


def test_masks_are_read_in_the_form_of_pointsam(spoilt: Path, write_masks) -> None:
    semantic, instance = np.full((90, 160), 10), np.full((90, 160), -1)
    semantic[:10], instance[:10] = 0, 4  # a car
    semantic[10:20], instance[10:20] = 7, 0  # a pedestrian
    semantic[20:30] = 9  # barriers without an instance
    write_masks(spoilt, "CAM_FRONT", open_drive(spoilt, SCENE).files["CAM_FRONT"][67], semantic, instance)
    drive = open_drive(spoilt, SCENE)
    assert drive.mask_frames == (67,)
    found = drive.read(MASKS, "CAM_FRONT", 67)
    expected = np.zeros((90, 160), np.uint16)
    expected[:10], expected[10:20], expected[20:30] = 4005, 7001, 1000
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint16
    assert [drive.classes.name_of(number) for number in (4005, 7001, 1000)] == ["car", "pedestrian", "barrier"]


@pytest.mark.parametrize(
    ("semantic", "instance", "message"),
    [
        (np.full((90, 160), 11), np.full((90, 160), -1), r"semantic_.*npz: numbers from 11 to 11: expected 0 to 10"),
        (
            np.full((90, 160), 0),
            np.full((90, 160), 999),
            r"instance_.*npz: numbers from 999 to 999: expected -1 to 998",
        ),
        (np.full((90, 80), 0), np.full((90, 160), 0), r"semantic_.*: expected 160 x 90 px .*, got 80 x 90 px"),
        (np.full((90, 160, 1), 0), np.full((90, 160), 0), r"semantic_.*: expected whole numbers \[H, W\]"),
    ],
)
def test_masks_of_other_numbers_or_sizes(semantic, instance, message: str, spoilt: Path, write_masks) -> None:
    write_masks(spoilt, "CAM_FRONT", open_drive(spoilt, SCENE).files["CAM_FRONT"][0], semantic, instance)
    with pytest.raises(InputError, match=message):
        open_drive(spoilt, SCENE).read(MASKS, "CAM_FRONT", 0)


def test_masks_that_are_torn(spoilt: Path, write_masks) -> None:
    values = np.zeros((90, 160))
    path = write_masks(spoilt, "CAM_FRONT", open_drive(spoilt, SCENE).files["CAM_FRONT"][0], values, values)
    drive, whole = open_drive(spoilt, SCENE), path.read_bytes()
    for content in (b"", whole[:100], whole[:-30], whole[:60] + b"xxxxxx" + whole[66:]):
        path.write_bytes(content)
        with pytest.raises(UnreadableFrameError, match=f"{path.name}: no .npz of arrays .*: restore the file"):
            drive.read(MASKS, "CAM_FRONT", 0)
    np.savez(path, other=values)
    with pytest.raises(InputError, match="no array 'data'"):
        drive.read(MASKS, "CAM_FRONT", 0)


def test_real_masks_are_read(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "ddad_nuscenes_layout"
    link = tmp_path / "root"
    link.mkdir()
    for name in ("samples", "v1.0-mini"):
        (link / name).symlink_to(root / name)
    (link / "masks").symlink_to(root / "masks" / "body")
    drive = SPEC.open(link, "scene-0103", SPEC.cameras)
    assert {drive.frames_with(MASKS, camera) for camera in drive.cameras} == {(0, 100, 200)}
    assert np.unique(drive.read(MASKS, "CAM_FRONT", 0)).tolist() == [0, 4002, 4003, 10001]


def test_what_is_missing_is_said(written_street: Path) -> None:
    where = written_street / "masks" / "CAM_FRONT"
    message = (
        f"no masks of {SCENE} in {where}: give --masks, or put instance_<image>.npz and semantic_<image>.npz there"
    )
    assert SPEC.missing(written_street, SCENE, MASKS, "CAM_FRONT") == message
    assert f"no images in {written_street / 'samples' / 'CAM_BACK'}" in SPEC.missing(
        written_street, None, IMAGES, "CAM_BACK"
    )
    assert (
        "no depth of" in (line := SPEC.missing(written_street, SCENE, "depth", "CAM_FRONT")) and "depth_gt: put" in line
    )
    assert "nuScenes has no lanes here" in SPEC.missing(written_street, SCENE, "lanes", "CAM_FRONT")
