"""Writing the labels of a run in any of the formats."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.formats import (
    coco,
    csv,
    cvat,
    fiftyone,
    kitti,
    kitti360,
    kitti_mots,
    kitti_object,
    kitti_tracking,
    mcap,
    mmdet3d,
    nuscenes,
    openlabel,
    openpcdet,
    rerun,
    vsrd_annotations,
)
from vsrd_ray.labels.boxes.formats.splits import VSRD, with_splits
from vsrd_ray.labels.boxes.selection import (
    HIDDEN,
    LABEL_FAILED_AGAIN,
    LabelledSequence,
    Selection,
    select,
    warn_of_failures,
)
from vsrd_ray.runs.exports import (
    CONFIG_HASH,
    FINGERPRINTS,
    UNCORRECTED,
    check_free,
    export_folder,
)
from vsrd_ray.runs.folder import digest_of_inputs
from vsrd_ray.runs.manifest import recorded_manifest
from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)

# Gives how many boxes the format leaves out on its own, by the reason.
_Writer = Callable[[Sequence[LabelledSequence], Path, Callable[[], None]], Mapping[str, int] | None]
FORMATS: dict[str, _Writer] = {
    "kitti": kitti.write,
    "kitti-tracking": kitti_tracking.write,
    "kitti-object": kitti_object.write,
    "kitti-mots": kitti_mots.write,
    "vsrd-annotations": vsrd_annotations.write,
    "mmdet3d": mmdet3d.write,
    "openpcdet": openpcdet.write,
    "nuscenes": nuscenes.write,
    "kitti360": kitti360.write,
    "coco": coco.write,
    "csv": csv.write,
    "rerun": rerun.write,
    "openlabel": openlabel.write,
    "mcap": mcap.write,
    "fiftyone": fiftyone.write,
    "cvat": cvat.write,
}
_WITH_LINKS = ("kitti", "kitti-tracking", "kitti-object", "mmdet3d", "fiftyone")
_WITH_2D_BOXES = ("kitti", "kitti-tracking", "kitti-object", "mmdet3d", "coco", "fiftyone")
_WITH_SPLITS = ("kitti", "kitti-object", "mmdet3d", "openpcdet", "coco", "fiftyone")
_TO_CORRECT = ("cvat",)  # what is believed to be wrong is there to be corrected


@dataclass(frozen=True)
class ExportSummary:
    """What an export wrote."""

    sequences: int
    frames: int
    boxes: int
    left_out: Mapping[str, int] = field(default_factory=dict)  # numbers of boxes, by the reason

    def __str__(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
        return f"{self.boxes} boxes in {self.frames} frames" + (f", without {reasons}," if reasons else "")


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
        selection: which sequences and boxes; all by default. Those to be corrected are never left out for doubt.
        progress: called with the number of frames done and of all frames.

    Raises:
        InputError: an unknown format, no run, no such dataset, a selection that names what is not there, a run of
            which failed groups leave no frame, or a format whose package is not installed.
        OutputError: the destination holds other things than an export, or one that was edited.
    """
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}: give one of {', '.join(FORMATS)}")
    if format in _WITH_LINKS and not (isinstance(root, Path) and isinstance(destination, Path)):
        raise InputError(f"the format {format} links images: give a local --root and a local --output")
    check_free(destination)
    selection = selection or Selection()
    if selection.split != VSRD and format not in _WITH_SPLITS:
        raise InputError(f"the format {format} has no train, val and test: leave --split out")
    if format in _TO_CORRECT:
        selection = replace(selection, keep_doubtful=True)
    sequences = select(output, root, selection)
    _check_failures(output, sequences)
    if format in _WITH_2D_BOXES:
        sequences = _in_images(sequences)
    if format == "kitti-object" and selection.split == VSRD:
        sequences = kitti_object.with_benchmark_splits(sequences)
    elif format in _WITH_SPLITS:
        sequences = with_splits(sequences, selection.split)
    summary = _summary(sequences)
    if not summary.boxes:
        logger.warning("No box is left to write: %d frames without any.", summary.frames)
    counter = _Counter(summary.frames, progress)
    note = _note(output, format, selection, sequences)
    with export_folder(destination, note) as folder:
        summary = _without(summary, FORMATS[format](sequences, folder, counter) or {})
        note |= {"boxes": summary.boxes, "left_out": summary.left_out}
    return summary


def _summary(sequences: Sequence[LabelledSequence]) -> ExportSummary:
    return ExportSummary(
        sequences=len(sequences),
        frames=sum(len(labelled.frames) for labelled in sequences),
        boxes=sum(labelled.rows.num_rows for labelled in sequences),
        left_out=sum((Counter(labelled.left_out) for labelled in sequences), Counter()),
    )


def _without(summary: ExportSummary, left_out: Mapping[str, int]) -> ExportSummary:
    """The same after a format has left boxes out on its own."""
    boxes = summary.boxes - sum(left_out.values())
    return replace(summary, boxes=boxes, left_out={**summary.left_out, **left_out})


def _check_failures(output: Location, sequences: Sequence[LabelledSequence]) -> None:
    """Say how many frames are left out, since groups that label them failed; refuse a run of which none is left."""
    num_failed = _num_failed(sequences)
    if num_failed and not any(labelled.frames for labelled in sequences):
        raise InputError(
            f"{output}: no frame is left to write, since groups that label its {num_failed} frames failed: "
            f"{LABEL_FAILED_AGAIN}"
        )
    warn_of_failures(num_failed)


def _num_failed(sequences: Sequence[LabelledSequence]) -> int:
    return sum(len(labelled.failed_frames) for labelled in sequences)


def _in_images(sequences: Sequence[LabelledSequence]) -> list[LabelledSequence]:
    """The same without the boxes that no image shows: they have no 2D box."""
    shown = [labelled.in_image() for labelled in sequences]
    if hidden := sum(labelled.left_out.get(HIDDEN, 0) for labelled in shown):
        logger.warning("%d boxes are left out: they are %s.", hidden, HIDDEN)
    return shown


def _note(output: Location, format: str, selection: Selection, sequences: Sequence[LabelledSequence]) -> dict[str, Any]:
    """What `export.json` says."""
    summary = _summary(sequences)
    names = [labelled.sequence.name for labelled in sequences]
    return {
        "format": format,
        "run": str(output),
        CONFIG_HASH: recorded_manifest(output)["config_hash"],
        FINGERPRINTS: {name: digest_of_inputs(output, name) for name in names},
        "frames": summary.frames,
        "boxes": summary.boxes,
        "failed_frames": _num_failed(sequences),
        UNCORRECTED: {
            labelled.sequence.name: labelled.uncorrected_frames for labelled in sequences if labelled.uncorrected_frames
        },
        "selection": _selection(selection),
    }


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


def _selection(selection: Selection) -> dict[str, Any]:
    """A selection for JSON; what was added to it later stands there only where it is used."""
    values = asdict(selection) | {"max_range": _finite(selection.max_range)}
    if not selection.reviewed_only:
        del values["reviewed_only"]
    return values


def _finite(value: float) -> float | None:
    """The same, with None for infinity: JSON has none."""
    return value if value < float("inf") else None
