"""What a labelling run is asked to do, and what it tells at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vsrd_ray.config import VSRDConfig
from vsrd_ray.pipeline.pool import PoolRequest


@dataclass(frozen=True)
class LabelRequest:
    """One labelling run. Only `config`, `camera` and `classes` decide what the labels are."""

    root: Path  # of the dataset, in KITTI-360's layout
    sequences: tuple[str, ...]
    output: Path
    config: VSRDConfig
    camera: str = "image_00"
    classes: tuple[str, ...] = ("car",)
    limit: int | None = None  # label the first groups alone, in the order of the plan
    pool: PoolRequest = field(default_factory=PoolRequest)
    trace: bool = False  # keep losses and boxes over the steps of every group
    dashboard: bool = False
    verbose: bool = False


@dataclass(frozen=True)
class Failure:
    """A group that has no labels, and why."""

    group_id: str
    sequence: str
    target_frame: int
    attempts: int
    error: str


@dataclass(frozen=True)
class Counts:
    """What the output folder holds, over all runs that wrote to it."""

    frames: int
    frames_skipped: int
    labelled_frames: int  # frames with a label file, the empty ones included
    groups: int  # planned
    groups_ok: int
    groups_failed: int
    boxes: int


@dataclass(frozen=True)
class Summary:
    """How a run ended."""

    request: LabelRequest
    counts: Counts
    failures: tuple[Failure, ...]
    wall_seconds: float  # of this run
    notes: tuple[str, ...]  # sentences such as why a sequence has no group


def default_output(sequences: Sequence[str]) -> Path:
    """Where labels go unless the user says otherwise: outputs/<sequence>, or outputs/<first>+<number of others>."""
    others = len(sequences) - 1
    return Path("outputs", f"{sequences[0]}+{others}" if others else sequences[0])


def format_summary(summary: Summary) -> str:
    """The closing lines of a run: counts, failures, where the results lie, and what to type next."""
    request, counts = summary.request, summary.counts
    lines = [
        f"Frames    {counts.labelled_frames} of {counts.frames} labelled, {counts.frames_skipped} skipped",
        f"Groups    {counts.groups_ok} of {counts.groups}, {counts.groups_failed} failed",
        f"Boxes     {counts.boxes}",
        f"Time      {summary.wall_seconds:.0f} s",
        f"Output    {request.output}",
    ]
    lines += [f"Failed    {failure.group_id}: {failure.error}" for failure in summary.failures]
    lines += summary.notes
    if counts.groups_failed:
        lines.append("The same command tries the failed groups again.")
    lines.append(f"Next      vsrd-ray visualize labels {request.output} --root {request.root}")
    return "\n".join(lines)
