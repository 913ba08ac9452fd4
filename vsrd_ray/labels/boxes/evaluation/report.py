"""A quality report as text."""

import math
from collections.abc import Callable, Iterator

from vsrd_ray.labels.boxes.evaluation.comparison import INTERVAL, Comparison
from vsrd_ray.labels.boxes.evaluation.confidence import GOOD_IOU
from vsrd_ray.labels.boxes.evaluation.kitti import DIFFICULTIES, KittiAP
from vsrd_ray.labels.boxes.evaluation.kitti360 import IOUS
from vsrd_ray.labels.boxes.evaluation.quality import Error, Overlap, Quality, QualityReport

# How good a run is called, by the share of true boxes with a label over `GOOD_IOU`.
_VERDICTS = {"good": 0.9, "fair": 0.7, "poor": -math.inf}
_OVERLAP_HEADER = ["mean", "median", ">0.25", ">0.5", ">0.7"]
_NO_VALUE = "-"


def format_report(report: QualityReport) -> str:
    """Aligned tables: IoU in 3D and bird's-eye view (the official ones too, if asked for), errors, AP, confidence."""
    kinds = {"IoU3D": lambda quality: quality.iou_3d, "IoU_BEV": lambda quality: quality.iou_bev}
    if report.static.official_iou_3d is not None:
        kinds["official IoU3D"] = lambda quality: quality.official_iou_3d
        kinds["official IoU_BEV"] = lambda quality: quality.official_iou_bev
    blocks = [
        verdict(report),
        _headline(report),
        *(_overlap_table(report, title, pick) for title, pick in kinds.items()),
    ]
    tables = (_error_table(report), _kitti_table(report), _kitti360_table(report), _confidence_table(report))
    return "\n\n".join([*blocks, *tables])


def format_comparison(comparison: Comparison, names: tuple[str, str]) -> str:
    """Two runs side by side.

    Args:
        comparison: what `compare_runs` gave.
        names: what to call the runs.
    """
    subject = f"{', '.join(comparison.classes)} in {', '.join(comparison.sequences)}"
    lines = [f"A: {names[0]}", f"B: {names[1]}"]
    lines.append(
        f"{subject}: {comparison.num_truths} parked truths of {comparison.num_instances} instances within"
        f" {comparison.max_range:g} m that both runs could label; a missing label counts 0"
    )
    for letter, run in (("A", comparison.run_a), ("B", comparison.run_b)):
        if run.num_left_out:
            lines.append(f"left out, since {letter} alone has labelled their frames: {run.num_left_out} parked truths")
        lines += _unfinished(letter, has_ended=run.has_ended, num_failed_groups=run.num_failed_groups)
    if comparison.left_out:
        lines.append(f"left out, since one run alone has it: {', '.join(comparison.left_out)}")
    rows = [["", "A", "B", "B - A", f"{100 * INTERVAL:g} % interval"]]
    for one in comparison.differences:
        interval = _NO_VALUE if math.isnan(one.low) else f"{_signed(one.low)} to {_signed(one.high)}"
        rows.append([one.measure, _fixed(one.a, 3), _fixed(one.b, 3), _signed(one.difference), interval])
    return "\n".join(lines) + "\n\n" + _aligned(rows)


def verdict(report: QualityReport) -> str:
    """The run in a line: how many of the true boxes are labelled well, and what is gained by keeping the confident."""
    overall = report.overall
    if not overall.count:
        return "Verdict: none, since no true box counts"
    share = overall.iou_3d.share_over_50
    word = next(word for word, least in _VERDICTS.items() if share >= least)
    text = f"Verdict: {word}. {_percent(share)} of {overall.count} true boxes have a label over IoU3D {GOOD_IOU:g}"
    text += f" (mean {_fixed(overall.iou_3d.mean, 3)})"
    sure = report.overall_reliability[-1]
    if sure.count:
        text += f"; of the labels, {_percent(sure.share_kept)} have a confidence of {sure.low:g} or more, and"
        text += f" {_percent(sure.precision_kept)} of those are as good"
    return text


def _headline(report: QualityReport) -> str:
    subject = f"{', '.join(report.classes)} in {', '.join(report.sequences)}"
    static, overall = report.static, report.overall
    lines = [
        f"{subject}: {report.num_frames} frames, truth within {report.max_range:g} m",
        f"{overall.labelled} of {overall.count} true boxes labelled, {static.labelled} of {static.count} parked ones;"
        " a missing label counts as IoU 0, errors are over labelled truth",
    ]
    if not overall.count:
        lines.append("no true box counts: in these frames ROOT's XML has none of these classes within the range")
    lines += _unfinished("the run", has_ended=report.has_ended, num_failed_groups=report.num_failed_groups)
    if report.num_corrected_frames:
        lines.append(f"corrected by hand: {report.num_corrected_frames} of the frames, where those labels count")
    if report.num_skipped_boxes:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.skipped_boxes.items())
        lines.append(f"left out of the ground truth: {report.num_skipped_boxes} objects ({reasons})")
    if static.official_iou_3d is not None:
        lines.append("official IoU is cut to [0, 1], and NaN counts 0: as published, it may be out of these bounds")
    return "\n".join(lines)


def _unfinished(run: str, *, has_ended: bool, num_failed_groups: int) -> list[str]:
    """Why a run's figures are not those of all that it was asked to label."""
    lines = [] if has_ended else [f"{run} has not ended: these figures are of what it has labelled so far"]
    if num_failed_groups:
        groups = "1 group" if num_failed_groups == 1 else f"{num_failed_groups} groups"
        lines.append(f"{groups} failed in {run}: what they ought to have labelled counts as missing")
    return lines


def _rows(report: QualityReport) -> Iterator[tuple[str, Quality]]:
    if report.moving.count:
        yield "all", report.overall
    yield "parked", report.static
    yield from _bins(report.static_by_range, report.static_by_visibility)
    yield "moving", report.moving
    if report.moving.count:
        yield from _bins(report.moving_by_range, report.moving_by_visibility)


def _bins(by_range: dict[str, Quality], by_visibility: dict[str, Quality]) -> Iterator[tuple[str, Quality]]:
    for name, quality in by_range.items():
        yield f"  {name}", quality
    for name, quality in by_visibility.items():
        yield f"  visible {name}", quality


def _overlap_table(report: QualityReport, title: str, pick: Callable[[Quality], Overlap]) -> str:
    rows = [[title, "n", "coverage", *_OVERLAP_HEADER]]
    for name, quality in _rows(report):
        overlap = pick(quality)
        shares = (overlap.share_over_25, overlap.share_over_50, overlap.share_over_70)
        cells = [_fixed(overlap.mean, 3), _fixed(overlap.median, 3), *map(_percent, shares)]
        rows.append([name, str(quality.count), _percent(quality.coverage), *cells])
    return _aligned(rows)


def _error_table(report: QualityReport) -> str:
    rows = [["error, mean / median", "centre m", "length m", "width m", "height m", "yaw mod pi", "yaw mod 2 pi (deg)"]]
    for name, quality in _rows(report):
        lengths = (quality.center_distance, quality.length_error, quality.width_error, quality.height_error)
        yaws = (quality.yaw_error_mod_pi_deg, quality.yaw_error_mod_2pi_deg)
        rows.append([name, *(_pair(error, 2) for error in lengths), *(_pair(error, 1) for error in yaws)])
    return _aligned(rows)


def _confidence_table(report: QualityReport) -> str:
    """The tenths that have labels, most confident first."""
    rows = [["confidence", "n", "mean", "IoU3D >0.5", "kept", "precision of kept"]]
    for tenth in reversed(report.overall_reliability):
        if tenth.count:
            shares = (tenth.share_good, tenth.share_kept, tenth.precision_kept)
            name = f"  {tenth.low:.1f} - {tenth.high:.1f}"
            rows.append([name, str(tenth.count), _fixed(tenth.mean_confidence, 2), *map(_percent, shares)])
    areas = f"{_fixed(report.overall_confidence_auc, 3)}, of parked ones {_fixed(report.confidence_auc, 3)}"
    return f"{_aligned(rows)}\nAUC of confidence against IoU3D > 0.5: {areas}"


def _kitti_cells(ap: KittiAP, iou: str) -> list[str]:
    return [_tenths(table[iou][difficulty.name]) for table in (ap.ap_3d, ap.ap_bev) for difficulty in DIFFICULTIES]


def _kitti_table(report: QualityReport) -> str:
    """Classes by IoU threshold, in columns by kind and difficulty; parked objects apart where others move."""
    names = [difficulty.name for difficulty in DIFFICULTIES]
    heads = [f"{kind} {name}" for kind in ("3D", "BEV") for name in names]
    rows = [["KITTI AP R40, %", *heads]]
    aps = dict(report.kitti_ap)
    if report.moving.count:
        aps |= {f"{class_name}, parked": ap for class_name, ap in report.kitti_ap_parked.items()}
    for title, ap in aps.items():
        rows.append([f"{title}: objects", *(str(ap.num_objects[name]) for name in names), *[""] * len(names)])
        for iou in ap.ap_3d:
            rows.append([f"  IoU > {iou}", *_kitti_cells(ap, iou)])
    rows.append(["KITTI AP R11, %", *heads])
    for title, ap in report.kitti_ap_r11.items():
        rows += [[f"{title}: IoU > {iou}", *_kitti_cells(ap, iou)] for iou in ap.ap_3d]
    note = "\nWho misses one object never reaches recall 1: of 40 recalls 97.5 is then the most, of 11 recalls 90.9."
    values = [
        value
        for ap in aps.values()
        for table in (ap.ap_3d, ap.ap_bev)
        for row in table.values()
        for value in row.values()
    ]
    return _aligned(rows) + (note if any(value < 1 for value in values) else "")


def _kitti360_table(report: QualityReport) -> str:
    rows = [["KITTI-360 AP, %", "windows", "objects", *(f"IoU > {iou}" for iou in IOUS)]]
    for class_name, ap in report.kitti360_ap.items():
        rows.append([class_name, str(report.num_windows), str(ap.num_objects), *map(_tenths, ap.ap_3d.values())])
    return _aligned(rows)


def _pair(error: Error, decimals: int) -> str:
    return _NO_VALUE if math.isnan(error.mean) else f"{error.mean:.{decimals}f} / {error.median:.{decimals}f}"


def _fixed(value: float, decimals: int) -> str:
    return _NO_VALUE if math.isnan(value) else f"{value:.{decimals}f}"


def _signed(value: float) -> str:
    return _NO_VALUE if math.isnan(value) else f"{value:+.3f}"


def _tenths(share: float) -> str:
    return _NO_VALUE if math.isnan(share) else f"{100 * share:.1f}"


def _percent(share: float) -> str:
    return _NO_VALUE if math.isnan(share) else f"{100 * share:.0f} %"


def _aligned(rows: list[list[str]]) -> str:
    """Columns as wide as their widest cell: the first flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
