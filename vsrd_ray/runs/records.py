"""What a run counts, and what the manifest and the summary tell."""

from dataclasses import dataclass, field

DOUBTFUL = 0.2  # confidence below which a label is more likely wrong than right
NEARLY_ALL_DOUBTFUL = f"of the labels have a confidence below {DOUBTFUL}."  # after their share
_SUSPICIOUS_SHARE = 0.6  # of doubtful labels in a drive; sound drives have up to 0.3
_MANY, _SOME = 10, 4  # labels in a drive, from which on that share tells, or all of them


def is_suspicious(num_doubtful: int, num_labels: int) -> bool:
    """Whether so many labels of a drive are doubtful that its inputs may not belong together."""
    if num_labels < _MANY:
        return num_doubtful == num_labels >= _SOME
    return num_doubtful >= _SUSPICIOUS_SHARE * num_labels


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
    labelled_frames: int  # whose labels are all there, the frames without any label included
    groups: int  # planned
    groups_ok: int
    groups_failed: int
    boxes: int
    rows: dict[str, int] = field(default_factory=dict)  # of labels, by kind
    doubtful: dict[str, int] = field(default_factory=dict)  # of these, with a confidence below `DOUBTFUL`
    skipped: dict[str, int] = field(default_factory=dict)  # frames, by reason, such as "no pose"


@dataclass
class Progress:
    """How far a run is. Groups are those of the drives planned so far."""

    sequences: int  # of the run
    planned: int = 0  # drives
    groups: int = 0
    groups_ok: int = 0  # those of earlier runs included
    groups_failed: int = 0  # for good, in this run
    groups_retried: int = 0  # attempts that failed and were followed by another
    groups_new: int = 0  # that ended in this run
    boxes_new: int = 0  # label rows that this run has written, of every kind
    seconds: float = 0.0  # since the first group was begun
