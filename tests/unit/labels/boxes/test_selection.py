import pyarrow as pa
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.parquet import REVIEW_SCHEMA, corrected_rows
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.selection import Selection, select
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0042_sync"


def ids(run, **filters):
    (labelled,) = select(run.output, run.root, Selection(**filters))
    return [rows["instance_id"].to_pylist() for _, rows in labelled.by_frame()]


def test_everything_by_default(run):
    (labelled,) = select(run.output, run.root, Selection())
    assert labelled.frames == (1, 2, 3, 5)  # 4 belongs to a group that failed
    assert ids(run) == [[26001, 26002, 26003, 27001]] * 4
    assert [view.frame for view, _ in labelled.by_frame()] == [1, 2, 3, 5]


def test_a_frame_is_labelled_only_if_none_of_its_groups_failed(run):
    row = {"group_id": "c", "sequence": SEQUENCE, "target_frame": 3, "frames": [3, 4], "instance_ids": [26009]}
    for status, frames in (("skipped", (1, 2, 3, 5)), ("failed", (1, 2, 5))):
        table = pa.Table.from_pylist([row | {"status": status}], schema=GROUP_SCHEMA)
        write_parquet(table, run.output / "groups" / "c.parquet")
        (labelled,) = select(run.output, run.root, Selection())
        assert labelled.frames == frames
        assert set(labelled.rows["frame"].to_pylist()) == set(frames)


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({"min_confidence": 0.4}, [26001, 26002, 27001]),
        ({"min_confidence": 0.71}, [26001]),
        ({"classes": ("truck",)}, [27001]),
        ({"classes": ("car", "truck"), "exclude_moving": True}, [26001, 26002, 27001]),
        ({"sequences": (SEQUENCE,), "classes": ("bus",)}, []),
    ],
)
def test_filters(run, filters, left):
    assert ids(run, **filters) == [left] * 4


def test_what_moves_is_doubtful_unless_its_motion_is_known(run):
    assert ids(run, keep_doubtful=False) == [[26001, 26002, 27001]] * 4


def test_what_moves_with_a_motion_is_handed_on(moving_run):
    assert ids(moving_run, keep_doubtful=False) == [[26001, 26002, 26003, 27001]] * 4
    assert ids(moving_run, keep_doubtful=False, exclude_moving=True) == [[26001, 26002, 27001]] * 4


def test_the_range_is_that_of_the_centre_from_the_camera(run):
    # 12 m ahead and 3 m to the left of where the camera was in frame 0, .75 m below it; it drives 2 m a frame
    distances = [((12 - 2 * frame) ** 2 + 3**2 + 0.75**2) ** 0.5 for frame in (1, 2, 3, 5)]
    assert ids(run, max_range=distances[1] + 1e-6) == [[], [26001], [26001], [26001, 26003]]
    assert ids(run, max_range=distances[1] - 1e-6) == [[], [], [26001], [26001, 26003]]


def test_reviewed_frames_count_as_labelled_unless_the_labelers_rows_are_preferred(run):
    table = pa.Table.from_pylist([{"camera": "image_00", "frame": 4}], schema=REVIEW_SCHEMA)
    write_parquet(table, run.output / "corrections" / f"{SEQUENCE}.parquet")
    write_parquet(LABEL_SCHEMA.empty_table(), corrected_rows(run.output, sequence=SEQUENCE, camera="image_00"))
    (labelled,) = select(run.output, run.root, Selection())
    assert labelled.frames == (1, 2, 3, 4, 5)
    (labelled,) = select(run.output, run.root, Selection(prefer="auto"))
    assert labelled.frames == (1, 2, 3, 5)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"min_confidence": 1.5}, "must be from 0 to 1, got 1.5"),
        ({"max_range": 0.0}, "greater than 0 m"),
        ({"classes": ("cra",)}, "no class 'cra' in KITTI-360; did you mean 'car'"),
        ({"classes": ()}, "--classes names no class"),
        ({"sequences": (SEQUENCE, SEQUENCE)}, f"sequence {SEQUENCE!r} is named more than once"),
        ({"sequences": ("2013_05_28_drive_0001_sync",)}, f"has no sequence '2013_05_28_drive_0001_sync': .*{SEQUENCE}"),
    ],
)
def test_selections_of_what_is_not_there(run, filters, message):
    with pytest.raises(InputError, match=message):
        select(run.output, run.root, Selection(**filters))


def test_another_dataset_is_refused(run):
    poses = paths.poses_file(run.root, SEQUENCE)
    lines = poses.read_text().splitlines(keepends=True)
    poses.write_text("".join(line for line in lines if not line.startswith("3 ")))
    with pytest.raises(InputError, match="no pose of frame 3"):
        select(run.output, run.root, Selection())
