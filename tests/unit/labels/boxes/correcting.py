"""What tests of corrected labels share."""

import pyarrow as pa

from vsrd_ray.labels.boxes.corrections import import_labels
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0042_sync"


def take(run, source, name="kitti", **options):
    return import_labels(run.output, run.root, source, format=name, **options)


def frame_rows(table, frame):
    return table.filter(table["frame"].to_numpy() == frame)


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fail(run, frames):
    """Another group of the run, which labels some frames too, has failed."""
    row = {"group_id": "failed", "sequence": SEQUENCE, "target_frame": frames[0], "frames": frames}
    row |= {"instance_ids": [26009], "status": "failed", "error": "lost", "attempts": 3, "seconds": 0.0}
    write_parquet(pa.Table.from_pylist([row], schema=GROUP_SCHEMA), run.output / "groups" / "failed.parquet")


def edit_line(path, number, *, column, change):
    """Change a number in a line of a file."""
    lines = path.read_text().splitlines()
    words = lines[number].split()
    words[column] = f"{change(float(words[column])):.4f}"
    lines[number] = " ".join(words)
    path.write_text("".join(f"{line}\n" for line in lines))
