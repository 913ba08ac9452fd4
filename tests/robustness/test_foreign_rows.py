"""Label rows that others wrote: people with pandas, tools, copies of files, other versions."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import make_label, make_labels
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.checks import first_bad_value, first_doubled
from vsrd_ray.labels.boxes.columns import BOX_2D, BOX_CAM, BOX_WORLD, SIZE_LWH
from vsrd_ray.labels.boxes.parquet import corrected_rows, read_labels
from vsrd_ray.storage import read_table

SEQUENCE = "2013_05_28_drive_0000_sync"
LABELS = Path("out/labels") / f"sequence={SEQUENCE}"
HUMAN = LABELS / "human-image_00.parquet"


def labels_file() -> Path:
    (path,) = (path for path in LABELS.glob("*.parquet") if not path.name.startswith(("human-", ".")))
    return path


def edit(change: Callable[[pa.Table], pa.Table], path: Path | None = None) -> Path:
    path = path or labels_file()
    pq.write_table(change(read_table(path)), path)
    return path


def with_value(column: str, value: Any, row: int = 2) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        values[row] = value
        return table.set_column(
            table.column_names.index(column), column, pa.array(values, table.schema.field(column).type)
        )

    return change


def as_type(column: str, values: Callable[[Any], Any]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(
        table.column_names.index(column), column, pa.array([values(value) for value in table[column].to_pylist()])
    )


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("x_world", math.nan, "x_world nan"),
        ("z_world", -math.inf, "z_world -inf"),
        ("y_world", 1e300, "y_world 1e+300"),
        ("length", math.inf, "length inf: expected metres above 0"),
        ("width", -1.8, "width -1.8"),
        ("height", 0.0, "height 0.0"),
        ("length", 420.0, "length 420.0"),  # centimetres
        ("yaw_world", 92.5, "yaw_world 92.5: expected radians"),
        ("rotation_y", -180.0, "rotation_y -180.0: expected radians"),
        ("alpha", math.nan, "alpha nan"),
        ("bbox_right", math.inf, "bbox_right inf"),
        ("confidence", 95.0, "confidence 95.0: expected a number from 0 to 1"),
        ("confidence", math.nan, "confidence nan"),
        ("truncation", -0.5, "truncation -0.5"),
        ("occlusion", 9, "occlusion 9"),
        ("mean_iou_2d", 1.5, "mean_iou_2d 1.5"),
        ("velocity_x_world", math.nan, "velocity_x_world nan: expected a finite number or null"),
        ("velocity_y_world", -math.inf, "velocity_y_world -inf"),
        ("velocity_x_world", 1e6, "velocity_x_world 1000000.0: expected a finite number or null, up to 1000"),
        ("velocity_x_world", 5.0, "a velocity, and is_moving says that it stands"),
        ("frame", -1, "frame -1"),
        ("frame", 4000, "a frame that the run does not know"),
        ("instance_id", 0, "instance_id 0"),
        ("class_name", "carr", "the class 'carr'"),
        ("class_name", None, "no values of class_name"),
        ("camera", "image_01", "rows of 'image_01', but the run is of image_00"),
    ],
)
def test_a_value_that_no_label_has_is_named_with_its_file(command, refused, column, value, said):
    path = edit(with_value(column, value))
    refused(command("export", "out", "--root", "root", "--format", "csv", "--output", "csv"), str(path), said)
    assert not Path("csv").exists()


def test_every_command_that_reads_rows_refuses_them(here, command, refused):
    assert command("export", "out", "--root", "root", "--format", "kitti", "--output", "kitti").exit_code == 0
    path = edit(with_value("width", -1.0))
    for arguments in (
        ("evaluate", "out", "--root", "root"),
        ("report", "out", "--root", "root"),
        ("convert", "out", "--to", "texts"),
        ("import", "out", "kitti", "--root", "root", "--format", "kitti"),
        ("visualize", "labels", "out", "--root", "root"),
    ):
        refused(command(*arguments), path.name, "width -1.0", "label again")
    assert not Path("texts").exists() and not Path("out/report.html").exists()


@pytest.mark.parametrize(
    "change",
    [
        as_type("x_world", lambda value: "abc"),
        as_type("frame", lambda value: value + 0.5),
        as_type("frame", lambda value: value + 2**40),
        as_type("confidence", lambda value: [value]),
        lambda table: table.drop_columns(["rotation_y"]),
        lambda table: table.rename_columns([name.upper() for name in table.column_names]),
    ],
)
def test_columns_of_other_types_and_names_are_refused(here, command, refused, change):
    path = edit(change)
    refused(command("evaluate", "out", "--root", "root"), path.name, "label again")


@pytest.mark.parametrize(
    "change",
    [
        as_type("x_world", str),
        as_type("frame", float),
        as_type("is_moving", int),
        lambda table: table.append_column("__index_level_0__", pa.array(range(table.num_rows))),
        lambda table: table.append_column("sequence", pa.array(["other"] * table.num_rows)),
        lambda table: table.drop_columns(["shape", "num_views", "is_moving", "source", "seed", "mean_iou_2d"]),
        lambda table: table.select(table.column_names[::-1]),
        lambda table: table.drop_columns(["velocity_x_world", "velocity_y_world"]),  # as earlier versions wrote it
        with_value("velocity_x_world", None),
        with_value("mean_iou_2d", math.nan),
        with_value("is_moving", None),
    ],
)
def test_what_pandas_makes_of_sound_rows_is_taken(here, command, change):
    before = read_labels(Path("out"))
    edit(change)
    after = read_labels(Path("out"))
    for name in ("frame", "instance_id", *BOX_WORLD, *BOX_CAM, *BOX_2D, "confidence"):
        assert after[name].equals(before[name]), name
    for name in ("nuscenes", "coco", "mmdet3d"):
        result = command("export", "out", "--root", "root", "--format", name, "--output", name)
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["copy.parquet", "part-0.parquet", "{} (1).parquet", f"{SEQUENCE}-old.parquet"])
def test_a_file_of_rows_that_is_there_twice_is_named_with_the_other(here, command, refused, name):
    path = labels_file()
    twin = path.with_name(name.format(path.stem))
    shutil.copy(path, twin)
    for arguments in (
        ("evaluate", "out", "--root", "root"),
        ("export", "out", "--root", "root", "--format", "kitti", "--output", "k"),
    ):
        line = refused(command(*arguments), twin.name)
        assert "is there twice" in line or "is gone" in line  # of the run's own names, its mark is missed first


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        (f"sequence={SEQUENCE}/notes.txt", "move it away"),
        (f"sequence={SEQUENCE}/a.parquet.bak", "move it away"),
        (f"sequence={SEQUENCE}/torn.parquet", "label again"),
        ("all.parquet", "no values of sequence"),
        ("camera=image_00/a.parquet", "no values of sequence"),
        (f"sequence={SEQUENCE}/old/a.parquet", "is there twice"),
    ],
)
def test_other_files_among_labels_are_named(here, command, refused, name, mend):
    path = Path("out/labels") / name
    path.parent.mkdir(exist_ok=True)
    if mend in ("no values of sequence", "is there twice"):
        shutil.copy(labels_file(), path)
    else:
        path.write_text("mine")
    refused(command("convert", "out", "--to", "texts"), str(path), mend)


@pytest.mark.parametrize("name", ["._a.parquet", ".DS_Store", "_SUCCESS"])
def test_files_that_systems_leave_among_labels_do_no_harm(here, command, name):
    (LABELS / name).write_bytes(b"x")
    assert command("convert", "out", "--to", "texts").exit_code == 0


def test_a_doubled_row_is_refused(here, command, refused):
    path = edit(lambda table: pa.concat_tables([table, table.slice(3, 1)]))
    refused(command("convert", "out", "--to", "texts"), path.name, "instance 26004 in frame 0", "is there twice")


def test_rows_of_a_sequence_that_the_run_does_not_have_are_refused(here, command, refused):
    shutil.copytree(LABELS, LABELS.with_name("sequence=2013_05_28_drive_0009_sync"))
    refused(command("convert", "out", "--to", "texts"), "sequence=2013_05_28_drive_0009_sync", "move the folder away")


def test_rows_of_a_human_that_no_import_has_listed_do_not_count_and_a_warning_says_so(here, command, caplog):
    edit(with_value("source", "human"))
    result = command("export", "out", "--root", "root", "--format", "csv", "--output", "csv")
    assert result.exit_code == 0 and "1 rows of a human do not count: out/corrections" in result.stderr


@pytest.fixture
def corrected(here, command):
    """The run with one frame corrected."""
    assert command("export", "out", "--root", "root", "--format", "kitti", "--output", "kitti").exit_code == 0
    path = Path("kitti/training/label_2/000003.txt")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    result = command("import", "out", "kitti", "--root", "root", "--format", "kitti")
    assert result.exit_code == 0, result.output


def test_bad_and_doubled_rows_of_a_human_are_refused_with_their_mend(corrected, command, refused):
    kept = HUMAN.read_bytes()
    edit(with_value("yaw_world", 180.0, row=0), HUMAN)
    refused(command("evaluate", "out", "--root", "root"), HUMAN.name, "yaw_world 180.0", "import the corrections again")
    assert command("evaluate", "out", "--root", "root", "--prefer", "auto").exit_code == 0
    HUMAN.write_bytes(kept)
    shutil.copy(HUMAN, HUMAN.with_name("human-image_00 (copy).parquet"))
    refused(command("evaluate", "out", "--root", "root"), HUMAN.name, "(copy)", "is there twice")
    assert command("evaluate", "out", "--root", "root", "--prefer", "auto").exit_code == 0


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table({"camera": ["image_00"], "frame": [None]}), "a row without a camera or a frame"),
        (pa.table({"camera": ["image_00"], "frame": ["three"]}), "three"),
        (pa.table({"frame": [3]}), "camera"),
        (pa.table({"camera": ["image_01"], "frame": [3]}), "human-image_01.parquet"),
        (pa.table({"camera": ["image_00"], "frame": [999]}), "frame 999 is none of the run's"),
    ],
)
def test_a_bad_list_of_reviewed_frames_is_refused(corrected, command, refused, table, said):
    pq.write_table(table, f"out/corrections/{SEQUENCE}.parquet")
    refused(command("evaluate", "out", "--root", "root"), f"corrections/{SEQUENCE}.parquet", said)


def sound_table(rows: int = 4) -> pa.Table:
    labels = make_labels(*(make_label(n, 26001, occlusion=0, num_views=3) for n in range(rows)))
    return labels.append_column("sequence", pa.array(["s"] * rows))


_NUMBERS = (*BOX_WORLD, *BOX_CAM, *BOX_2D, "confidence", "truncation")


@given(st.sampled_from(_NUMBERS), st.integers(0, 3), st.floats())
def test_any_value_of_a_number_is_good_or_named(column, row, value):
    fault = first_bad_value(with_value(column, value, row)(sound_table()), CLASSES, {})
    limit = 200 if column in SIZE_LWH else 1 if column in ("confidence", "truncation") else 1e9
    if "yaw" in column or column in ("rotation_y", "alpha"):
        limit = math.pi
    low = 0 if limit in (200, 1) else -limit
    is_good = low <= value <= limit and not (limit == 200 and value == 0)
    if is_good:
        assert fault is None
    elif not abs(value) <= limit + 0.02 or value < 0:
        assert fault is None or (fault.row == row and column in fault.text)
        assert math.isfinite(value) or fault is not None


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([26001, 26002])), max_size=8))
def test_rows_are_doubled_where_their_frame_and_instance_are(keys):
    rows = make_labels(*(make_label(frame, instance_id) for frame, instance_id in sorted(keys)))
    rows = rows.append_column("sequence", pa.array(["s"] * rows.num_rows, pa.string()))
    assert (first_doubled(rows) is None) == (len(set(keys)) == len(keys))


def test_rows_of_instances_without_a_mask_are_warned_of(here, command):
    edit(with_value("instance_id", 26999))
    result = command("export", "out", "--root", "root", "--format", "csv", "--output", "csv")
    assert result.exit_code == 0 and f"1 rows in {LABELS} are of instances without any mask, such as 26999" in (
        result.stderr
    )


def test_a_row_of_which_some_columns_alone_were_edited_is_refused(here, command, refused):
    """Formats take the box in the world or the one in the camera."""
    for column, change in (("x_world", 0.5), ("yaw_world", 0.3), ("z_cam", -1.0), ("height", 0.4), ("rotation_y", 0.1)):
        before = labels_file().read_bytes()
        edit(lambda table, c=column, d=change: with_value(c, table[c][7].as_py() + d, row=7)(table))
        result = command("export", "out", "--root", "root", "--format", "kitti", "--output", "kitti")
        refused(result, "instance 26003 in frame 1", "edited in part", "not the dataset that was labelled")
        labels_file().write_bytes(before)


def test_a_folder_of_labels_alone_is_read(tmp_path):
    """Without a manifest and an index there is less to hold the rows against."""
    path = corrected_rows(tmp_path, sequence="s", camera="x").with_name("a.parquet")
    path.parent.mkdir(parents=True)
    pq.write_table(make_labels(make_label(3, 26001)), path)
    assert read_labels(tmp_path).num_rows == 1
    pq.write_table(make_labels(make_label(3, 26001, length=-1.0)), path)
    with pytest.raises(InputError, match=r"a\.parquet: instance 26001 in frame 3 of s has length -1\.0"):
        read_labels(tmp_path)
