"""Opening drives of KITTI's raw data, with the holes that real ones have."""

import shutil

import cv2
import numpy as np
import pytest

from vsrd_ray.data.classes import UNKNOWN
from vsrd_ray.data.drive import IMAGES, MASKS, POINTS
from vsrd_ray.data.given import Given
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.datasets.base import dataset_of, open_drive
from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.datasets.kitti_raw.spec import SPEC
from vsrd_ray.errors import InputError, UnreadableFrameError

NAME = "2011_09_29_drive_0004_sync"


def steps(drive):
    positions = [drive.T_world_cam[frame][:3, 3] for frame in sorted(drive.T_world_cam)]
    return np.linalg.norm(np.diff(positions, axis=0), axis=1)


def test_a_drive_is_recognised_and_opened_with_its_calibration_chain(raw):
    assert dataset_of(raw).name == "kitti_raw"
    assert SPEC.drives(raw) == [NAME]
    drive = open_drive(raw, NAME)
    assert (drive.camera.name, drive.image_size) == ("image_02", (120, 40))
    assert drive.layers[IMAGES] == {"image_02": (3,)}
    first = drive.T_world_cam[0]
    # x right is south where the car heads east; z ahead is east; y is down
    np.testing.assert_allclose(first[:3, :3], [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], atol=1e-12)
    # the IMU in camera 0 is .3 to the left, and camera 2 is .06 to the left of camera 0
    T_imu_cam = np.array([0.8 + 0.3, -0.3 + 0.06, 0.8 - 0.1])
    late = np.array([10.0 * 0.002, 0, 0])
    np.testing.assert_allclose(first[:3, 3], T_imu_cam - late, atol=1e-5)


def test_camera_3_stands_half_a_metre_to_the_right(raw):
    drive = SPEC.open(raw, NAME, ("image_02", "image_03"))
    apart = drive.cameras["image_03"].T_world_cam[4][:3, 3] - drive.cameras["image_02"].T_world_cam[4][:3, 3]
    np.testing.assert_allclose(apart, [0, -0.53, 0], atol=1e-9)


def test_poses_are_those_of_the_images_times_and_published_ones_jitter(raw):
    np.testing.assert_allclose(steps(open_drive(raw, NAME)), 1.0, atol=1e-5)
    published = steps(open_drive(raw, NAME, given=Given(poses="oxts-published")))
    np.testing.assert_allclose(np.ptp(published), 0.15, atol=1e-4)


def test_poses_of_packets_alone_and_of_an_unsure_gps_are_warned_of(raw, tmp_path):
    assert open_drive(raw, NAME).is_geographic
    (alone,) = open_drive(raw, NAME).warnings
    assert "poses of GPS and IMU alone limit boxes" in alone and "give a file of visual odometry as --poses" in alone
    for frame in range(3):
        file = paths.packet_file(raw, NAME, frame)
        values = file.read_text().split()
        values[23] = "0.9"
        file.write_text(" ".join(values))
    assert "the GPS is unsure by more than 0.4 m in 3 of 12 frames" in open_drive(raw, NAME).warnings[0]
    odometry = tmp_path / "orb.txt"
    odometry.write_text("".join(f"1 0 0 0 0 1 0 0 0 0 1 {frame}\n" for frame in range(12)))
    assert open_drive(raw, NAME, given=Given(pose_file=odometry)).warnings == (
        f"{odometry}: 11 m of common path alone tell its scale by OxTS.",
    )


def test_without_timestamps_steps_tell_the_lag(tmp_path, write_raw):
    root = write_raw(tmp_path / "untimed", has_times=False)
    np.testing.assert_allclose(steps(open_drive(root, NAME)), 1.0, atol=0.02)
    assert not open_drive(root, NAME).camera.times_s


def test_blank_lines_in_timestamps_are_frames_without_a_time(raw):
    file = raw / "2011_09_29" / NAME / "oxts" / "timestamps.txt"
    lines = file.read_text().splitlines()
    lines[5] = ""
    file.write_text("\n".join(lines))
    spaced = steps(open_drive(raw, NAME))
    np.testing.assert_allclose(np.delete(spaced, [4, 5]), 1.0, atol=1e-5)
    np.testing.assert_allclose(spaced[[4, 5]], 1.0, atol=0.06)  # the median of the other lags stands in
    images = raw / "2011_09_29" / NAME / "image_02" / "timestamps.txt"
    lines = images.read_text().splitlines()
    lines[7] = " "
    images.write_text("\n".join(lines))
    times = open_drive(raw, NAME).camera.times_s
    assert times[7] - times[6] == pytest.approx(0.1, abs=1e-6)
    images.write_text("\n".join(lines[:9]))
    drive = open_drive(raw, NAME)
    assert not drive.camera.times_s and len(drive.T_world_cam) == 12
    assert drive.warnings[-1].startswith(f"{images}: times of frames 0-8, and poses of 0-11: times are not used")


def test_frames_without_a_packet_have_no_pose_and_are_counted(raw):
    for frame in (0, 6):
        paths.packet_file(raw, NAME, frame).unlink()
    paths.packet_file(raw, NAME, 8).write_text("\n")
    drive = open_drive(raw, NAME)
    assert sorted(drive.T_world_cam) == [1, 2, 3, 4, 5, 7, 9, 10, 11]
    index = index_frames(drive, [*all_frames(drive), 6], layers=(IMAGES,)).to_pylist()
    skipped = {row["frame"]: row["skipped"] for row in index}
    assert (skipped[3], skipped[6], skipped[7]) == (None, "no pose", "no image")


def test_masks_of_kitti_mots_become_instances_and_what_is_ignored_is_unknown(raw):
    folder = raw / "mots" / "instances" / "0018"
    folder.mkdir(parents=True)
    ids = np.zeros((40, 120), np.uint16)
    ids[:5], ids[5:10], ids[10:15] = 1000, 2007, 10000
    cv2.imwrite(str(folder / "000003.png"), ids)
    drive = open_drive(raw, NAME)
    assert drive.mask_frames == (3,)
    found = drive.read(MASKS, "image_02", 3)
    assert found[[0, 5, 10, 20], 0].tolist() == [1001, 2008, UNKNOWN, 0]
    rows = index_frames(drive, [3]).to_pylist()
    assert [(row["instance_id"], row["class_name"], row["area"]) for row in rows] == [
        (1001, "car", 600),
        (2008, "person", 600),
    ]
    assert SPEC.open(raw, NAME, ("image_03",)).mask_frames == ()
    ids[20:] = 3000
    cv2.imwrite(str(folder / "000003.png"), ids)
    with pytest.raises(InputError, match=r"000003\.png: 3000 is no id of KITTI-MOTS"):
        drive.read(MASKS, "image_02", 3)
    cv2.imwrite(str(folder / "000003.png"), ids[:30])
    with pytest.raises(InputError, match=r"expected 120 x 40 px .* got 120 x 30"):
        drive.read(MASKS, "image_02", 3)


def test_sweeps_lie_in_the_lidars_frame(raw):
    folder = paths.point_folder(raw, NAME)
    folder.mkdir(parents=True)
    (folder / "0000000002.bin").write_bytes(np.arange(8, dtype="<f4").tobytes())
    (folder / "0000000004.bin").write_bytes(b"cut off")
    drive = open_drive(raw, NAME)
    assert drive.frames_with(POINTS, "velodyne") == (2, 4)
    assert drive.read(POINTS, "velodyne", 2).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    np.testing.assert_allclose(drive.lidars["velodyne"].T_world_lidar[2][:3, :3], np.eye(3), atol=1e-12)
    with pytest.raises(UnreadableFrameError, match=r"0000000004\.bin: 7 bytes"):
        drive.read(POINTS, "velodyne", 4)


def test_images_are_checked(raw):
    drive = open_drive(raw, NAME)
    assert drive.read(IMAGES, "image_02", 3).shape == (40, 120, 3)
    with pytest.raises(InputError, match=r"no image .*0000000004\.png"):
        drive.read(IMAGES, "image_02", 4)


def appended(path, line):
    path.write_text(f"{path.read_text()}\n{line}")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: shutil.rmtree(paths.packet_folder(root, NAME)), r"no OxTS packets in .*data: unpack .* --poses"),
        (lambda root: paths.packet_file(root, NAME, 4).write_text("1 2 3"), r"0000000004\.txt, line 1: .* got 3"),
        (
            lambda root: paths.packet_file(root, NAME, 4).write_text("x " * 30),
            r"0000000004\.txt, line 1: .*'x'",
        ),
        (lambda root: paths.imu_calibration_file(root, NAME).unlink(), r"no calibration file .*calib_imu_to_velo"),
        (
            lambda root: paths.lidar_calibration_file(root, NAME).write_text("R: 1 0 0 0 1 0 0 0 2\nT: 0 0 0"),
            r"calib_velo_to_cam\.txt: R is no rotation",
        ),
        (
            lambda root: appended(paths.calibration_file(root, NAME), "S_rect_02: 1 1\n"),
            r"calib_cam_to_cam\.txt: two entries S_rect_02 with other values",
        ),
        (
            lambda root: paths.packet_times_file(root, NAME).write_text("2011-09-26 13:02:25.9\nyesterday\n"),
            r"oxts/timestamps\.txt, line 2: 'yesterday' is no date and time",
        ),
        (
            lambda root: paths.packet_times_file(root, NAME).write_text("2011-09-26 13:12:25.9\n"),
            r"packets are 600\.9\d+ s later than the images",
        ),
    ],
)
def test_bad_files_are_named(raw, spoil, message):
    spoil(raw)
    with pytest.raises(InputError, match=message):
        open_drive(raw, NAME)


def test_unsynchronised_drives_are_refused_by_name(tmp_path):
    (tmp_path / "2011_09_26" / "2011_09_26_drive_0001_extract").mkdir(parents=True)
    assert dataset_of(tmp_path).name == "kitti_raw"
    with pytest.raises(InputError, match=r"no drive under .* but 2011_09_26_drive_0001_extract: .*_sync archive"):
        SPEC.drives(tmp_path)
    with pytest.raises(InputError, match=r"2011_09_26_drive_0001_extract: drives _extract are neither"):
        open_drive(tmp_path, "2011_09_26_drive_0001_extract")


def test_the_folder_of_a_day_is_no_root(raw):
    with pytest.raises(InputError, match=r"2011_09_29 is the folder of one day: give the folder around it, .*raw$"):
        open_drive(raw / "2011_09_29", NAME)


def test_unknown_drives_and_cameras_are_told_with_the_known_ones(raw):
    with pytest.raises(InputError, match=rf"no sequence '2011_09_26_drive_0010_sync' under .*: give one of {NAME}"):
        open_drive(raw, "2011_09_26_drive_0010_sync")
    with pytest.raises(InputError, match="unknown camera 'image_00'"):
        open_drive(raw, NAME, "image_00")


def test_what_is_missing_is_told_with_the_place(raw):
    assert "KITTI-MOTS's instances.zip" in SPEC.missing(raw, NAME, MASKS, "image_02")
    assert "--masks FILE" in SPEC.missing(raw, "2011_09_26_drive_0001_sync", MASKS, "image_02")
    assert "it is not there" in SPEC.missing(raw, NAME, POINTS, "velodyne")
    assert "it is not there" in SPEC.missing(raw, NAME, IMAGES, "image_03")


def test_fingerprints_follow_files(raw):
    before = SPEC.fingerprint(raw, NAME, ("image_02",))
    assert SPEC.fingerprint(raw, NAME, ("image_02",)) == before
    paths.packet_file(raw, NAME, 2).write_text("longer than before" * 99)
    assert SPEC.fingerprint(raw, NAME, ("image_02",)) != before


def test_drives_of_the_tracking_benchmark_are_its_sequences():
    numbers = {
        name: paths.tracking_sequence(f"{name}_sync") for name in ("2011_09_26_drive_0005", "2011_10_03_drive_0047")
    }
    assert numbers == {"2011_09_26_drive_0005": 0, "2011_10_03_drive_0047": 20}
    assert paths.tracking_sequence("2011_09_26_drive_0091_sync") == 13
    assert paths.tracking_sequence("2011_09_28_drive_0001_sync") == 14
    assert paths.tracking_sequence("2011_09_26_drive_0001_sync") is None


def test_cameras_of_a_day_that_looked_beside_their_calibration_are_turned(tmp_path, write_raw):
    name = "2011_09_26_drive_0005_sync"
    root = write_raw(tmp_path / "turned", name=name)
    turned, as_calibrated = (
        open_drive(root, name, given=given).T_world_cam[4][:3, 2] for given in (Given(), Given(poses="oxts-published"))
    )
    np.testing.assert_allclose(as_calibrated, [1, 0, 0], atol=1e-12)  # east
    np.testing.assert_allclose(np.degrees(turned[1:]), [-0.3, 0.15], atol=1e-3)  # to the right, and up
