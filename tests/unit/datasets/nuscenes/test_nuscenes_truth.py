"""Annotated boxes and labels of points: against the street's own truth, golden arrays and real files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vsrd_ray.data.drive import POINTS
from vsrd_ray.data.truth import STATIC
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.nuscenes.spec import SPEC
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.geometry import rigid

SCENE = "scene-0000"


def outside(drive, truth, boxes, frame: int, *, slack: float) -> int:
    """How many labelled points of a frame's instances lie outside their boxes."""
    labels = truth.labels(frame)
    points = rigid.apply(
        drive.lidars[truth.sensor].T_world_lidar[frame], drive.read(POINTS, truth.sensor, frame)[:, :3]
    )
    ids = np.unique(labels[labels % 1000 > 0])
    places = boxes.find(ids, np.full(len(ids), frame))
    assert len(ids) > 0 and (places >= 0).all()
    count = 0
    for instance_id, place in zip(ids, places, strict=True):
        box = boxes.boxes[place]
        offsets = points[labels == instance_id] - box.centers
        cos, sin = np.cos(box.yaws), np.sin(box.yaws)
        local = np.stack(
            [cos * offsets[:, 0] + sin * offsets[:, 1], cos * offsets[:, 1] - sin * offsets[:, 0]], axis=-1
        )
        local = np.column_stack([local, offsets[:, 2]])
        count += int((np.abs(local) > box.dimensions_lwh / 2 + slack).any(axis=1).sum())
    return count


@pytest.mark.parametrize("scene", ["nuscenes_keyframe scene-0061", "ddad_nuscenes_layout scene-0103"])
def test_labels_of_points_lie_in_the_boxes_of_their_ids(scene: str, shared: Path) -> None:
    folder, name = scene.split()
    drive = SPEC.open(shared / "data" / folder, name, SPEC.cameras)
    truth, boxes = drive.truth("points"), drive.truth("boxes")
    assert truth.frames == drive.frames_with(POINTS, "LIDAR_TOP")
    # A few points of DDAD's moving cars stick out, by up to half a metre.
    assert sum(outside(drive, truth, boxes, frame, slack=0.3) for frame in truth.frames) <= 7


@pytest.mark.parametrize("scene", ["nuscenes_keyframe scene-0061", "ddad_nuscenes_layout scene-0103"])
def test_labels_made_of_lidarseg_and_boxes_are_those_of_panoptic(scene: str, shared: Path, tmp_path: Path) -> None:
    """The panoptic files there are the devkit's own generator's."""
    folder, name = scene.split()
    root = shared / "data" / folder
    for part in ("samples", "lidarseg", "v1.0-mini"):
        (tmp_path / part).symlink_to(root / part)
    expected, found = (SPEC.open(place, name, SPEC.cameras).truth("points") for place in (root, tmp_path))
    assert expected.frames == found.frames and not found.files
    for frame in found.frames:
        np.testing.assert_array_equal(found.labels(frame), expected.labels(frame))


def test_labels_are_classes_of_the_challenge(shared: Path) -> None:
    golden = np.load(shared / "reference" / "pointsam_golden.npz")
    drive = open_drive(shared / "data" / "nuscenes_keyframe", "scene-0061")
    truth = drive.truth("points")
    labels, panoptic = truth.labels(0), golden["keyframe/panoptic_truth"]
    confusion = golden["keyframe/body/eval/confusion"]
    assert labels.dtype == np.uint16
    counts = np.bincount(labels // 1000, minlength=17)
    by_class = confusion.sum(axis=0) if np.array_equal(confusion.sum(axis=0)[1:], counts[1:]) else confusion.sum(axis=1)
    np.testing.assert_array_equal(by_class[1:], counts[1:])
    np.testing.assert_array_equal(labels[labels > 0] % 1000, panoptic[labels > 0] % 1000)
    is_told = labels > 0  # lidarseg also knows points that no one box tells an instance of
    np.testing.assert_array_equal(truth.classes(0)[is_told], labels[is_told] // 1000)


def test_boxes_are_those_of_the_street(written_street: Path) -> None:
    rows = json.loads((written_street / "v1.0-mini" / "sample_annotation.json").read_text())
    drive = open_drive(written_street, SCENE)
    assert SPEC.has_truth(written_street, SCENE, "boxes") and SPEC.has_truth(written_street, SCENE, "points")
    boxes = drive.truth("boxes")
    frame_of = {token: frame for frame, token in drive.detail("sample_tokens").items()}
    moved, ids = 0, {}
    for row in rows:
        distances = np.linalg.norm(boxes.boxes.centers - row["translation"], axis=1)
        place = int(distances.argmin())
        assert distances[place] < 1e-9
        width, length, height = row["size"]
        assert boxes.boxes.dimensions_lwh[place].tolist() == [length, width, height]
        w, _, _, z = row["rotation"]
        assert np.angle(np.exp(1j * (boxes.boxes.yaws[place] - 2 * np.arctan2(z, w)))) == pytest.approx(0, abs=1e-9)
        assert ids.setdefault(row["instance_token"], boxes.instance_ids[place]) == boxes.instance_ids[place]
        assert boxes.timestamps[place] in (STATIC, frame_of[row["sample_token"]])
        moved += boxes.timestamps[place] != STATIC
    assert moved == 2  # the one car that drives, in both keyframes
    assert sorted(ids.values()) == [4001, 4002, 4003, 4004, 4005]
    assert set(boxes.class_names) == {"car"}


def test_what_is_no_upright_box_is_left_out_and_counted(spoilt: Path, edit, caplog) -> None:
    def spoil(rows: list[dict]) -> list[dict]:
        rows[0]["rotation"] = [np.cos(0.2), np.sin(0.2), 0.0, 0.0]
        rows[1]["size"] = [0.0, 4.0, 1.5]
        rows[2]["rotation"] = [1.0, 1.0, 0.0, 0.0]
        return rows

    before = open_drive(spoilt, SCENE).truth("boxes")
    edit("sample_annotation", spoil)
    found = open_drive(spoilt, SCENE).truth("boxes")
    assert found.skipped == {"tilted by more than 5 degrees": 1, "without a volume": 1, "that are not rigid": 1}
    assert "3 annotations of scene-0000 are left out" in caplog.text
    assert len(found.instance_ids) <= len(before.instance_ids)
    edit("category", lambda rows: [row | {"name": row["name"].replace("vehicle.car", "animal.car")} for row in rows])
    assert open_drive(spoilt, SCENE).truth("boxes").instance_ids.size == 0


def test_a_scene_without_annotations_has_no_true_boxes(spoilt: Path, edit) -> None:
    (spoilt / "v1.0-mini" / "sample_annotation.json").write_text("[]\n")
    assert not SPEC.has_truth(spoilt, SCENE, "boxes")
    assert len(open_drive(spoilt, SCENE).truth("boxes").instance_ids) == 0
    (spoilt / "v1.0-mini" / "sample_annotation.json").unlink()
    assert not SPEC.has_truth(spoilt, SCENE, "boxes")
    with pytest.raises(InputError, match=r"^no table .*sample_annotation.json"):
        open_drive(spoilt, SCENE).truth("boxes")


def test_a_scene_without_panoptic_files_has_no_true_points(spoilt: Path, tmp_path: Path) -> None:
    for path in (spoilt / "panoptic").rglob("*.npz"):
        path.unlink()
    assert SPEC.has_truth(spoilt, SCENE, "points")  # made of lidarseg
    (short,) = list((spoilt / "lidarseg").rglob(f"{open_drive(spoilt, SCENE).tokens['LIDAR_TOP'][100]}*"))
    short.write_bytes(b"0")
    with pytest.raises(InputError, match=r"1 labels for [0-9]+ points: restore the file"):
        open_drive(spoilt, SCENE).truth("points").labels(100)
    shutil.rmtree(spoilt / "lidarseg")
    assert not SPEC.has_truth(spoilt, SCENE, "points") and not SPEC.has_truth(spoilt, SCENE, "voxels")
    with pytest.raises(
        InputError, match=rf"no labels of points of {SCENE} in .*panoptic/v1.0-mini: unpack nuScenes-pan"
    ):
        open_drive(spoilt, SCENE).truth("points")
    with pytest.raises(InputError, match=rf"no true voxels of {SCENE} in .*gts: unpack Occ3D"):
        open_drive(spoilt, SCENE).truth("voxels")
    with pytest.raises(InputError, match="nuScenes has no true depth here: there are boxes, points, voxels"):
        open_drive(spoilt, SCENE).truth("depth")


def test_labels_of_points_that_cannot_be_used(spoilt: Path, edit) -> None:
    truth = open_drive(spoilt, SCENE).truth("points")
    path = truth.files[100]
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    with pytest.raises(UnreadableFrameError, match=f"{path.name}: no .npz of arrays"):
        truth.labels(100)
    np.savez(path, data=np.array([40_001], np.uint16))
    with pytest.raises(InputError, match=r"category 40, and category.json has 32: take the tables that come with"):
        truth.labels(100)
    np.savez(path, data=np.array([[1]], np.uint16))
    with pytest.raises(InputError, match=r"expected uint16 \[P\], got uint16 \[1, 1\]"):
        truth.labels(100)
    path.unlink()
    with pytest.raises(InputError, match=r"no labels .*: restore the file"):
        truth.labels(100)
    edit("category", lambda rows: [{"token": row["token"], "name": row["name"]} for row in rows])
    with pytest.raises(InputError, match="categories without an index: take the tables that come with lidarseg"):
        open_drive(spoilt, SCENE).truth("points")
