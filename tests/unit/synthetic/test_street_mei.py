from pathlib import Path

import numpy as np
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.fisheyes import read_fisheye
from vsrd_ray.geometry import rigid
from vsrd_ray.synthetic import rig

MODELS = rig.fisheye_models(512)


@pytest.mark.parametrize("name", rig.FISHEYES)
def test_directions_project_onto_their_pixels(name: str) -> None:
    pixels = np.random.default_rng(0).uniform(60, 450, size=(500, 2))
    directions = MODELS[name].directions(pixels)
    assert np.linalg.norm(directions, axis=1) == pytest.approx(1)
    assert MODELS[name].project(7.0 * directions) == pytest.approx(pixels, abs=1e-6)


def test_the_optical_axis_meets_the_principal_point() -> None:
    for model in MODELS.values():
        assert model.project(np.array([0.0, 0.0, 2.0])) == pytest.approx(np.array(model.center))


@pytest.mark.parametrize("name", rig.FISHEYES)
def test_a_camera_sees_half_a_turn(name: str) -> None:
    rim = np.array([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0]])
    pixels = MODELS[name].project(rim)
    assert (pixels > 0).all() and (pixels < 512).all()
    assert np.ptp(pixels, axis=0).min() > 440


def test_calibrations_are_read_as_they_were_written(tmp_path: Path) -> None:
    for name, model in MODELS.items():
        path = paths.fisheye_calibration_file(tmp_path, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(model.yaml(name))
        assert read_fisheye(tmp_path, name) == model


def test_fisheyes_look_to_the_sides_and_the_surround_around() -> None:
    assert rig.T_EGO_FISHEYE["image_02"][:3, 2] == pytest.approx(np.array([0, 1, 0]))
    assert rig.T_EGO_FISHEYE["image_03"][:3, 2] == pytest.approx(np.array([0, -1, 0]))
    headings = [
        np.degrees(np.arctan2(*mount.T_ego_cam[[1, 0], 2])) for mount in rig.surround_mounts((480, 270)).values()
    ]
    assert np.abs(headings) == pytest.approx(np.array([0, 56, 110, 180, 110, 56]))
    delays = [rig.surround_delay(name) for name in rig.SURROUND]
    assert delays == pytest.approx([0, 0.015556, 0.030556, 0.05, -0.030556, -0.015556])


def test_calibration_texts_hold_the_rig() -> None:
    rows = {line.split(":")[0]: line.split(":")[1] for line in rig.pose_text().splitlines()}
    assert list(rows) == ["image_00", "image_01", "image_02", "image_03"]
    T_pose_cam0, T_pose_cam1 = np.eye(4), np.eye(4)
    T_pose_cam0[:3] = np.array(rows["image_00"].split(), dtype=float).reshape(3, 4)
    T_pose_cam1[:3] = np.array(rows["image_01"].split(), dtype=float).reshape(3, 4)
    assert rigid.inverse(T_pose_cam0) @ T_pose_cam1 == pytest.approx(rig.T_CAM0_CAM1, abs=1e-12)
    T_velo_cam = np.array(rig.velo_text().split(), dtype=float).reshape(3, 4)
    assert T_velo_cam[:, 3] == pytest.approx(np.array([0.8, 0.3, -0.18]))
