"""Scenes as drives: frames, poses and files against the tables, and what is kept between runs."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vsrd_ray.data.drive import IMAGES, MASKS, POINTS
from vsrd_ray.datasets.base import dataset_of, open_drive
from vsrd_ray.datasets.nuscenes import cache, present, tables
from vsrd_ray.datasets.nuscenes.readings import READINGS
from vsrd_ray.datasets.nuscenes.spec import SPEC
from vsrd_ray.errors import InputError
from vsrd_ray.storage import open_location

SCENE = "scene-0000"

FRAMES = (0, 33, 67, 100, 133, 167)


def rows_of(root: Path, name: str) -> dict[str, dict]:
    rows = json.loads((root / "v1.0-mini" / f"{name}.json").read_text())
    return {row["token"]: row for row in rows}


def transform(row: dict) -> np.ndarray:
    w, x, y, z = row["rotation"]
    T_a_b = np.eye(4)
    T_a_b[:3, :3], T_a_b[:3, 3] = Rotation.from_quat([x, y, z, w]).as_matrix(), row["translation"]
    return T_a_b


def test_a_scene_has_its_sensors_with_poses_and_times_of_their_own(written_street: Path) -> None:
    """Against the chain of tokens, followed one by one."""
    assert dataset_of(written_street) is SPEC
    assert SPEC.drives(written_street) == [SCENE]
    drive = SPEC.open(written_street, SCENE, SPEC.cameras)
    readings, poses, calibrated = (
        rows_of(written_street, name) for name in ("sample_data", "ego_pose", "calibrated_sensor")
    )
    assert tuple(drive.cameras) == SPEC.cameras and tuple(drive.lidars) == ("LIDAR_TOP",)
    for channel in (*drive.cameras, *drive.lidars):
        sensor = drive.cameras.get(channel) or drive.lidars[channel]
        found = sensor.T_world_cam if channel in drive.cameras else sensor.T_world_lidar
        layer = IMAGES if channel in drive.cameras else POINTS
        own = sorted(
            (row for row in readings.values() if f"/{channel}/" in row["filename"]), key=lambda row: row["timestamp"]
        )
        assert drive.frames_with(layer, channel) == FRAMES == tuple(found)
        for frame, row in zip(FRAMES, own, strict=True):
            T_ego_sensor = transform(calibrated[row["calibrated_sensor_token"]])
            np.testing.assert_allclose(found[frame], transform(poses[row["ego_pose_token"]]) @ T_ego_sensor, atol=1e-9)
            assert round(sensor.times_s[frame] * 1e6) == row["timestamp"]
            assert drive.file(layer, channel, frame) == written_street / row["filename"]
            assert drive.detail("tokens")[channel][frame] == row["token"]
            assert row["is_key_frame"] == (frame % 100 == 0)
            assert drive.detail("sample_tokens").get(frame) == (row["sample_token"] if row["is_key_frame"] else None)
    camera = drive.cameras["CAM_BACK"]
    assert camera.image_size == (160, 90)
    row = next(row for row in readings.values() if "/CAM_BACK/" in row["filename"])
    np.testing.assert_array_equal(camera.K, calibrated[row["calibrated_sensor_token"]]["camera_intrinsic"])


def test_a_part_of_a_scene_reads_its_frames_elsewhere(written_street: Path) -> None:
    part = pickle.loads(pickle.dumps(open_drive(written_street, SCENE, "CAM_BACK").part([33, 100])))
    assert list(part.cameras) == ["CAM_BACK"]
    assert part.frames_with(POINTS, "LIDAR_TOP") == (33, 100)
    assert part.read(IMAGES, "CAM_BACK", 33).shape == (90, 160, 3)
    assert list(part.detail("sample_tokens")) == [100]
    with pytest.raises(InputError, match="no frame 67 of CAM_BACK"):
        part.read(IMAGES, "CAM_BACK", 67)


def test_a_real_scene_has_other_cameras_and_a_keyframe_a_second(shared: Path) -> None:
    root = shared / "data" / "ddad_nuscenes_layout"
    drive = SPEC.open(root, "scene-0103", SPEC.cameras)
    assert {camera.image_size for camera in drive.cameras.values()} == {(1936, 1216)}
    assert {drive.frames_with(IMAGES, name) for name in drive.cameras} == {(0, 100, 200)}
    assert drive.frames_with(POINTS, "LIDAR_TOP") == (0, 100, 200)
    for frame, seconds in drive.lidars["LIDAR_TOP"].times_s.items():
        assert seconds - drive.cameras["CAM_FRONT"].times_s[frame] == pytest.approx(0.09, abs=0.03)


def test_a_real_keyframe_projects_as_published(shared: Path) -> None:
    root, golden = shared / "data" / "nuscenes_keyframe", np.load(shared / "reference" / "pointsam_golden.npz")
    drive = SPEC.open(root, "scene-0061", SPEC.cameras)
    points = drive.read(POINTS, "LIDAR_TOP", 0)[:, :3].astype(np.float64)
    T_world_lidar = drive.lidars["LIDAR_TOP"].T_world_lidar[0]
    in_world = points @ T_world_lidar[:3, :3].T + T_world_lidar[:3, 3]
    for name, camera in drive.cameras.items():
        index, uv = golden[f"keyframe/{name}/index"], golden[f"keyframe/{name}/uv"]
        T_cam_world = np.linalg.inv(camera.T_world_cam[0])
        in_cam = in_world[index] @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
        found = (in_cam / in_cam[:, 2:]) @ camera.K.T
        assert len(index) > 3000
        np.testing.assert_allclose(found[:, :2], uv, atol=0.02)


def test_files_that_are_not_there_have_no_frame(spoilt: Path) -> None:
    drive = open_drive(spoilt, SCENE)
    drive.file(IMAGES, "CAM_FRONT", 33).unlink()
    shutil.rmtree(spoilt / "sweeps" / "LIDAR_TOP")
    drive = open_drive(spoilt, SCENE)
    assert drive.frames_with(IMAGES, "CAM_FRONT") == (0, 67, 100, 133, 167)
    assert drive.frames_with(POINTS, "LIDAR_TOP") == (0, 100)
    assert SPEC.has_layer(spoilt, SCENE, POINTS, "LIDAR_TOP") and not SPEC.has_layer(spoilt, SCENE, MASKS, "CAM_FRONT")
    shutil.rmtree(spoilt / "samples")
    assert not SPEC.has_layer(spoilt, SCENE, POINTS, "LIDAR_TOP")
    folder = spoilt / "samples" / "LIDAR_TOP"
    message = f"no points of {SCENE} in {folder}: unpack the file blobs there"
    assert SPEC.missing(spoilt, SCENE, POINTS, "CAM_FRONT") == message


def test_a_rig_of_other_cameras_is_read_whole(spoilt: Path, edit) -> None:
    edit(
        "sensor", lambda rows: [row | {"channel": row["channel"].replace("CAM_BACK_LEFT", "CAM_TELE")} for row in rows]
    )
    edit("sample_data", lambda rows: [row for row in rows if "/CAM_FRONT_LEFT/" not in row["filename"]])
    drive = SPEC.open(spoilt, SCENE, SPEC.cameras)
    assert tuple(drive.cameras) == ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_TELE")
    assert tuple(SPEC.open(spoilt, SCENE, ("CAM_TELE",)).cameras) == ("CAM_TELE",)
    with pytest.raises(
        InputError, match=r"unknown camera 'CAM_FRONT_LEFT': give one of CAM_BACK, .*did you mean 'CAM_FRONT"
    ):
        open_drive(spoilt, SCENE, "CAM_FRONT_LEFT")


def test_radars_are_left_out(spoilt: Path, edit) -> None:
    edit("sensor", lambda rows: [row | ({"modality": "radar"} if row["channel"] == "CAM_BACK" else {}) for row in rows])
    drive = SPEC.open(spoilt, SCENE, SPEC.cameras)
    assert "CAM_BACK" not in drive.cameras and tuple(drive.lidars) == ("LIDAR_TOP",)


def test_scenes_of_all_versions_are_found(spoilt: Path, edit) -> None:
    shutil.copytree(spoilt / "v1.0-mini", spoilt / "v1.0-trainval")
    edit("scene", lambda rows: [row | {"name": "scene-0916"} for row in rows])
    assert SPEC.drives(spoilt) == [SCENE, "scene-0916"]
    assert open_drive(spoilt, SCENE).version == "v1.0-trainval"
    with pytest.raises(InputError, match=r"no sequence 'scene-0001' under .*: give one of scene-0000, scene-0916$"):
        open_drive(spoilt, "scene-0001")


def test_an_unknown_scene_of_many_is_told_with_the_nearest(spoilt: Path, edit) -> None:
    def more(rows: list[dict]) -> list[dict]:
        return rows + [rows[0] | {"token": f"{n}", "name": f"scene-{n:04d}"} for n in range(100, 120)]

    edit("scene", more)
    with pytest.raises(InputError, match=r"^no scene 'scene-105' under .*: did you mean 'scene-0105'\? There are 21$"):
        open_drive(spoilt, "scene-105")


class TestCache:
    def test_tables_are_read_once(self, written_street: Path, cache_home: Path, monkeypatch) -> None:
        first = open_drive(written_street, SCENE)
        (kept,) = cache_home.rglob("*.arrow")
        assert kept.name == "v1.0-mini-readings.arrow"
        cache._opened.cache_clear()
        monkeypatch.setattr(tables, "stream", lambda *arguments: pytest.fail("the tables are read again"))
        again = open_drive(written_street, SCENE)
        np.testing.assert_array_equal(list(first.T_world_cam.values()), list(again.T_world_cam.values()))
        assert (first.layers, first.files, first.tokens) == (again.layers, again.files, again.tokens)

    def test_other_tables_are_read_anew(self, spoilt: Path, edit, cache_home: Path) -> None:
        before = open_drive(spoilt, SCENE)
        edit("ego_pose", lambda rows: [row | {"translation": [1.0, 2.0, 3.0]} for row in rows])
        after = open_drive(spoilt, SCENE)
        assert not np.allclose(before.T_world_cam[0], after.T_world_cam[0])
        assert len(list(cache_home.rglob("*.arrow"))) == 1  # in place of the first

    @pytest.mark.parametrize("content", [b"", b"ARROW1 torn", None])
    def test_a_torn_file_is_made_again(self, content: bytes | None, written_street: Path, cache_home: Path) -> None:
        open_drive(written_street, SCENE)
        (kept,) = cache_home.rglob("*.arrow")
        whole = kept.read_bytes()
        kept.unlink()  # it is mapped into memory
        kept.write_bytes(whole[: len(whole) // 2] if content is None else content)
        cache._opened.cache_clear()
        assert open_drive(written_street, SCENE).frames_with(IMAGES, "CAM_FRONT") == FRAMES
        assert kept.read_bytes() == whole

    def test_a_place_that_cannot_be_written_costs_time_alone(self, written_street: Path, monkeypatch, caplog) -> None:
        expected = open_drive(written_street, SCENE)
        place = written_street / "v1.0-mini" / "scene.json"  # a file, where a folder would have to be made
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
        cache._opened.cache_clear()
        found = open_drive(written_street, SCENE)
        np.testing.assert_array_equal(list(found.T_world_cam.values()), list(expected.T_world_cam.values()))
        (record,) = caplog.records
        assert record.message.startswith(str(cache.cache_file(written_street, "v1.0-mini", READINGS)))
        assert "set XDG_CACHE_HOME" in record.message

    def test_the_root_is_not_written_to(self, written_street: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in written_street.rglob("*")}
        open_drive(written_street, SCENE).truth("boxes")
        assert {path: path.stat().st_mtime_ns for path in written_street.rglob("*")} == before


class TestFingerprint:
    def digest(self, root: Path) -> str:
        return SPEC.fingerprint(root, SCENE, ("CAM_FRONT",))

    def test_other_rows_of_the_scene_change_it_and_others_do_not(self, spoilt: Path, edit) -> None:
        before = self.digest(spoilt)
        edit("scene", lambda rows: [*rows, rows[0] | {"token": "other", "name": "scene-0001"}])
        (spoilt / "v1.0-mini" / "sample.json").touch()
        assert self.digest(spoilt) == before
        edit("ego_pose", lambda rows: [row | {"translation": [1.0, 2.0, 3.0]} for row in rows])
        assert self.digest(spoilt) != before

    def test_files_change_it(self, spoilt: Path, write_masks) -> None:
        digests = [self.digest(spoilt)]
        drive = open_drive(spoilt, SCENE)
        empty = np.full((90, 160), -1)
        mask = write_masks(spoilt, "CAM_FRONT", drive.files["CAM_FRONT"][33], np.full((90, 160), 10), empty)
        digests.append(self.digest(spoilt))
        mask.write_bytes(b"another")
        digests.append(self.digest(spoilt))
        drive.file(IMAGES, "CAM_FRONT", 67).unlink()
        digests.append(self.digest(spoilt))
        drive.file(POINTS, "LIDAR_TOP", 0).write_bytes(b"")
        digests.append(self.digest(spoilt))
        assert len(set(digests)) == len(digests)


def quaternion(rows: list[dict], values: list[float]) -> list[dict]:
    rows[3]["rotation"] = values
    return rows


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        (
            "ego_pose",
            lambda rows: quaternion(rows, [1.0, 1.0, 0.0, 0.0]),
            r"ego_pose.json: .*\[1.0, 1.0, 0.0, 0.0\], which",
        ),
        ("ego_pose", lambda rows: quaternion(rows, [0.0, 0.0, 0.0, 0.0]), "are not rigid: expected finite numbers"),
        ("ego_pose", lambda rows: rows[1:], r"sample_data.json: ego_pose \w+ is in no row of ego_pose.json"),
        ("ego_pose", lambda rows: [*rows, rows[2]], r"ego_pose.json: the token \w+ names two rows"),
        ("sample_data", lambda rows: [*rows, rows[2]], r"sample_data.json: the token \w+ names two rows"),
        ("sample_data", lambda rows: [rows[0] | {"sample_token": "x"}], "sample x is in no row of sample.json"),
        ("calibrated_sensor", lambda rows: rows[1:], r"calibrated_sensor \w+ is in no row of calibrated_sensor.json"),
        (
            "calibrated_sensor",
            lambda rows: [row | {"camera_intrinsic": []} for row in rows],
            "is a camera, without a camera_intrinsic of 3 x 3",
        ),
        (
            "calibrated_sensor",
            lambda rows: [row | {"camera_intrinsic": [[0, 0, 1], [0, 1, 0], [0, 0, 1]]} for row in rows],
            "camera_intrinsic of CAM_FRONT is no camera matrix",
        ),
        ("sample_data", lambda rows: [row | {"is_key_frame": False} for row in rows], "has no keyframe"),
        ("sample_data", lambda rows: [row | {"width": 0} for row in rows], "images without a width and a height"),
        (
            "sample_data",
            lambda rows: [row | {"width": n + 1} for n, row in enumerate(rows)],
            "CAM_FRONT has several image sizes or calibrations in one scene",
        ),
        ("scene", lambda rows: [row | {"name": "../elsewhere"} for row in rows], "scene.json: .*'../elsewhere'"),
        ("scene", lambda rows: [rows[0], rows[0] | {"token": "other"}], f"scene.json: two scenes are called '{SCENE}'"),
    ],
)
def test_tables_that_contradict_themselves_are_told_in_one_line(table: str, change, message: str, spoilt, edit) -> None:
    edit(table, change)
    with pytest.raises(InputError, match=message) as raised:
        open_drive(spoilt, SCENE)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_a_scene_is_read_from_an_object_store(written_street: Path, s3: str) -> None:
    root = open_location(f"{s3}/nuscenes")
    root.fs.put(str(written_street), root.path, recursive=True)
    local, remote = (SPEC.open(place, SCENE, ("CAM_BACK",)) for place in (written_street, root))
    assert remote.layers == local.layers and SPEC.drives(root) == [SCENE]
    np.testing.assert_array_equal(remote.read(POINTS, "LIDAR_TOP", 33), local.read(POINTS, "LIDAR_TOP", 33))
    np.testing.assert_array_equal(remote.truth("points").labels(100), local.truth("points").labels(100))
    assert len(SPEC.fingerprint(root, SCENE, ("CAM_BACK",))) == 64


def test_a_root_without_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^no dataset folder {tmp_path}/none: give --root$"):
        SPEC.drives(tmp_path / "none")
    with pytest.raises(InputError, match=rf"^no tables in {tmp_path}: unpack the metadata there, such as"):
        SPEC.drives(tmp_path)
    assert not SPEC.recognises(tmp_path)


def test_names_of_folders_are_listed_once(written_street: Path, monkeypatch) -> None:
    open_drive(written_street, SCENE)
    monkeypatch.setattr(present, "names_in", lambda folder: pytest.fail(f"{folder} is listed again"))
    open_drive(written_street, SCENE)
