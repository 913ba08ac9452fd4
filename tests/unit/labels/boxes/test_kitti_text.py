import numpy as np
import pyarrow as pa
import pytest

from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.corrected import class_of
from vsrd_ray.labels.boxes.kitti import KittiObject, kitti_type, label_lines, label_path, read_frame, write_frame

ROW = {
    "class_name": "car",
    "truncation": 0.126,
    "occlusion": 1,
    "alpha": -1.5,
    "bbox_left": 0.0,
    "bbox_top": 10.128,
    "bbox_right": 1407.0,
    "bbox_bottom": 99.5,
    "height": 1.5,
    "width": 1.8,
    "length": 4.25,
    "x_cam": -0.00001,
    "y_cam": 1.65,
    "z_cam": 20.00004,
    "rotation_y": -np.pi,
    "confidence": 0.87654,
}
LINE = "Car 0.13 1 -1.5000 0.00 10.13 1407.00 99.50 1.5000 1.8000 4.2500 0.0000 1.6500 20.0000 -3.1415 0.8765"


def test_line_has_sixteen_columns_in_kittis_order_with_fixed_decimals():
    assert label_lines(pa.Table.from_pylist([ROW])) == [LINE]


def test_rows_without_confidence_have_no_score():
    rows = pa.Table.from_pylist([ROW]).drop_columns("confidence")
    assert label_lines(rows) == [LINE.rpartition(" ")[0]]


def test_types_are_one_capitalised_word():
    assert [kitti_type(name) for name in ("car", "trash bin", "Car")] == ["Car", "TrashBin", "Car"]


def test_classes_that_kitti_knows_have_its_names():
    assert [kitti_type(name) for name in ("person", "rider", "train")] == ["Pedestrian", "Cyclist", "Tram"]
    assert [class_of(name, CLASSES, "a.txt") for name in ("Pedestrian", "Cyclist", "Tram")] == [
        "person",
        "rider",
        "train",
    ]


def test_blank_lines_say_nothing(tmp_path):
    (tmp_path / "a.txt").write_text(f"\n{LINE}\n\n  \n")
    assert [entry.type for entry in read_frame(tmp_path / "a.txt")] == ["Car"]


def test_written_file_reads_back(tmp_path):
    path = label_path(tmp_path, sequence="s", camera="image_00", frame=7)
    assert path == tmp_path / "s" / "image_00" / "label_2" / "0000000007.txt"
    write_frame(path, pa.Table.from_pylist([ROW, ROW | {"class_name": "truck"}]))
    first, second = read_frame(path)
    assert first == KittiObject(
        type="Car",
        truncated=0.13,
        occluded=1,
        alpha=-1.5,
        box_xyxy=(0.0, 10.13, 1407.0, 99.5),
        dimensions_hwl=(1.5, 1.8, 4.25),
        bottom_cam=(0.0, 1.65, 20.0),
        rotation_y=-3.1415,
        score=0.8765,
    )
    assert second.type == "Truck"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]  # no temporary file stays


def test_no_rows_make_an_empty_file(tmp_path):
    write_frame(tmp_path / "a.txt", pa.Table.from_pylist([ROW]).slice(0, 0))
    assert (tmp_path / "a.txt").read_bytes() == b""
    assert read_frame(tmp_path / "a.txt") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{LINE}\nCar 1 2 3\n", "line 2: expected 15 or 16 columns of KITTI label text, got 4"),
        (LINE.replace("1.6500", "up"), "could not convert string to float: 'up'"),
        (LINE.replace("1.6500", "nan"), "must be finite"),
    ],
)
def test_bad_lines_name_file_and_line(tmp_path, text, message):
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(InputError, match=r"bad\.txt, line") as error:
        read_frame(tmp_path / "bad.txt")
    assert message in str(error.value)


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bad\.txt: no text.*: restore the file"):
        read_frame(tmp_path / "bad.txt")
