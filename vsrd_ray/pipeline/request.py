"""What a labelling run is asked to do, and what it tells at the end."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from vsrd_ray.data.given import NOTHING_GIVEN, Given
from vsrd_ray.errors import InputError
from vsrd_ray.pipeline.pool import PoolRequest
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.runs.records import DOUBTFUL, Counts, Failure
from vsrd_ray.settings import LabelerSettings
from vsrd_ray.storage import Location

ALL_SEQUENCES = "all"

# Why frames are skipped, as an index has it, in words that follow a number.
_REASONS = {
    "no pose": "without a pose",
    "no mask": "without a mask",
    "no image": "without an image",
    "no point": "without a sweep",
    "unreadable": "damaged",
}


@dataclass(frozen=True)
class LabelRequest:
    """One labelling run. Only `config`, `dataset`, `camera`, `classes` and `given` decide what the labels are."""

    root: Location  # of the dataset
    sequences: tuple[str, ...]  # names, or ALL_SEQUENCES alone
    output: Location
    config: LabelerSettings  # in the model of the labeler that it names
    dataset: str | None = None  # None: the one whose layout ROOT has
    camera: str | None = None  # None: the dataset's first
    classes: tuple[str, ...] | None = None  # None: those that the labeler labels by default
    given: Given = NOTHING_GIVEN  # in place of the dataset's own
    limit: int | None = None  # label the first groups alone, in the order of the plan
    frames: str | None = None  # targets of groups, such as 6,12 or 0:100:5; None: as the labeler chooses
    pool: PoolRequest = field(default_factory=PoolRequest)
    serial: bool = False  # in this process, without Ray
    address: str | None = None  # of a running cluster; None: Ray on this machine
    max_attempts: int = 3  # at a group, before it counts as failed
    group_timeout: float | None = None  # seconds for a batch at each stage; 0: none; None: as the labeler says
    trace: bool = False  # keep losses and boxes over the steps of every group
    dashboard: bool = False
    show_bar: bool = True  # where there is a terminal; else a line now and then
    verbose: bool = False
    config_title: str = ""  # what the user calls the configuration


@dataclass(frozen=True)
class Summary:
    """How a run ended."""

    request: LabelRequest
    sequences: tuple[str, ...]  # that were labelled
    counts: Counts
    failures: tuple[Failure, ...]
    unusable_sequences: dict[str, str]  # why sequences were left out, by name
    wall_seconds: float  # of this run
    notes: tuple[str, ...]  # sentences such as why a sequence has no group
    has_truth: bool  # the drives have labels of the first kind to compare with
    kinds: tuple[str, ...]  # of label
    looks: tuple[str, ...]  # what to type to see them; see `Kind`
    warnings: tuple[str, ...] = ()  # sentences on inputs that are odd
    poses: Mapping[str, str] = field(default_factory=dict)  # how good they are by the labels, by sequence

    def __repr__(self) -> str:
        labels = ", ".join(f"{self.counts.rows.get(kind, 0)} {kind}" for kind in self.kinds)
        state = f", {len(self.failures)} failures" if self.has_failures else ""
        return f"<Summary of {self.request.output}: {self.counts.labelled_frames} frames, {labels}{state}>"

    @property
    def has_failures(self) -> bool:
        """Whether a group or a sequence that was wanted has no labels."""
        return bool(self.failures or self.unusable_sequences)


def parse_frames(text: str | None) -> frozenset[int] | None:
    """The frames that a text such as "6,12" or "0:100:5" names; the end of a range does not belong to it.

    Raises:
        InputError: another text, or one that names none.
    """
    if text is None:
        return None
    frames: set[int] = set()
    for part in text.split(","):
        numbers = part.strip().split(":")
        if len(numbers) > 3 or not all(number.isdecimal() and len(number) < 11 for number in numbers):
            raise InputError(f"--frames {text}: expected numbers such as 6,12 or a range such as 0:100:5")
        whole = [int(number) for number in numbers]
        if len(whole) == 3 and whole[2] == 0:
            raise InputError(f"--frames {text}: a range needs a step above 0")
        frames.update(range(*whole) if len(whole) > 1 else whole)
    if not frames:
        raise InputError(f"--frames {text}: no frame is in that range")
    return frozenset(frames)


def default_output(sequences: Sequence[str]) -> Path:
    """Where labels go unless the user says otherwise: outputs/<sequence>, or outputs/<first>+<number of others>."""
    others = len(sequences) - 1
    return Path("outputs", f"{sequences[0]}+{others}" if others else sequences[0])


def format_beginning(request: LabelRequest) -> str:
    """The first line of a run: the configuration, its hash, and how labels come about."""
    config = request.config
    return f"Configuration {request.config_title} ({config.hash()}){': ' if config.in_words else ''}{config.in_words}"


def format_skipped(counts: Mapping[str, Any]) -> str:
    """How many frames were skipped and why, such as "3 skipped (2 without a pose, 1 damaged)".

    Args:
        counts: of a manifest; those of earlier versions do not tell why.
    """
    reasons = ", ".join(
        f"{count} {_REASONS.get(reason, reason)}" for reason, count in counts.get("skipped", {}).items()
    )
    return f"{counts['frames_skipped']} skipped{f' ({reasons})' if reasons else ''}"


def format_summary(summary: Summary) -> str:
    """The closing lines of a run: counts, failures, where the results lie, and what to type next."""
    request, counts = summary.request, summary.counts
    rows = [
        ("Frames", f"{counts.labelled_frames} of {counts.frames} labelled, {format_skipped(asdict(counts))}"),
        ("Groups", f"{counts.groups_ok} of {counts.groups} labelled, {counts.groups_failed} failed"),
        *((kind.capitalize(), count_line(asdict(counts), kind)) for kind in summary.kinds),
        ("Time", format_seconds(summary.wall_seconds)),
        ("Output", f"{request.output}"),
    ]
    rows += [("Failed", f"{failure.group_id}: {failure.error}") for failure in summary.failures]
    rows += [("Left out", f"{name}: {error}") for name, error in summary.unusable_sequences.items()]
    several = len(summary.sequences) > 1
    rows += [("Poses", f"{name}: {said}" if several else said) for name, said in summary.poses.items()]
    rows += [("Warning", warning) for warning in summary.warnings]
    rows += [("Note", note) for note in summary.notes]
    if counts.groups_failed:
        rows.append(("Note", "The same command tries the failed groups again."))
    if summary.unusable_sequences:
        rows.append(("Note", "The same command labels what was left out, once it is fixed."))
    if any(counts.rows.values()):
        rows += zip_longest(["Next"], _next_commands(summary), fillvalue="")
    return "\n".join(f"{name:10}{text}" for name, text in rows)


def count_line(counts: Mapping[str, Any], kind: str) -> str:
    """How many labels of a kind there are, and how many of them are doubtful.

    Args:
        counts: of a manifest; those of earlier versions know boxes alone.
        kind: of label.
    """
    doubtful = counts.get("doubtful", {}).get(kind, 0)
    said = f", {doubtful} of them doubtful (confidence below {DOUBTFUL})" if doubtful else ""
    return f"{counts['rows'].get(kind, 0) if counts.get('rows') else counts[kind]}{said}"


def format_seconds(seconds: float) -> str:
    """A duration such as "42 s", "3 min 05 s" or "2 h 07 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, rest_minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {rest_minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _next_commands(summary: Summary) -> list[str]:
    """What to type next: how to see the labels, and evaluation where there is truth."""
    output, root = shlex.quote(str(summary.request.output)), shlex.quote(str(summary.request.root))
    local = isinstance(summary.request.output, Path)
    sheet = shlex.quote(str(RunPaths(summary.request.output).sheet) if local else "sheet.png")
    one = f" --sequence {shlex.quote(summary.sequences[0])}" if len(summary.sequences) > 1 else ""
    first, *others = (look.format(output=output, root=root, sequence=one, sheet=sheet) for look in summary.looks)
    evaluate = [f"evaluate {output} --root {root}"] if summary.has_truth else []
    return [f"vsrd-ray {command}" for command in (first, *evaluate, *others)]
