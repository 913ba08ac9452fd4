"""Two runs side by side, over the truths that both could have labelled.

Shapes: T truths, C instances, M measures.
"""

from dataclasses import dataclass, replace
from itertools import starmap

import numpy as np

from vsrd_ray.data.lookup import instance_keys
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.criteria import MAX_RANGE
from vsrd_ray.labels.boxes.evaluation.matching import Matches
from vsrd_ray.labels.boxes.evaluation.run import what_to_evaluate
from vsrd_ray.labels.boxes.evaluation.sequences import Criteria, match_sequence
from vsrd_ray.labels.boxes.parquet import Preference
from vsrd_ray.labels.spread import Spread, Task, results_of
from vsrd_ray.runs.folder import num_failed_groups
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.storage import Location, absolute

INTERVAL = 0.95
_RESAMPLES = 5000
_RESAMPLES_AT_ONCE = 100  # bounds memory: each is a count for every instance
_MEASURES = ("IoU3D, mean", "IoU_BEV, mean", "IoU3D > 0.5", "IoU3D > 0.7", "coverage")


@dataclass(frozen=True)
class Difference:
    """One measure of two runs: means over the same truths, in which a missing label counts 0."""

    measure: str
    a: float
    b: float
    difference: float  # b - a
    low: float  # of the interval of the difference; NaN where there are no two instances
    high: float


@dataclass(frozen=True)
class ComparedRun:
    """One of two runs."""

    num_left_out: int  # static truths that are eligible in this one alone, in the sequences and classes of both
    num_failed_groups: int  # of these sequences
    has_ended: bool


@dataclass(frozen=True)
class Comparison:
    """Two runs over the static truths that are eligible in both."""

    sequences: tuple[str, ...]
    classes: tuple[str, ...]
    left_out: tuple[str, ...]  # sequences and classes that one run alone has
    max_range: float  # metres
    num_truths: int
    num_instances: int
    differences: tuple[Difference, ...]
    run_a: ComparedRun
    run_b: ComparedRun


def compare_runs(
    output_a: Location,
    output_b: Location,
    root: Location,
    *,
    max_range: float = MAX_RANGE,
    prefer: Preference = "human",
    seed: int = 0,
    spread: Spread = starmap,
) -> Comparison:
    """Two runs of the same sequences against one truth, with a bootstrap interval of each difference.

    Static truths count that are eligible in both runs (see `match`): in sequences, classes and frames that both have.
    The interval is the percentile one of a paired bootstrap. Instances are drawn, each with all its frames, since the
    frames of a track say much the same; there is no interval with less than two of them.

    Args:
        output_a: folder of a labelling run.
        output_b: folder of the other.
        root: dataset with the 3D box XML of their sequences.
        max_range: metres from the camera to the true centre.
        prefer: whose labels count in frames that a human has corrected; see `read_labels`.
        seed: of the draws.
        spread: how the sequences of both are gone through; see `evaluate_run`.

    Raises:
        InputError: no labels or no truth, a range that is not positive, runs of different cameras, or of nothing that
            both have labelled.
    """
    runs = (output_a, output_b)
    names, criteria, left_out, have_ended = _in_common(runs, max_range=max_range, prefer=prefer)
    tasks = [Task(absolute(output), absolute(root), name, criteria) for name in names for output in runs]
    matches = results_of(match_sequence, tasks, spread)
    scores, instances, num_left_out = [], [], np.zeros(2, dtype=np.int64)
    for name, of_a, of_b in zip(names, matches[::2], matches[1::2], strict=True):
        a, b = common_truths(of_a, of_b)
        num_left_out += [(~some.is_moving).sum() - len(a.frames) for some in (of_a, of_b)]
        scores.append(np.stack([_scores(a), _scores(b)]))
        instances += [(name, instance) for instance in a.instance_ids.tolist()]
    _, instance_of_truth = np.unique(np.array(instances).reshape(-1, 2), axis=0, return_inverse=True)
    differences = paired_differences(np.concatenate(scores, axis=1), instance_of_truth.ravel(), seed=seed)
    run_a, run_b = (
        ComparedRun(left_out_of_run, num_failed_groups(read_groups(output), names), has_ended)
        for left_out_of_run, output, has_ended in zip(num_left_out.tolist(), runs, have_ended, strict=True)
    )
    return Comparison(
        sequences=names,
        classes=criteria.classes,
        left_out=left_out,
        max_range=max_range,
        num_truths=len(instances),
        num_instances=len(set(instances)),
        differences=differences,
        run_a=run_a,
        run_b=run_b,
    )


def _in_common(
    runs: tuple[Location, Location], *, max_range: float, prefer: Preference
) -> tuple[tuple[str, ...], Criteria, tuple[str, ...], tuple[bool, bool]]:
    """The sequences of two runs, what counts in them, what one alone has of both, and whether each run has ended."""
    (names_a, criteria_a), (names_b, criteria_b) = (
        what_to_evaluate(output, max_range=max_range, classes=None, official=False, prefer=prefer) for output in runs
    )
    if criteria_a.camera != criteria_b.camera:
        raise InputError(
            f"{runs[0]} is of {criteria_a.camera}, {runs[1]} of {criteria_b.camera}: give two runs of one camera"
        )
    names, other_names = _shared(names_a, names_b, runs, what="sequence")
    classes, other_classes = _shared(criteria_a.classes, criteria_b.classes, runs, what="class")
    have_ended = (criteria_a.has_ended, criteria_b.has_ended)
    return names, replace(criteria_a, classes=classes), (*other_names, *other_classes), have_ended


def _shared(
    in_a: tuple[str, ...], in_b: tuple[str, ...], runs: tuple[Location, Location], *, what: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names that both runs have, and the others; there is one at least that both have."""
    shared = tuple(name for name in in_a if name in in_b)
    if not shared:
        raise InputError(
            f"{runs[0]} is of {', '.join(in_a)}, {runs[1]} of {', '.join(in_b)}, with no {what} in common: "
            f"give two runs with the same {what}"
        )
    return shared, tuple(name for name in (*in_a, *in_b) if name not in shared)


def common_truths(a: Matches, b: Matches) -> tuple[Matches, Matches]:
    """The static truths of one sequence that both have, in the same order."""
    a, b = a.where(~a.is_moving), b.where(~b.is_moving)
    keys_a, keys_b = (instance_keys(some.instance_ids, some.frames) for some in (a, b))
    _, in_a, in_b = np.intersect1d(keys_a, keys_b, return_indices=True)
    return a.where(in_a), b.where(in_b)


def paired_differences(
    scores: np.ndarray,  # [2, T, M] of run a and run b
    instances: np.ndarray,  # [T] number of the truth's instance, 0..C - 1
    *,
    seed: int,
) -> tuple[Difference, ...]:
    """The difference of each measure and its interval; NaN where there is no truth, and of one instance no interval."""
    if not len(instances):
        return tuple(Difference(measure, *[np.nan] * 5) for measure in _MEASURES)
    means = scores.mean(axis=1)
    lows, highs = _interval(scores[1] - scores[0], instances, seed=seed)
    columns = (means[0], means[1], means[1] - means[0], lows, highs)
    return tuple(
        Difference(measure, *(float(column[place]) for column in columns)) for place, measure in enumerate(_MEASURES)
    )


def _interval(gains: np.ndarray, instances: np.ndarray, *, seed: int) -> np.ndarray:
    """Both ends [2, M] of the interval of the mean of gains [T, M]; one instance alone says nothing of others."""
    counts = np.bincount(instances).astype(np.float64)
    if len(counts) < 2:
        return np.full((2, gains.shape[1]), np.nan)
    sums = np.stack([np.bincount(instances, weights=gain) for gain in gains.T], axis=-1)  # [C, M]
    tail = (1 - INTERVAL) / 2
    return np.quantile(_resampled(sums, counts, np.random.default_rng(seed)), [tail, 1 - tail], axis=0)


def _resampled(gains: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mean gains [resamples, M] over the truths of as many instances as there are, drawn with replacement."""
    shares = np.full(len(counts), 1 / len(counts))
    parts = []
    for _ in range(_RESAMPLES // _RESAMPLES_AT_ONCE):
        times = rng.multinomial(len(counts), shares, size=_RESAMPLES_AT_ONCE)  # [resamples, C]
        parts.append((times @ gains) / (times @ counts)[:, None])
    return np.concatenate(parts)


def _scores(matches: Matches) -> np.ndarray:
    """What the measures are means of, [T, M]."""
    iou_3d = matches.iou_3d
    return np.stack([iou_3d, matches.iou_bev, iou_3d > 0.5, iou_3d > 0.7, matches.is_labelled], axis=-1)
