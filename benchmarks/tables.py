"""Measurements as text."""

import math
from collections.abc import Sequence

from benchmarks.cost_and_quality import TIMED_STEPS, Measurement
from benchmarks.datasets import PUBLISHED
from benchmarks.throughput import COMPARED_GROUPS, Throughput
from vsrd_ray.labels.boxes.criteria import MAX_RANGE, MIN_MASK_AREA

NOTES = f"""\
One process, one thread. (of n): mean instances of a group. !k: k groups failed, and their labels are missing.
s a group: masks read, boxes fitted, label rows made. s of 6: seconds of all these groups / their instances x 6.
s a frame: everything from opening the sequence to its last label row (index, plan, setting up, all groups; but not
  starting Python), by the frames that get labels. ratio: of s a frame, to the published on the same data set.
Where groups were left out, s a frame scales the others' seconds up by instances, and quality is over the others'
  frames, less what those left out would have labelled there.
Quality: static truths of at least {MIN_MASK_AREA} px within {MAX_RANGE:g} m, n of them; a missing label counts 0.
  AUC: of confidence against IoU3D > .5.
* timed on {TIMED_STEPS} steps of each phase in a group of median size and extrapolated to all steps; not judged"""
THROUGHPUT_NOTES = f"""\
Groups are repeated, so their masks come from the file cache. Everything else is counted, from reading them to label
rows, after one batch that is not. Boxes of the first {COMPARED_GROUPS} groups are held against the CPU's."""

_COLUMNS = {  # and their widths
    "groups": 12,
    "s a group": 10,
    "(of n)": 8,
    "s of 6": 9,
    "s a frame": 10,
    "ratio": 12,
    "peak GB": 8,
    "IoU3D": 8,
    "> .5": 6,
    "> .7": 6,
    "coverage": 9,
    "AUC": 6,
    "n": 6,
}
_NUM_QUALITY_COLUMNS = 6
_NO_VALUE = "-"


def header(variants: Sequence[str]) -> str:
    """The first line of a table of these variants."""
    return _aligned("variant", list(_COLUMNS), variants)


def row(one: Measurement, *, published: Measurement | None, variants: Sequence[str]) -> str:
    """One variant's line in the table of all variants."""
    return _aligned(_title(one.variant), [*_cost_cells(one, published), *_quality_cells(one)], variants)


def throughput_text(one: Throughput) -> str:
    """What a device did with one kind of groups."""
    failed = f" ({one.num_failed} failed)" if one.num_failed else ""
    return "\n  ".join(
        [
            f"grouping {one.kind}: {60 * one.num_groups / one.seconds:.1f} groups a minute:"
            f" {one.num_groups} groups{failed}, {one.num_instances} instances in {one.seconds:.1f} s",
            f"GPU busy {_fixed(one.utilisation, 0)} %,"
            f" peak {_fixed(one.peak_gigabytes, 1)} of {_fixed(one.free_gigabytes, 1)} GB that were free",
            f"mean IoU3D {one.mean_iou_3d:.3f},"
            f" corners within {one.largest_difference:.3f} m of the CPU's in {one.num_compared} boxes",
        ]
    )


def _title(variant: str) -> str:
    return f"published ({variant})" if variant == PUBLISHED else variant


def _aligned(name: str, cells: Sequence[str], variants: Sequence[str]) -> str:
    width = max(len(_title(variant)) for variant in variants)
    return f"{name:{width}}" + "".join(f"{cell:>{wide}}" for cell, wide in zip(cells, _COLUMNS.values(), strict=True))


def _cost_cells(one: Measurement, published: Measurement | None) -> list[str]:
    mark = "*" if one.is_extrapolated else ""
    failed = f" !{one.num_failed}" if one.num_failed else ""
    return [
        f"{one.num_groups} of {one.num_planned}{mark}{failed}",
        f"{one.seconds_a_group:,.1f}",
        f"({one.instances_a_group:.1f})",
        f"{one.seconds_of_six:,.1f}",
        f"{one.seconds_a_frame:,.2f}",
        _NO_VALUE if published is None else f"1/{published.seconds_a_frame / one.seconds_a_frame:,.0f}",
        f"{one.peak_gigabytes:.2f}",
    ]


def _quality_cells(one: Measurement) -> list[str]:
    if one.quality is None:
        return [_NO_VALUE] * _NUM_QUALITY_COLUMNS
    ious = one.quality.iou_3d
    shares = (ious.share_over_50, ious.share_over_70, one.quality.coverage)
    return [
        _fixed(ious.mean, 3),
        *(f"{share:.0%}" for share in shares),
        _fixed(one.confidence_auc, 2),
        str(one.quality.count),
    ]


def _fixed(value: float, decimals: int) -> str:
    return _NO_VALUE if math.isnan(value) else f"{value:.{decimals}f}"
