"""Up and metres of one's own drives: as they are given, as they are found, and as they are estimated."""

import numpy as np
import pytest
from own_drives import DRIVE, SEQUENCE, WRITERS, write_drive
from scipy.spatial.transform import Rotation

from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.folder.camera import CameraFile
from vsrd_ray.datasets.folder.world import estimated_up, placed
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse

# x right = world -y, y down = world -z, looks along world x
AHEAD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def drive_round(*, pitch=6.0, roll=0.0, turns=True, count=60, step=0.8):
    """`T_world_cam` of a camera, fixed to a car on level ground 1.6 m over the road; degrees."""
    mount = AHEAD @ Rotation.from_euler("xz", [-pitch, roll], degrees=True).as_matrix()
    poses, position = {}, np.array([0.0, 0.0, 1.6])
    for frame in range(count):
        yaw = 0.02 * frame if turns else 0.0
        R = Rotation.from_euler("z", yaw).as_matrix()
        poses[frame] = np.eye(4)
        poses[frame][:3, :3], poses[frame][:3, 3] = R @ mount, position
        position = position + R @ [step, 0, 0]
    return poses


def turned(poses, rotation, scale=1.0):
    """The poses in another world."""
    T = np.eye(4)
    T[:3, :3] = rotation
    moved = {frame: T @ pose for frame, pose in poses.items()}
    for pose in moved.values():
        pose[:3, 3] *= scale
    return moved


def off(up, expected=(0, 0, 1)):
    return np.degrees(np.arccos(np.clip(np.dot(up, expected), -1, 1)))


def place(poses, *, is_metric=True, points=None, **camera):
    return placed(
        poses,
        CameraFile(**camera),
        place="poses.txt",
        is_metric=is_metric,
        read_points=lambda: np.empty((0, 3)) if points is None else points,
    )


@pytest.mark.parametrize("pitch", [-10, 0, 6, 25])
def test_a_pitched_camera_does_not_tilt_the_world(pitch):
    poses = np.stack(list(drive_round(pitch=pitch, turns=False).values()))
    assert off(estimated_up(poses)) < 0.01


def test_a_rolled_camera_tilts_it_by_less_where_the_drive_turns():
    straight = np.stack(list(drive_round(roll=2.0, turns=False).values()))
    turning = np.stack(list(drive_round(roll=2.0).values()))
    assert off(estimated_up(straight)) == pytest.approx(2.0, abs=0.1)
    assert off(estimated_up(turning)) < 1.0


def test_a_camera_that_stands_or_looks_sideways_is_upright_in_the_mean():
    standing = np.stack(list(drive_round(pitch=3.0, step=0.0, turns=False).values()))
    assert off(estimated_up(standing)) == pytest.approx(3.0, abs=0.1)
    sideways = {frame: pose.copy() for frame, pose in drive_round(pitch=0.0, turns=False).items()}
    for pose in sideways.values():
        pose[:3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix() @ pose[:3, :3]
    assert off(estimated_up(np.stack(list(sideways.values())))) < 0.1


def test_the_first_cameras_world_is_levelled():
    """KITTI's odometry: the world is the first camera, which looks down by 6 degrees."""
    poses = drive_round()
    given = {frame: inverse(poses[0]) @ pose for frame, pose in poses.items()}
    found = place(given)
    assert found.up_is_estimated and found.up == "estimated by how the camera moves"
    heights = np.array([pose[2, 3] for pose in found.T_world_cam.values()])
    assert np.ptp(heights) < 0.02
    first = found.T_world_cam[0]
    assert np.degrees(np.arcsin(first[2, 2])) == pytest.approx(-6.0, abs=0.1)


def test_up_of_the_camera_file_goes_first():
    rotation = Rotation.from_euler("xyz", [70, 20, 130], degrees=True).as_matrix()
    found = place(turned(drive_round(), rotation), up=tuple(rotation[:, 2].tolist()))
    assert not found.up_is_estimated
    for frame, pose in drive_round().items():
        assert found.T_world_cam[frame][2, 3] == pytest.approx(pose[2, 3], abs=1e-9)
        np.testing.assert_allclose(found.T_world_cam[frame][2, :3], pose[2, :3], atol=1e-9)
    hanging = place(turned(drive_round(), np.diag([1.0, -1, -1])), up=(0, 0, -1))
    assert hanging.T_world_cam[0][2, 3] == pytest.approx(1.6)


def test_a_z_axis_that_is_up_is_taken_as_it_is_to_the_last_bit():
    poses = drive_round()
    found = place(poses)
    assert not found.up_is_estimated
    for frame, pose in poses.items():
        np.testing.assert_array_equal(found.T_world_cam[frame], pose)


@pytest.mark.parametrize("form", [name for name in WRITERS if name.startswith(("colmap", "transforms"))])
def test_structure_from_motion_needs_a_scale(street, tmp_path, form):
    folder = write_drive(tmp_path, street, form)
    (folder / "camera.yaml").unlink()
    with pytest.raises(InputError, match=r"structure from motion has no metres, .* how many metres a unit is"):
        open_drive(tmp_path, DRIVE)


def test_scale_multiplies_positions():
    poses = drive_round()
    found = place(turned(poses, np.eye(3), scale=0.1), is_metric=False, up=(0, 0, 1), scale=10.0)
    for frame, pose in poses.items():
        np.testing.assert_allclose(found.T_world_cam[frame], pose, atol=1e-9)


def road_points(poses, rng, *, road, cars, other):
    """Points of a flat road around the cameras, of cars beside it, and of houses."""
    centers = np.stack([pose[:3, 3] for pose in poses.values()])
    at = centers[rng.integers(len(centers), size=road)] + rng.normal(0, 2.0, size=(road, 3))
    at[:, 2] = rng.normal(0, 0.02, size=road)
    beside = centers[rng.integers(len(centers), size=cars)] + rng.normal(0, 1.0, size=(cars, 3)) + [0, 3.5, 0]
    beside[:, 2] = rng.uniform(0.2, 1.6, size=cars)
    houses = rng.uniform(-40, 60, size=(other, 3)) + np.array([0, 0, 41])
    return np.concatenate([at, beside, houses])


def test_the_height_of_the_camera_scales_a_model_with_points_of_the_road():
    poses, unit = drive_round(), 0.137
    rotation = Rotation.from_euler("xyz", [95, 4, 30], degrees=True).as_matrix()
    points = road_points(poses, np.random.default_rng(3), road=300, cars=600, other=2000)
    given = turned(poses, rotation, scale=unit)
    found = place(given, is_metric=False, points=unit * points @ rotation.T, camera_height=1.6)
    path = np.linalg.norm(found.T_world_cam[59][:3, 3] - found.T_world_cam[0][:3, 3])
    assert path == pytest.approx(np.linalg.norm(poses[59][:3, 3] - poses[0][:3, 3]), rel=0.02)


def test_without_points_of_the_road_a_height_is_refused():
    poses = drive_round()
    few = road_points(poses, np.random.default_rng(3), road=20, cars=600, other=2000)
    for points in (None, few):
        with pytest.raises(InputError, match=r"poses\.txt: camera_height needs points of the road, .* give scale"):
            place(poses, is_metric=False, points=points, camera_height=1.6)


def test_an_estimate_is_told(street, tmp_path):
    folder = write_drive(tmp_path, street, "colmap binary")
    (folder / "camera.yaml").write_text("scale: 1.0\n")
    drive = open_drive(tmp_path, DRIVE)
    (warning,) = drive.warnings
    assert "which way is up is estimated by how the camera moves; `up: [x, y, z]` in camera.yaml" in warning
    there = open_drive(street, SEQUENCE)
    tilts = [off(drive.T_world_cam[frame][2, :3] @ there.T_world_cam[frame][:3, :3].T) for frame in drive.T_world_cam]
    assert np.mean(tilts) < 2.5  # the street's camera is rolled by 1.5 degrees, and the street has a slope


def test_real_odometry_is_levelled(shared):
    """ORB-SLAM3's poses of two real drives, in the first camera's world, against the OxTS unit's gravity."""
    golden = np.load(shared / "reference" / "tracking_golden.npz")
    for number, most in (("0009", 0.6), ("0059", 2.3)):  # 0059 goes straight on, with a camera rolled by 2 degrees
        file = shared / f"data/kitti_raw_mini/orb_slam3/2011_09_26/2011_09_26_drive_{number}_sync.txt"
        rows = np.loadtxt(file).reshape(-1, 3, 4)
        given = np.tile(np.eye(4), (len(rows), 1, 1))
        given[:, :3] = rows
        T_world_cam = golden[f"pose_{number}_T_world_cam2"][: len(rows)]
        up_given = np.mean(given[:, :3, :3] @ np.swapaxes(T_world_cam[:, :3, :3], -1, -2), axis=0)[:, 2]
        assert off(estimated_up(given), up_given / np.linalg.norm(up_given)) < most
