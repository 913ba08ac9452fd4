import builtins

import numpy as np
import pyarrow.parquet as pq
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vsrd_ray.runs.trace import TraceRecorder, write_trace


def recorded():
    recorder = TraceRecorder()
    recorder(0, {"total": 2.5, "boxes": np.arange(6.0).reshape(2, 3)})
    recorder(10, {"total": torch.tensor(1.5), "eikonal": np.float32(0.25), "boxes": torch.zeros(2, 3)})
    return recorder.table()


def test_table_has_a_row_for_each_step():
    table = recorded()
    assert table.to_pylist() == [
        {"step": 0, "total": 2.5, "boxes": [[0, 1, 2], [3, 4, 5]], "eikonal": None},
        {"step": 10, "total": 1.5, "boxes": [[0, 0, 0], [0, 0, 0]], "eikonal": 0.25},
    ]


def test_nothing_recorded_is_an_empty_table():
    table = TraceRecorder().table()
    assert (table.column_names, table.num_rows) == (["step"], 0)


def test_trace_is_written_for_parquet_and_tensorboard(tmp_path):
    write_trace(recorded(), output=tmp_path, group_id="g")
    assert pq.read_table(tmp_path / "trace" / "g.parquet").equals(recorded())
    events = EventAccumulator(str(tmp_path / "trace" / "tensorboard" / "g")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("total")] == [(0, 2.5), (10, 1.5)]
    assert [(event.step, event.value) for event in events.Scalars("eikonal")] == [(10, 0.25)]


def test_trace_needs_no_tensorboard(tmp_path, monkeypatch):
    real_import = builtins.__import__

    def without_tensorboard(name, *args, **kwargs):
        if name == "torch.utils.tensorboard":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_tensorboard)
    write_trace(recorded(), output=tmp_path, group_id="g")
    assert [path.name for path in (tmp_path / "trace").iterdir()] == ["g.parquet"]
