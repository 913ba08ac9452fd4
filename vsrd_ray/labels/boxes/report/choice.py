"""What a report shows pictures of, where it cannot show everything: the doubtful first, and some of everything.

Shapes as in tables.py: F frames, N instances, B boxes, R rows.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from vsrd_ray.labels.boxes.columns import numbers
from vsrd_ray.labels.boxes.criteria import MIN_MASK_AREA
from vsrd_ray.labels.boxes.report.tables import Rows, SequenceTables
from vsrd_ray.labels.boxes.selection import is_reviewed

ViewKind = Literal["target", "large", "worst"]
_BEST_VIEWS = 3
_APART = 8  # best views of an instance are at least 1 / _APART of its rows apart


@dataclass(frozen=True)
class ViewChoice:
    """A row that an instance's page shows close up."""

    row: int
    # the target frame of the fit that is described, one with a large mask, or the one in which mask and box differ most
    kind: ViewKind


def doubt(tables: SequenceTables) -> np.ndarray:
    """How little a row [R] is to be trusted: 1 - IoU with the truth, else 1 - confidence.

    2 where a mask of `MIN_MASK_AREA` px has no label, and 0 where only a smaller one has none.
    """
    rows = tables.rows
    confidences = np.append(numbers(tables.boxes, ("confidence",))[:, 0], np.nan)[rows.boxes]
    known = np.nan_to_num(np.where(np.isnan(rows.iou_3d), confidences, rows.iou_3d), nan=1.0)
    return np.where(rows.boxes >= 0, 1.0 - known, np.where(rows.mask_areas >= MIN_MASK_AREA, 2.0, 0.0))


def doubt_of_instances(tables: SequenceTables) -> np.ndarray:
    """Doubt [N] of the most doubtful row of each instance; of one that has labels, those alone count."""
    rows, doubts, count = tables.rows, doubt(tables), len(tables.instance_ids)
    has_label = rows.boxes >= 0
    worst, of_labels = np.zeros(count), np.full(count, -1.0)
    np.maximum.at(worst, rows.instances, doubts)
    np.maximum.at(of_labels, rows.instances[has_label], doubts[has_label])
    return np.where(of_labels >= 0, of_labels, worst)


def ranked_instances(tables: SequenceTables) -> list[int]:
    """Places of all instances, the most doubtful first."""
    return np.argsort(-doubt_of_instances(tables), kind="stable").tolist()


def choose_frames(tables: SequenceTables, count: int) -> list[int]:
    """Places of the frames to show, ascending; `count` of them, or all there are.

    By turns: the best view of each instance, doubtful ones first; the frames that the page lists as the worst; those in
    which a mask and a box differ most; frames spread evenly over the drive.
    """
    rows, num_frames = tables.rows, len(tables.frames)
    if count >= num_frames or count == 0:
        return list(range(min(count, num_frames)))
    largest = largest_rows(rows)
    best_views = (int(rows.frames[largest[instance]]) for instance in ranked_instances(tables))
    by_overlap = np.argsort(np.nan_to_num(rows.iou_2d, nan=np.inf), kind="stable")
    disagreeing = (int(rows.frames[row]) for row in by_overlap)
    spread = ((k * num_frames) // count for k in range(count))
    chosen: dict[int, None] = {}
    for frame in _by_turns([best_views, _worst_frames(tables), disagreeing, spread]):
        chosen.setdefault(frame)
        if len(chosen) == count:
            break
    return sorted(chosen)


def choose_views(tables: SequenceTables, instance: int) -> list[ViewChoice]:
    """Close-ups of an instance, the first of which says most; none where it has no row."""
    rows = tables.rows
    own = tables.rows_of_instances[instance]
    labelled = own[rows.boxes[own] >= 0]
    if not len(labelled):
        return [ViewChoice(int(own[np.argmax(rows.mask_areas[own])]), "large")]
    target = numbers(tables.boxes.slice(_described_box(tables, labelled), 1), ("target_frame",))[0, 0]
    chosen = [ViewChoice(int(row), "target") for row in labelled[tables.frames[rows.frames[labelled]] == target]]
    largest_first = labelled[np.lexsort([-rows.mask_areas[labelled], rows.touches_border[labelled]])]
    apart = len(labelled) / _APART
    for row in largest_first.tolist():
        if len(chosen) == _BEST_VIEWS:
            break
        if all(abs(_place(labelled, row) - _place(labelled, other.row)) >= apart for other in chosen):
            chosen.append(ViewChoice(row, "large"))
    worst = int(labelled[np.argmin(np.nan_to_num(rows.iou_2d[labelled], nan=np.inf))])
    if worst not in {view.row for view in chosen}:
        chosen.append(ViewChoice(worst, "worst"))
    return chosen


def _described_box(tables: SequenceTables, labelled: np.ndarray) -> int:
    """Place of the box that stands for an instance with these rows: the one that its page describes (data.js).

    It is the most confident box of the fit, and of what moves the one in the target frame; a human's only where there
    is no other.
    """
    boxes = tables.rows.boxes[labelled]
    described = tables.boxes.select(["labeler", "confidence", "target_frame"]).take(pa.array(boxes))
    confidences = np.round(numbers(described, ("confidence",))[:, 0], 4)  # as many decimals as the page has
    is_human = is_reviewed(described)
    is_elsewhere = tables.frames[tables.rows.frames[labelled]] != numbers(described, ("target_frame",))[:, 0]
    return int(boxes[np.lexsort([is_elsewhere, -np.nan_to_num(confidences, nan=-1.0), is_human])[0]])


def largest_rows(rows: Rows) -> np.ndarray:
    """The row [N] of each instance whose mask is largest, those that touch no border first."""
    order = np.lexsort([-rows.mask_areas, rows.touches_border, rows.instances])
    _, firsts = np.unique(rows.instances[order], return_index=True)
    return order[firsts]


def _worst_frames(tables: SequenceTables) -> list[int]:
    """Places of all frames by their most doubtful row, then by the row in which mask and box differ most."""
    rows, count = tables.rows, len(tables.frames)
    doubts, differences = np.zeros(count), np.zeros(count)
    np.maximum.at(doubts, rows.frames, doubt(tables))
    np.maximum.at(differences, rows.frames, 1 - np.nan_to_num(rows.iou_2d, nan=1.0))
    return np.lexsort([-differences, -doubts]).tolist()


def _place(rows: np.ndarray, row: int) -> int:
    """Place of a row among ascending ones."""
    return int(np.searchsorted(rows, row))


def _by_turns(sources: Iterable[Iterable[int]]) -> Iterator[int]:
    for turn in itertools.zip_longest(*sources):
        yield from (entry for entry in turn if entry is not None)
