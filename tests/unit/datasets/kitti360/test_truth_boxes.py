import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.data.truth import STATIC
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.boxes import XML_CLASSES, read_boxes, read_objects
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.boxes import wrap_angle

SEQUENCE = "drive"
VERTICES = "1 1 1 1 1 -1 1 -1 1 1 -1 -1 -1 1 -1 -1 1 1 -1 -1 -1 -1 -1 1".replace("1", ".5")


def transform(center, dimensions_lwh, yaw: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    cos, sin = np.cos(yaw), np.sin(yaw)
    T_world_obj = np.eye(4)
    tilt = np.array([[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]])
    T_world_obj[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ tilt * dimensions_lwh
    T_world_obj[:3, 3] = center
    return T_world_obj


def entry(T_world_obj: np.ndarray, *, semantic_id=13, instance_id=7, timestamp=-1, vertices: str = VERTICES) -> str:
    data = " ".join(map(repr, T_world_obj.ravel().tolist()))
    return (
        f"<object1><semanticId>{semantic_id}</semanticId><instanceId>{instance_id}</instanceId>"
        f"<timestamp>{timestamp}</timestamp><transform><rows>4</rows><cols>4</cols><dt>f</dt><data>{data}</data>"
        f"</transform><vertices><rows>8</rows><cols>3</cols><dt>f</dt><data>{vertices}</data></vertices></object1>"
    )


def write(root: Path, *entries: str, head: str = "") -> Path:
    path = paths.boxes_file(root, SEQUENCE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<?xml version="1.0"?>{head}<opencv_storage>{"".join(entries)}</opencv_storage>')
    return path


CAR = transform([1, 2, 3], [4.5, 1.8, 1.5])
SHEAR = np.eye(4)
SHEAR[0, 1] = 0.3


def test_a_box_by_hand(tmp_path: Path) -> None:
    write(tmp_path, entry(CAR), entry(transform([1, 2, 3], [4, 2, 1], yaw=np.pi / 2), semantic_id=34, timestamp=17))
    truth = read_boxes(tmp_path, SEQUENCE)
    assert truth.instance_ids.tolist() == [26007, 28007]
    assert truth.class_names == ("car", "bus")
    np.testing.assert_allclose(truth.boxes.centers, [[1, 2, 3]] * 2)
    np.testing.assert_allclose(truth.boxes.dimensions_lwh, [[4.5, 1.8, 1.5], [4, 2, 1]])
    np.testing.assert_allclose(truth.boxes.yaws, [0, np.pi / 2])
    assert truth.timestamps.tolist() == [STATIC, 17]
    assert truth.in_frame(17).tolist() == [True, True]
    assert truth.in_frame(18).tolist() == [True, False]
    assert truth.num_skipped == 0


@given(
    yaw=st.floats(-np.pi, np.pi, exclude_max=True),
    x=st.floats(-1e5, 1e5),
    size=st.tuples(*[st.floats(0.5, 20)] * 3),
)
def test_boxes_kilometres_away(tmp_path_factory: pytest.TempPathFactory, yaw: float, x: float, size) -> None:
    root = tmp_path_factory.mktemp("root")
    write(root, entry(transform([x, 3800.123456789, 115.1], size, yaw=yaw)))
    truth = read_boxes(root, SEQUENCE)
    assert truth.boxes.centers.tolist() == [[x, 3800.123456789, 115.1]]
    np.testing.assert_allclose(truth.boxes.dimensions_lwh[0], size, rtol=1e-12)
    assert abs(wrap_angle(truth.boxes.yaws[0] - yaw)) < 1e-12
    (entries, _) = read_objects(root, SEQUENCE)
    expected = truth.boxes[0].corners()
    np.testing.assert_allclose(entries[0].corners_world, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "bad",
    [
        entry(transform([0, 0, 0], [4, 2, 1], pitch=0.1)),
        entry(CAR, vertices=""),
        entry(CAR, vertices="1 2 3 4"),
        entry(CAR, vertices=VERTICES.replace(".5", ".4", 1)),
        entry(CAR, vertices=f"{VERTICES} 0 0 0"),
        entry(CAR, semantic_id=99),
        entry(CAR, semantic_id="car"),
        entry(CAR, timestamp="now"),
        entry(CAR * [0, 1, 1, 1]),
        entry(CAR @ SHEAR),
        entry(CAR * np.nan),
        "<object2><label>car</label></object2>",
    ],
)
def test_what_is_no_upright_box_is_skipped_and_counted(tmp_path: Path, bad: str) -> None:
    write(tmp_path, bad, entry(CAR))
    truth = read_boxes(tmp_path, SEQUENCE)
    assert truth.instance_ids.tolist() == [26007]
    assert truth.num_skipped == 1


def test_a_tilt_by_rounding_is_no_tilt(tmp_path: Path) -> None:
    write(tmp_path, entry(transform([0, 0, 0], [4, 2, 1], pitch=0.005)))
    assert read_boxes(tmp_path, SEQUENCE).num_skipped == 0


def test_no_objects(tmp_path: Path) -> None:
    write(tmp_path)
    truth = read_boxes(tmp_path, SEQUENCE)
    assert truth.boxes.centers.shape == truth.boxes.dimensions_lwh.shape == (0, 3)
    assert truth.boxes.yaws.shape == truth.timestamps.shape == (0,)


def test_every_class_of_the_xml_has_a_number_in_the_masks() -> None:
    assert set(XML_CLASSES) == set(range(1, 38))
    assert all(name in CLASSES for name in XML_CLASSES.values())
    assert CLASSES.by_name[XML_CLASSES[13]].number == 26


def test_no_file_and_no_xml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no 3D boxes .*drive\.xml"):
        read_boxes(tmp_path, SEQUENCE)
    path = write(tmp_path, "<object1>")
    with pytest.raises(InputError, match=rf"{path}: not well-formed XML \(mismatched tag"):
        read_boxes(tmp_path, SEQUENCE)


def test_a_file_that_defines_entities_is_refused(tmp_path: Path) -> None:
    head = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    write(tmp_path, "<object1>&b;</object1>", head=head)
    with pytest.raises(InputError, match="document type 'x' is not expected"):
        read_boxes(tmp_path, SEQUENCE)


@pytest.mark.parametrize("drive", ["drive_0001", "drive_0011"])
def test_real_boxes_are_those_of_truth_json(shared: Path, drive: str) -> None:
    root = shared / "data" / "kitti_geometry" / drive
    truth = read_boxes(root, f"2013_05_28_{drive}_sync")
    assert truth.num_skipped == 0
    parked = [car for car in json.loads((root / "truth.json").read_text()) if car["speed"] == 0]
    assert len(parked) > 20
    for car in parked:
        (n,) = np.flatnonzero(truth.instance_ids == car["id"])
        assert truth.timestamps[n] == STATIC
        np.testing.assert_allclose(truth.boxes.centers[n], car["pos"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(truth.boxes.dimensions_lwh[n], car["lwh"], rtol=0, atol=1e-6)
        assert abs(wrap_angle(truth.boxes.yaws[n] - car["yaw"])) < 1e-6
