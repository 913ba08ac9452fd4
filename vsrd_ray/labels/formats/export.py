"""Writing the labels of a run in any of the formats."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vsrd_ray.data.storage import Location
from vsrd_ray.errors import InputError
from vsrd_ray.labels.formats import coco, csv, cvat, kitti, kitti360, mmdet3d, nuscenes, openpcdet, rerun
from vsrd_ray.labels.formats.folder import check_free, export_folder
from vsrd_ray.labels.selection import LabelledSequence, Selection, select

logger = logging.getLogger(__name__)

_Writer = Callable[[Sequence[LabelledSequence], Path, Callable[[], None]], None]
FORMATS: dict[str, _Writer] = {
    "kitti": kitti.write,
    "mmdet3d": mmdet3d.write,
    "openpcdet": openpcdet.write,
    "nuscenes": nuscenes.write,
    "kitti360": kitti360.write,
    "coco": coco.write,
    "csv": csv.write,
    "rerun": rerun.write,
    "cvat": cvat.write,
}
_WITH_LINKS = ("kitti", "mmdet3d")


@dataclass(frozen=True)
class ExportSummary:
    """What an export wrote."""

    sequences: int
    frames: int
    boxes: int


def export(
    output: Location,
    root: Location,
    destination: Location,
    *,
    format: str,
    selection: Selection | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ExportSummary:
    """Write the labels of a run to a folder in a format of others. The folder appears when all of it is written.

    Args:
        output: folder of a labelling run.
        root: the dataset that was labelled.
        destination: where nothing is yet, or an earlier export, which is replaced.
        format: one of `FORMATS`.
        selection: which sequences and boxes; all by default.
        progress: called with the number of frames done and of all frames.

    Raises:
        InputError: an unknown format, no run, no such dataset, a selection that names what is not there, or a format
            whose package is not installed.
        OutputError: the destination holds other things than an export.
    """
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}: give one of {', '.join(FORMATS)}")
    if format in _WITH_LINKS and not (isinstance(root, Path) and isinstance(destination, Path)):
        raise InputError(f"the format {format} links images: give a local --root and a local --output")
    check_free(destination)
    selection = selection or Selection()
    sequences = select(output, root, selection)
    counter = _Counter(sum(len(labelled.frames) for labelled in sequences), progress)
    boxes = sum(labelled.rows.num_rows for labelled in sequences)
    if not boxes:
        logger.warning("No box is left to write: %d frames without any.", counter.total)
    note = {"format": format, "run": str(output), "frames": counter.total, "boxes": boxes}
    note["selection"] = asdict(selection) | {"max_range": _finite(selection.max_range)}
    with export_folder(destination, note) as folder:
        FORMATS[format](sequences, folder, counter)
    return ExportSummary(len(sequences), counter.total, boxes)


@dataclass
class _Counter:
    """Counts frames when it is called, and tells."""

    total: int
    tell: Callable[[int, int], None] | None
    done: int = field(default=0, init=False)

    def __call__(self) -> None:
        self.done += 1
        if self.tell is not None:
            self.tell(self.done, self.total)


def _finite(value: float) -> float | None:
    """The same, with None for infinity: JSON has none."""
    return value if value < float("inf") else None
