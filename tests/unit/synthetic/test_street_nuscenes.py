import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vsrd_ray.datasets.kitti360.boxes import read_boxes
from vsrd_ray.geometry import rigid
from vsrd_ray.synthetic import StreetSettings, layers, synthesize
from vsrd_ray.synthetic.nuscenes import CATEGORIES, CHANNELS

SETTINGS = StreetSettings(
    frames=4,
    cars=4,
    moving=1,
    seed=2,
    image_size=(64, 32),
    frame_spacing=2.0,
    mask_noise=0.0,
    lidar_noise=0.0,
    layers=("surround",),
    surround_size=(160, 90),
    keyframe_every=2,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nuscenes")
    synthesize(folder, SETTINGS)
    return layers.nuscenes_root(folder, SETTINGS.sequence)


@pytest.fixture(scope="module")
def tables(root: Path) -> dict[str, dict[str, dict]]:
    return {
        path.stem: {row["token"]: row for row in json.loads(path.read_text())} for path in root.glob("v1.0-mini/*.json")
    }


def transform(row: dict) -> np.ndarray:
    T_a_b = np.eye(4)
    w, x, y, z = row["rotation"]
    T_a_b[:3, :3], T_a_b[:3, 3] = Rotation.from_quat([x, y, z, w]).as_matrix(), row["translation"]
    return T_a_b


def test_every_token_names_a_row(tables) -> None:
    others = {"next": None, "prev": None, "lidarseg": None}
    for name, rows in tables.items():
        for row in rows.values():
            for key, value in row.items():
                target = (
                    name if key in others else key.removeprefix("first_").removeprefix("last_").removesuffix("_token")
                )
                target = {"annotation": "sample_annotation"}.get(target, target)
                if (key.endswith("_token") or key in others) and value:
                    assert value in tables[target], (name, key)


def test_chains_run_through_keyframes_and_sweeps(tables, root: Path) -> None:
    sensors = {token: row["channel"] for token, row in tables["sensor"].items()}
    assert sorted(sensors.values()) == sorted(CHANNELS)
    starts = [row for row in tables["sample_data"].values() if row["prev"] == ""]
    assert len(starts) == len(CHANNELS)
    for start in starts:
        keys, row = [], start
        while row:
            keys.append(row["is_key_frame"])
            assert (root / row["filename"]).is_file()
            assert row["filename"].startswith("samples" if row["is_key_frame"] else "sweeps")
            row = tables["sample_data"].get(row["next"])
        assert keys == [True, False, True, False]
    assert len(tables["sample"]) == 2


def test_annotations_are_the_boxes_of_the_street(tables, root: Path) -> None:
    boxes = read_boxes(root.parents[1], SETTINGS.sequence)
    for row in tables["sample_annotation"].values():
        distances = np.linalg.norm(boxes.boxes.centers - row["translation"], axis=1)
        index = int(distances.argmin())
        assert distances[index] < 1e-3
        width, length, height = row["size"]
        assert [length, width, height] == pytest.approx(boxes.boxes.dimensions_lwh[index].tolist(), abs=1e-5)
        assert row["num_lidar_pts"] > 0


def test_points_project_onto_images_of_the_same_things(tables, root: Path) -> None:
    """The whole chain: LiDAR, ego at its time, global, ego at the camera's time, camera, pixel."""
    lidar = next(row for row in tables["sample_data"].values() if "LIDAR" in row["filename"] and row["is_key_frame"])
    points = np.fromfile(root / lidar["filename"], dtype=np.float32).reshape(-1, 5)
    assert set(np.unique(points[:, 4])) <= set(range(32))
    panoptic = np.load(root / f"panoptic/v1.0-mini/{lidar['token']}_panoptic.npz")["data"]
    category = np.fromfile(root / f"lidarseg/v1.0-mini/{lidar['token']}_lidarseg.bin", dtype=np.uint8)
    assert (panoptic // 1000 == category).all()
    in_global = rigid.apply(_T_global_sensor(tables, lidar), points[:, :3].astype(float))
    agreeing = total = 0
    for row in tables["sample_data"].values():
        if "CAM" not in row["filename"] or row["sample_token"] != lidar["sample_token"] or not row["is_key_frame"]:
            continue
        channel, stem = row["filename"].split("/")[1], Path(row["filename"]).stem
        mask = cv2.imread(str(root / "truth" / "instance" / channel / f"{stem}.png"), cv2.IMREAD_UNCHANGED)
        calibrated = tables["calibrated_sensor"][row["calibrated_sensor_token"]]
        local = rigid.apply(rigid.inverse(_T_global_sensor(tables, row)), in_global)
        ahead = local[:, 2] > 1
        uv = np.rint((local[ahead] / local[ahead, 2:]) @ np.array(calibrated["camera_intrinsic"]).T)[:, :2].astype(int)
        inside = ((uv >= 0) & (uv < [160, 90])).all(axis=1)
        is_car = mask[uv[inside, 1], uv[inside, 0]] // 1000 == 26
        assert mask.shape == (90, 160)
        truth = category[ahead][inside] == CATEGORIES.index("vehicle.car")
        agreeing, total = agreeing + (truth == is_car).sum(), total + len(truth)
    assert total > 1000
    assert agreeing / total > 0.9


def test_sensors_turn_as_their_times_say(tables) -> None:
    channels = {}
    for row in tables["sample_data"].values():
        if row["prev"] == "":
            channels[row["filename"].split("/")[1]] = row["timestamp"]
    start = channels["LIDAR_TOP"]
    assert channels["CAM_FRONT"] == start
    assert channels["CAM_FRONT_LEFT"] < start < channels["CAM_FRONT_RIGHT"] < channels["CAM_BACK"] == start + 50_000


def _T_global_sensor(tables, row: dict) -> np.ndarray:  # noqa: N802
    calibrated, ego = (
        tables["calibrated_sensor"][row["calibrated_sensor_token"]],
        tables["ego_pose"][row["ego_pose_token"]],
    )
    return transform(ego) @ transform(calibrated)
