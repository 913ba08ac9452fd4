"""Calibration, fisheyes and lists of key frames of the density networks: `density_golden.npz`, `density_splits.npz`."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vsrd_ray.datasets.kitti360.calibration import read_calibration, read_lidar
from vsrd_ray.datasets.kitti360.fisheyes import FISHEYES, read_fisheye, read_T_pose_cam
from vsrd_ray.datasets.kitti_raw.calibration import read_camera, read_T_cam0_lidar
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.fisheye import fisheye_pixels, lookup, turned
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.labelers.density.networks.splits import read_split
from vsrd_ray.poses.files import read_pose_file
from vsrd_ray.rendering.images import normalised_intrinsics

CLOSE = {"rtol": 0, "atol": 1e-9}
DRIVE = "2011_09_26_drive_0001_sync"


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "reference" / "density_golden.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def kitti360(shared):
    return shared / "data" / "kitti360_real"


@pytest.fixture(scope="module")
def raw(shared):
    return shared / "data" / "kitti_raw_mini"


def tilt(yaw_deg, pitch_deg):
    T = np.eye(4)
    T[:3, :3] = turned(yaw_deg=yaw_deg, pitch_deg=pitch_deg)
    return T


def intrinsics(camera):
    return normalised_intrinsics(torch.from_numpy(camera.K), camera.image_size, half_pixel=False).numpy()


def test_kitti360_cameras_and_lidar(golden, kitti360):
    np.testing.assert_allclose(intrinsics(read_calibration(kitti360, "image_00")), golden["k360_K_norm"], **CLOSE)
    for number in range(4):
        T_pose_cam = read_T_pose_cam(kitti360, f"image_{number:02d}")
        expected = golden[f"k360_T_pose_cam{number:02d}"]
        turn = tilt(0, -15) if f"image_{number:02d}" in FISHEYES else np.eye(4)
        np.testing.assert_allclose(T_pose_cam @ turn, expected, **CLOSE)
    T_cam0_lidar = read_lidar(kitti360, "image_00")
    np.testing.assert_allclose(T_cam0_lidar, golden["k360_T_cam00_velo"], **CLOSE)
    T_pose_lidar = read_T_pose_cam(kitti360, "image_00") @ T_cam0_lidar
    np.testing.assert_allclose(T_pose_lidar, golden["k360_T_pose_velo"], **CLOSE)
    T_cam1_lidar = np.linalg.inv(read_T_pose_cam(kitti360, "image_01")) @ T_pose_lidar
    np.testing.assert_allclose(T_cam1_lidar, golden["k360_T_cam01_velo"], **CLOSE)


def test_turned_fisheyes(golden):
    for name, yaw in (("02", 25), ("03", -25)):
        np.testing.assert_allclose(tilt(0, -15)[:3, :3], golden[f"k360_R_{name}"], **CLOSE)
        np.testing.assert_allclose(tilt(yaw, -25)[:3, :3], golden[f"k360_R_{name}_25"], **CLOSE)


def test_fisheyes_as_pinhole_cameras(golden, kitti360):
    for camera in FISHEYES:
        model = read_fisheye(kitti360, camera)
        published = replace(model, distortion=(*model.distortion[:2], 0.0, 0.0))  # ignores p1 and p2
        turn = turned(yaw_deg=0, pitch_deg=-15)
        pixels = fisheye_pixels(published, golden["k360_K_norm"], turn, (640, 192), corners=True)
        grid = pixels / model.image_size * 2 - 1
        np.testing.assert_allclose(grid[::8, ::8], golden[f"mei_grid_{camera[-2:]}"], **CLOSE)
        if camera == "image_02":
            image = golden["mei_image"]
            found = lookup(image, (grid + 1) / 2 * (len(image) - 1))
            np.testing.assert_allclose(found[::8, ::8], golden["mei_resampled_02"], **CLOSE)
        ours = fisheye_pixels(model, golden["k360_K_norm"], turn, (640, 192))
        assert 0.1 < np.abs(ours - pixels).max() < 6  # px of 1400: what the two quirks amount to


def test_kitti_raw_cameras_and_lidar(golden, raw):
    left, right = (read_camera(raw, DRIVE, camera) for camera in ("image_02", "image_03"))
    np.testing.assert_allclose(intrinsics(left), golden["raw_K_norm"], **CLOSE)
    P = left.K @ (left.T_cam_cam0 @ read_T_cam0_lidar(raw, DRIVE))[:3]
    np.testing.assert_allclose(P, golden["raw_P_velo_to_left"], **CLOSE)
    # As published the cameras are shifted along x alone; P_rect says 2 to 3 mm more in y and z.
    for camera, name in ((left, "left"), (right, "right")):
        np.testing.assert_allclose(inverse(camera.T_cam_cam0), golden[f"raw_T_cam0_{name}"], rtol=0, atol=3e-3)


def test_orb_slam_poses_are_read_as_poses_of_camera_0(golden, raw):
    read = read_pose_file(raw / "orb_slam3" / "2011_09_26" / f"{DRIVE}.txt", camera="image_02", times_s={})
    found = np.stack([read.poses[frame][:3].ravel() for frame in range(20)])
    np.testing.assert_allclose(found, golden["raw_orbslam_0001"], **CLOSE)


def test_a_missing_fisheye_is_named(tmp_path, kitti360):
    with pytest.raises(InputError, match=r"no calibration file .*image_02.yaml: download"):
        read_fisheye(tmp_path, "image_02")
    with pytest.raises(InputError, match=r"'image_00' is no fisheye of KITTI-360: give one of image_02, image_03"):
        read_fisheye(kitti360, "image_00")


@pytest.mark.parametrize(
    ("name", "counts"),
    [("k360", {"train": 98_008, "val": 11_451, "test": 446}), ("raw", {"train": 39_810, "val": 4_424, "test": 697})],
)
def test_published_lists_of_key_frames(shared, tmp_path, name, counts):
    with np.load(shared / "reference" / "density_splits.npz") as arrays:
        splits = dict(arrays)
    drives = splits[f"{name}_sequences"]
    assert {part: len(splits[f"{name}_{part}_frame"]) for part in counts} == counts
    frames, numbers = splits[f"{name}_test_frame"].tolist(), splits[f"{name}_test_sequence"]
    right = np.unpackbits(splits[f"{name}_test_right"])[: len(frames)]
    rows = list(zip(drives[numbers].tolist(), frames, np.where(right, "r", "l").tolist(), strict=True))
    (tmp_path / "test.txt").write_bytes("".join(f"{drive} {frame} {side}\r\n" for drive, frame, side in rows).encode())
    found = read_split(tmp_path / "test.txt")
    assert [(key.drive, key.frame, key.side) for key in found] == [(row[0].split("/")[-1], *row[1:]) for row in rows]


@pytest.mark.parametrize("line", ["drive 3", "drive x l", "drive 3 left"])
def test_a_line_of_another_form_is_named(tmp_path, line):
    (tmp_path / "some.txt").write_text(f"drive 1 r\n{line}\n")
    with pytest.raises(InputError, match=r"some.txt, line 2: expected '<drive> <frame> <l or r>', got"):
        read_split(tmp_path / "some.txt")
