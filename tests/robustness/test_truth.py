"""Box XML as others have it: one rule for all commands, and what is left out counted by reason."""

import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.data.truth import STATIC
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.boxes import read_boxes, read_objects
from vsrd_ray.errors import InputError

SEQUENCE = "2013_05_28_drive_0000_sync"
VERTICES = ".5 .5 .5 .5 .5 -.5 .5 -.5 .5 .5 -.5 -.5 -.5 .5 -.5 -.5 .5 .5 -.5 -.5 -.5 -.5 -.5 .5"
NUMBERS = st.sampled_from(
    ["1", "13", "-1", "0", "7.", "2.0", "1.5", "1e3", "1000", "nan", ".Nan", "inf", "1e400", "", "x"]
)


def placed(x: float = 0.0, *, size: Iterable[float] = (4.5, 1.8, 1.5), R: np.ndarray | None = None) -> np.ndarray:
    T_world_obj = np.eye(4)
    T_world_obj[:3, :3] = (np.eye(3) if R is None else R) * np.array(size)
    T_world_obj[0, 3] = x
    return T_world_obj


def turned(degrees: float, *, about: int = 1) -> np.ndarray:
    """Rotation [3, 3] about an axis: 0 is roll, 1 pitch."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    R = np.eye(3)
    first, second = (axis for axis in range(3) if axis != about)
    R[first, first] = R[second, second] = cos
    R[first, second], R[second, first] = sin, -sin
    return R


def entry(
    T_world_obj: np.ndarray | str | None = None,
    *,
    semantic: object = 13,
    instance: object = 1,
    time: object = STATIC,
    vertices: str = VERTICES,
) -> str:
    matrix = placed() if T_world_obj is None else T_world_obj
    data = matrix if isinstance(matrix, str) else " ".join(f"{value:.17g}" for value in matrix.ravel())
    return (
        f"<object><semanticId>{semantic}</semanticId><instanceId>{instance}</instanceId><timestamp>{time}</timestamp>"
        f"<transform><data>{data}</data></transform><vertices><data>{vertices}</data></vertices></object>"
    )


def written(root: Path, *entries: str) -> Path:
    path = paths.boxes_file(root, SEQUENCE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<opencv_storage>{''.join(entries)}</opencv_storage>")
    return root


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(-1, 2), st.floats(-50, 50)).map(lambda one: (*one, False))
        | st.tuples(st.integers(1, 3), st.integers(-1, 2), st.floats(-50, 50), st.just(True)),
        max_size=12,
    )
)
def test_the_last_entry_of_an_instance_and_time_counts_and_that_of_the_frame_before_the_static_one(
    tmp_path_factory: pytest.TempPathFactory, given_entries: list[tuple[int, int, float, bool]]
) -> None:
    root = written(
        tmp_path_factory.mktemp("root"),
        *(
            entry(placed(x, R=turned(20.0) if is_tilted else None), instance=instance, time=time)
            for instance, time, x, is_tilted in given_entries
        ),
    )
    expected = {(26000 + number, time): x for number, time, x, is_tilted in given_entries if not is_tilted}
    truth = read_boxes(root, SEQUENCE)
    assert len(truth.instance_ids) + truth.num_skipped == len(given_entries)
    objects, skipped = read_objects(root, SEQUENCE)
    assert skipped == truth.skipped
    assert {(one.instance_id, one.timestamp): one.T_world_obj[0, 3] for one in objects} == expected
    ids = np.array([26001, 26002, 26003])
    for frame in range(4):
        of_frame = {one: expected.get((one, frame), expected.get((one, STATIC))) for one in ids.tolist()}
        of_frame = {one: x for one, x in of_frame.items() if x is not None}
        found = truth.find(ids, np.full(3, frame))
        assert (
            dict(zip(ids[found >= 0].tolist(), truth.boxes.centers[found[found >= 0], 0].tolist(), strict=True))
            == of_frame
        )
        holds = truth.in_frame(frame)
        assert (
            dict(zip(truth.instance_ids[holds].tolist(), truth.boxes.centers[holds, 0].tolist(), strict=True))
            == of_frame
        )
        assert holds.sum() == len(of_frame)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            entry,
            st.none()
            | st.lists(NUMBERS, max_size=17).map(" ".join)
            | st.lists(st.floats(), min_size=16, max_size=16).map(lambda values: " ".join(map(repr, values))),
            semantic=NUMBERS,
            instance=NUMBERS,
            time=NUMBERS,
            vertices=st.just(VERTICES) | st.lists(NUMBERS, max_size=25).map(" ".join),
        )
        | st.sampled_from(["<object/>", "<x><y/></x>", "<object><transform/></object>"]),
        max_size=5,
    )
)
def test_whatever_numbers_there_are_every_entry_counts_or_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, entries: list[str]
) -> None:
    truth = read_boxes(written(tmp_path_factory.mktemp("root"), *entries), SEQUENCE)
    assert len(truth.instance_ids) + truth.num_skipped == len(entries)
    assert (truth.instance_ids % 1000 > 0).all() and "unlabeled" not in truth.class_names
    assert np.isfinite(truth.boxes.centers).all() and (truth.boxes.dimensions_lwh > 0).all()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (entry(semantic=99), "unknown class"),
        (entry(instance=1000), "instance id not from 1 to 999"),  # of 26 it would be the first truck
        (entry(instance=0), "instance id not from 1 to 999"),
        (entry(instance=-5), "instance id not from 1 to 999"),
        (entry(time=-2), "timestamp"),
        (entry(time=1 << 31), "timestamp"),
        (entry(time="1.5"), "timestamp"),
        (entry(vertices="1 2 3"), "eight vertices"),
        (entry(placed(np.nan)), "places nothing"),
        (entry(placed(1e200)), "places nothing"),
        (entry(placed(7.0).T), "places nothing"),
        (entry("1 0 0"), "places nothing"),
        (entry(placed(size=(4, 0, 1.5))), "without a volume"),
        (entry(placed(R=np.array([[1, 0.3, 0], [0, 1, 0], [0, 0, 1]]))), "not square"),
        (entry(placed(size=(4, -2, 1.5))), "mirrored"),
        (entry(placed(R=turned(5.5))), "tilted by more than 5 degrees"),
        (entry(placed(R=turned(-90, about=0))), "tilted"),
        (entry(placed(R=turned(180))), "tilted"),
    ],
)
def test_what_is_left_out_has_its_reason(
    tmp_path: Path, bad: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        truth = read_boxes(written(tmp_path, bad, entry(instance="7.")), SEQUENCE)
    assert truth.instance_ids.tolist() == [26007]
    ((found, count),) = truth.skipped.items()
    assert reason in found and count == 1
    assert f"{SEQUENCE}.xml: 1 of its objects are left out: 1 {found}" in caplog.text


@pytest.mark.parametrize("about", [0, 1])
@pytest.mark.parametrize("degrees", [-4.9, 0.5, 3])
def test_a_box_a_few_degrees_off_upright_is_the_nearest_upright_one(tmp_path: Path, degrees: float, about: int) -> None:
    truth = read_boxes(written(tmp_path, entry(placed(9, R=turned(degrees, about=about)))), SEQUENCE)
    assert truth.num_skipped == 0
    np.testing.assert_allclose(truth.boxes.centers[0], [9, 0, 0])
    np.testing.assert_allclose(truth.boxes.dimensions_lwh[0], [4.5, 1.8, 1.5])
    assert abs(truth.boxes.yaws[0]) < 1e-9


def test_contradictions_get_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entries = [entry(placed(1)), entry(placed(1.001)), entry(placed(5)), entry(placed(6), time=3)]
    truth = read_boxes(written(tmp_path, *entries), SEQUENCE)
    assert truth.boxes.centers[:, 0].tolist() == [5, 6]
    assert "1 repeated by a later one, 1 contradicted by a later one" in caplog.text
    assert "1 instances have a static box and boxes of frames" in caplog.text


GOOD = f"<opencv_storage>{entry()}</opencv_storage>"
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not well-formed XML"),
        (GOOD[:-30].encode(), "not well-formed XML"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not well-formed XML"),
        (b"<html><body>404</body></html>", "<html> in place of <opencv_storage>"),
        (f"<root>{GOOD}</root>".encode(), "<root> in place of"),
        (GOOD.replace("<opencv_storage>", '<opencv_storage xmlns="urn:x">').encode(), "in place of <opencv_storage>"),
        (f"{LAUGHS}]><opencv_storage>&i;</opencv_storage>".encode(), "document type 'x' is not expected"),
        (f'<?xml version="1.0" encoding="klingon"?>{GOOD}'.encode(), "not well-formed XML"),
        (f'<?xml version="1.0" encoding="shift_jis"?>{GOOD}'.encode(), "not well-formed XML"),
        (b"\x1f\x8b\x08\x00", "not well-formed XML"),
        (b'{"objects": []}', "not well-formed XML"),
    ],
)
def test_a_file_that_is_no_box_xml_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    written(tmp_path)
    paths.boxes_file(tmp_path, SEQUENCE).write_bytes(content)
    with pytest.raises(InputError, match=rf"{SEQUENCE}\.xml: .*{said}.*download it again"):
        read_boxes(tmp_path, SEQUENCE)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings_that_xml_knows_are_read(tmp_path: Path, encoding: str) -> None:
    written(tmp_path)
    head = '<?xml version="1.0" encoding="latin-1"?>' if encoding == "latin-1" else ""
    content = head + GOOD.replace("<object>", "<object><label>Stra\xdfe</label>")
    paths.boxes_file(tmp_path, SEQUENCE).write_bytes(content.encode(encoding))
    assert read_boxes(tmp_path, SEQUENCE).instance_ids.tolist() == [26001]


def _changed(root: Path, change: Callable[[ElementTree.Element, list[ElementTree.Element]], None]) -> None:
    path = paths.boxes_file(root, SEQUENCE)
    tree = ElementTree.parse(path)
    storage = tree.getroot()
    change(storage, list(storage))
    tree.write(path)


def _moved(element: ElementTree.Element, metres: float) -> ElementTree.Element:
    """A copy of an entry that stands elsewhere."""
    twin = ElementTree.fromstring(ElementTree.tostring(element))
    data = twin.find("transform/data")
    assert data is not None and data.text is not None
    values = data.text.split()
    values[3] = repr(float(values[3]) + metres)
    data.text = " ".join(values)
    return twin


def test_commands_agree_on_two_entries_of_a_car(here: Path, command: Callable[..., Result]) -> None:
    def change(storage: ElementTree.Element, entries: list[ElementTree.Element]) -> None:
        storage.extend(_moved(one, 4) for one in entries[:2])

    before = read_boxes(here / "root", SEQUENCE)
    _changed(here / "root", change)
    result = command("convert", "--truth", "--root", "root", "--sequence", SEQUENCE, "--to", "truth")
    assert result.exit_code == 0, result.output
    assert "2 of its objects are left out: 2 contradicted by a later one" in result.stderr
    assert sum(len(path.read_text().splitlines()) for path in (here / "truth").rglob("*.txt")) == 40
    evaluated = command("evaluate", "out", "--root", "root", "--json")
    values = json.loads(evaluated.stdout)
    assert (values["num_skipped_boxes"], list(values["skipped_boxes"].values())) == (2, [2])
    assert values["static"]["iou_3d"]["mean"] < 0.6  # the later ones stand 4 m off
    assert "2 objects (2 contradicted by a later one" in command("evaluate", "out", "--root", "root").stdout
    assert command("annotate", "--root", "root", "--sequence", SEQUENCE).exit_code == 0
    annotation = json.loads(paths.annotation_file(here / "root", SEQUENCE, "image_00", 3).read_text())
    corners = np.array(annotation["boxes_3d"]["car"]["26001"])
    center_world = np.linalg.inv(annotation["extrinsic_matrix"]) @ [*corners.mean(axis=0), 1]
    (place,) = np.flatnonzero(before.instance_ids == 26001)
    np.testing.assert_allclose(center_world[:3], before.boxes.centers[place] + [4, 0, 0], atol=1e-6)


def test_a_hillside_of_cars_is_kept_and_a_loop_is_told(here: Path, command: Callable[..., Result]) -> None:
    def tilt(degrees: float) -> None:
        def change(_storage: ElementTree.Element, entries: list[ElementTree.Element]) -> None:
            for one in entries:
                data = one.find("transform/data")
                assert data is not None and data.text is not None
                T_world_obj = np.array(data.text.split(), dtype=float).reshape(4, 4)
                sizes = np.linalg.norm(T_world_obj[:3, :3], axis=0)
                T_world_obj[:3, :3] = (T_world_obj[:3, :3] / sizes) @ turned(degrees) * sizes
                data.text = " ".join(map(repr, T_world_obj.ravel().tolist()))

        _changed(here / "root", change)

    tilt(2)
    converted = command("convert", "--truth", "--root", "root", "--sequence", SEQUENCE, "--to", "truth")
    assert converted.exit_code == 0 and not converted.stderr, converted.output
    assert sum(len(path.read_text().splitlines()) for path in (here / "truth").rglob("*.txt")) == 40
    tilt(40)
    evaluated = command("evaluate", "out", "--root", "root")
    assert "tilted by more than 5 degrees" in evaluated.stdout and "no true box counts" in evaluated.stdout
    report = command("report", "out", "--root", "root")
    assert report.exit_code == 0, report.output


def test_a_folder_in_the_place_of_the_xml_is_told_by_every_command(
    here: Path, command: Callable[..., Result], refused: Callable[..., str]
) -> None:
    path = paths.boxes_file(here / "root", SEQUENCE)
    path.unlink()
    path.mkdir()
    of_sequence = ("--root", "root", "--sequence", SEQUENCE)
    for arguments in (
        ("evaluate", "out", "--root", "root"),
        ("report", "out", "--root", "root"),
        ("convert", "--truth", *of_sequence, "--to", "new"),
        ("annotate", *of_sequence),
        ("visualize", "labels", "out", "--root", "root", "--sheet", "sheet.png"),
    ):
        refused(command(*arguments), f"{SEQUENCE}.xml: cannot be read")


def test_truth_without_frames_to_write_is_refused(
    here: Path, command: Callable[..., Result], refused: Callable[..., str]
) -> None:
    convert = ("convert", "--truth", "--root", "root", "--sequence", SEQUENCE, "--to", "new")
    for mask in paths.mask_folder(here / "root", SEQUENCE, "image_00").iterdir():
        mask.write_bytes(mask.read_bytes()[:50])
    refused(command(*convert), "no frame has a pose and a readable mask")
    for mask in paths.mask_folder(here / "root", SEQUENCE, "image_00").iterdir():
        mask.unlink()
    refused(command(*convert), "no instance masks in")
    assert not (here / "new").exists()
