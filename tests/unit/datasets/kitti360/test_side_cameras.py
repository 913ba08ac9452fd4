"""KITTI-360's fisheyes as pinhole cameras that look to the sides, which only training opens."""

import shutil

import cv2
import numpy as np
import pytest

from vsrd_ray.data.drive import DEPTH, IMAGES, MASKS, SEMANTICS
from vsrd_ray.datasets.base import dataset_named, side_cameras
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.fisheyes import read_fisheye
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.geometry import rigid
from vsrd_ray.synthetic import StreetSettings, layers, synthesize
from vsrd_ray.synthetic.rig import T_EGO_CAM0, T_EGO_FISHEYE

STREET = StreetSettings(
    frames=2,
    cars=3,
    seed=11,
    image_size=(352, 96),
    fisheye_side=256,
    texture="rich",
    layers=("depth", "semantics", "right", "fisheye"),
    exact_depth=True,
)
DRIVE = STREET.sequence
KITTI360 = dataset_named("kitti360")
ALL = (*KITTI360.cameras, *side_cameras(KITTI360))


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    root = tmp_path_factory.mktemp("street")
    synthesize(root, STREET)
    return root


@pytest.fixture
def root(street, tmp_path):
    return shutil.copytree(street, tmp_path / "street")


@pytest.mark.parametrize("name", paths.FISHEYES)
def test_what_a_fisheye_sees_stands_where_its_pinhole_camera_has_it(street, name):
    drive = KITTI360.open(street, DRIVE, ALL)
    model, depth = read_fisheye(street, name), layers.read_depth(street, DRIVE, name, 1)
    raw = cv2.imread(str(paths.image_file(street, DRIVE, name, 1)))
    rows, columns = np.nonzero((depth > 2) & (depth < 30))
    rays = model.directions(np.stack([columns, rows], axis=-1).astype(float))
    T_cam0_fisheye = rigid.inverse(T_EGO_CAM0) @ T_EGO_FISHEYE[name]
    T_world_fisheye = drive.cameras["image_00"].T_world_cam[1] @ T_cam0_fisheye
    points = rigid.apply(T_world_fisheye, rays * depth[rows, columns][:, None])

    camera = drive.cameras[name]
    seen = rigid.apply(rigid.inverse(camera.T_world_cam[1]), points) @ camera.K.T
    place = seen[:, :2] / seen[:, 2:]
    inside = (seen[:, 2] > 0) & (place >= 2).all(axis=1) & (place <= np.array(camera.image_size) - 3).all(axis=1)
    assert inside.sum() > 1000
    image = drive.read(IMAGES, name, 1)
    assert image.shape == (96, 352, 3) and image.dtype == np.uint8

    def difference(shift):
        u, v = (place[inside] + shift).astype(np.float32).T
        found = cv2.remap(image.astype(np.float32), u[None], v[None], cv2.INTER_LINEAR)[0]
        return np.abs(found - raw[rows[inside], columns[inside]]).mean()

    # nowhere else do the colours agree as well, not even a pixel away
    here = difference((0, 0))
    assert here < 4
    assert all(difference(shift) > 1.5 * here for shift in ((1, 0), (-1, 0), (0, 1), (0, -1)))


def test_only_who_asks_gets_fisheyes_and_of_them_images_alone(street):
    assert list(KITTI360.open(street, DRIVE, KITTI360.cameras).cameras) == ["image_00", "image_01"]
    drive = KITTI360.open(street, DRIVE, ALL)
    assert list(drive.cameras) == ["image_00", "image_01", "image_02", "image_03"]
    assert drive.frames_with(IMAGES, "image_03") == (0, 1)
    for layer in (MASKS, SEMANTICS, DEPTH):
        assert drive.frames_with(layer, "image_00") == (0, 1)
        assert drive.frames_with(layer, "image_02") == ()
    # they look left and right, down by 15 degrees
    for name, across in (("image_02", 1), ("image_03", -1)):
        T_ego_cam = T_EGO_CAM0 @ rigid.inverse(drive.T_world_cam[0]) @ drive.cameras[name].T_world_cam[0]
        assert T_ego_cam[:3, 2] == pytest.approx(
            [0, across * np.cos(np.radians(15)), -np.sin(np.radians(15))], abs=1e-6
        )


def test_fisheyes_without_images_are_left_out(root):
    shutil.rmtree(paths.image_folder(root, DRIVE, "image_02"))
    paths.fisheye_calibration_file(root, "image_02").unlink()
    assert list(KITTI360.open(root, DRIVE, ALL).cameras) == ["image_00", "image_01", "image_03"]


@pytest.mark.parametrize(
    ("lost", "message"),
    [("image_03.yaml", r"image_03\.yaml"), ("calib_cam_to_pose.txt", r"calib_cam_to_pose\.txt")],
)
def test_a_fisheye_without_calibration_is_refused(root, lost, message):
    (root / "calibration" / lost).unlink()
    with pytest.raises(InputError, match=rf"no .*{message}: download KITTI-360's calibrations"):
        KITTI360.open(root, DRIVE, ALL)


def test_images_of_another_size_or_damaged_are_named(root):
    drive = KITTI360.open(root, DRIVE, ALL)
    cv2.imwrite(str(paths.image_file(root, DRIVE, "image_02", 0)), np.zeros((96, 352, 3), np.uint8))
    with pytest.raises(InputError, match=r"0000000000\.png: expected 256 x 256 px as in image_02\.yaml, got 352 x 96"):
        drive.read(IMAGES, "image_02", 0)
    paths.image_file(root, DRIVE, "image_02", 1).write_bytes(b"torn")
    with pytest.raises(UnreadableFrameError, match=r"data_rgb.0000000001\.png: the pixels cannot be decoded"):
        drive.read(IMAGES, "image_02", 1)


def test_the_fingerprint_tells_of_fisheyes_where_they_are_asked_for(root):
    alone, both = (KITTI360.fingerprint(root, DRIVE, cameras) for cameras in (KITTI360.cameras, ALL))
    calibration = paths.fisheye_calibration_file(root, "image_02")
    calibration.write_text(calibration.read_text() + "\n")
    assert KITTI360.fingerprint(root, DRIVE, KITTI360.cameras) == alone
    changed = KITTI360.fingerprint(root, DRIVE, ALL)
    assert changed != both
    for name in paths.FISHEYES:
        shutil.rmtree(paths.image_folder(root, DRIVE, name))
    assert KITTI360.fingerprint(root, DRIVE, ALL) == alone
