"""A run by hand whose numbers can be told in advance."""

import pyarrow.parquet as pq
import pytest

from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.report.tables import read_tables
from vsrd_ray.runs.manifest import read_inputs
from vsrd_ray.runs.reading import read_groups

SEQUENCE = "2013_05_28_drive_0042_sync"
FIRST, SECOND = (10.0, 0.5, 0.0), (12.0, -1.0, 0.0)
# The mask of 26001 is 20 x 20 px: this box is all of it, the next one its right half.
WHOLE = dict(zip(("bbox_left", "bbox_top", "bbox_right", "bbox_bottom"), (10.0, 20.0, 29.0, 39.0), strict=True))
HALF = WHOLE | {"bbox_left": 19.5}


@pytest.fixture
def run(write_run, label_row, truth_object):
    """(output, root): 26001 has a box in frames 1 and 2 and another in 4, 26002 one in 2 and 3; 26003 has none."""
    rows = [
        label_row(1, 26001, FIRST, confidence=0.9) | WHOLE | {"target_frame": 2},
        label_row(2, 26001, FIRST, confidence=0.9) | HALF | {"target_frame": 2},
        label_row(4, 26001, (11.0, 0.5, 0.0), confidence=0.4) | WHOLE | {"target_frame": 4},
        label_row(2, 26002, SECOND, confidence=0.7) | {"target_frame": 2},
        label_row(3, 26002, SECOND, confidence=0.7) | {"target_frame": 2},
    ]
    return write_run(rows, [truth_object(1, 1, FIRST), truth_object(2, 9, SECOND)])


@pytest.fixture
def tables_of():
    """Reads the tables of a run's sequence."""

    def read(output, root):
        labels, groups = read_labels(output), read_groups(output)
        return read_tables(output, root, SEQUENCE, inputs=read_inputs(output), labels=labels, groups=groups)

    return read


@pytest.fixture
def tables(run, tables_of):
    """The tables of the run above."""
    return tables_of(*run)


@pytest.fixture
def rewrite():
    """Changes one Parquet file of a run: rewrite(path, function of its table)."""

    def change(path, action):
        pq.write_table(action(pq.read_table(path, partitioning=None)), path)

    return change
