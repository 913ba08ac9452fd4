"""Voxels of a run on one page: how much is known, and some frames as their cameras see them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vsrd_ray.labels.base import Progress
from vsrd_ray.labels.voxels.classes import UNKNOWN, table_named
from vsrd_ray.labels.voxels.labelled import grids_of
from vsrd_ray.labels.voxels.pictures import pictures
from vsrd_ray.labels.voxels.schema import OCCUPIED
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location
from vsrd_ray.visualization.page import Section, write_page

_FRAMES = 4  # that are shown of each drive, evenly spaced


def report(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None
) -> Sequence[str]:
    """Write one HTML file; see `vsrd_ray.labels.base.Reporter`."""
    sections = [_section(run, name) for name in run.inputs.sequences]
    size = write_page(destination, "Voxels", sections)
    return [f"Report written to {destination}: {size / 1e6:.1f} MB"]


def _section(run: RunFolder, sequence: str) -> Section:
    rows, frames = [], []
    for labelled in grids_of(run, sequence):
        voxels, frame = labelled.voxels, labelled.frame
        if voxels.semantics is not None:
            frames.append(frame)
        row: dict[str, Any] = {"frame": frame, "source": labelled.source}
        if voxels.observed is not None:
            row["seen, %"] = round(100 * float(voxels.observed.mean()), 1)
        if voxels.state is not None:
            row["occupied"] = int((voxels.state == OCCUPIED).sum())
        if voxels.semantics is not None and voxels.classes is not None:
            names = table_named(voxels.classes)
            counts = np.bincount(voxels.semantics.ravel(), minlength=UNKNOWN + 1)
            most = sorted(names.occupied, key=lambda number: -counts[number])[:3]
            row["most of"] = ", ".join(f"{names.names[number]} {counts[number]}" for number in most)
        rows.append(row)
    places = np.unique(np.linspace(0, len(frames) - 1, _FRAMES).round().astype(int)) if frames else ()
    shown = [frames[place] for place in places]
    drawn = {f"frame {frame}": picture for frame, picture in pictures(run, sequence, shown)}
    text = "Images, voxels from the same cameras and from above; the truth, where it is known, below or beside them."
    return Section(sequence, text, rows, drawn)
