"""What evaluation found, as tables of text: a report shows whatever an evaluation file holds.

An evaluation file is JSON: numbers in dictionaries, one in the other. A dictionary of numbers becomes a row, and rows
with the same columns one table. Some of its names are known, and are written in words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_RELIABILITY, _KEPT = "overall_reliability", "overall_kept"  # are drawn
_NOT_SHOWN = {_RELIABILITY, _KEPT, "reliability", "kept"}
_KINDS = ("overall", "static", "moving")  # of objects, as they are called in the file
_PAIR = {"mean", "median"}  # a dictionary of these two is one cell
_SHARES = ("coverage", "share_", "recall")  # shown as percent
_WORDS = {
    "iou_3d": "IoU3D",
    "iou_bev": "IoU BEV",
    "official_iou_3d": "official IoU3D",
    "official_iou_bev": "official IoU BEV",
    "share_over_25": "> 0.25",
    "share_over_50": "> 0.5",
    "share_over_70": "> 0.7",
    "center_distance": "centre m",
    "length_error": "length m",
    "width_error": "width m",
    "height_error": "height m",
    "yaw_error_mod_pi_deg": "yaw mod π °",
    "yaw_error_mod_2pi_deg": "yaw mod 2π °",
    "max_range": "farthest truth, m",
    "num_frames": "frames",
    "num_corrected_frames": "of them corrected by hand",
    "num_failed_groups": "groups that failed",
    "has_ended": "the run had ended",
    "prefer": "in them, boxes of",
    "num_windows": "windows of KITTI-360's AP",
    "num_objects": "objects to find",
    "kitti_ap": "KITTI AP R40",
    "kitti_ap_r11": "KITTI AP R11",
    "kitti360_ap": "KITTI-360 AP",
    "num_skipped_boxes": "true boxes left out",
    "skipped_boxes": "true boxes left out",
    "overall_confidence_auc": "AUC of confidence against IoU3D > 0.5",
    "confidence_auc": "the same, parked",
    "overall": "all",
    "static": "parked",
    "static_by_range": "parked, range",
    "static_by_visibility": "parked, visible",
    "moving_by_range": "moving, range",
    "moving_by_visibility": "moving, visible",
}
_ABBREVIATIONS = {"iou": "IoU", "ap": "AP", "auc": "AUC", "bev": "BEV", "kitti": "KITTI", "3d": "3D", "r40": "R40"}
_ERRORS_TITLE = "Errors of labelled truth, mean / median"


@dataclass
class _Table:
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)


def quality_contents(quality: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows: `headline` and `tables`; `facts`, named figures; and what the diagrams need."""
    facts = [[words(name), figure(name, value)] for name, value in quality.items() if _is_fact(value)]
    return {
        "headline": _headline(quality),
        "facts": facts,
        "tables": [{"title": title, "columns": table.columns, "rows": table.rows} for title, table in _tables(quality)],
        "reliability": [entry for entry in quality.get(_RELIABILITY) or [] if entry.get("count")],
        "kept": list(quality.get(_KEPT) or []),
    }


def words(name: str) -> str:
    """The name of a figure, to be read."""
    known = _WORDS.get(name)
    return known if known is not None else " ".join(_ABBREVIATIONS.get(word, word) for word in name.split("_"))


def figure(name: str, value: Any) -> str:
    """A figure, as precise as its kind is: shares in percent, degrees to a tenth."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(figure(name, entry) for entry in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    if name.startswith(_SHARES):
        return f"{100 * value:.1f}".removesuffix(".0") + " %"
    return f"{value:.1f}" if name.endswith("_deg") else f"{value:.3f}"


def _headline(quality: Mapping[str, Any]) -> dict[str, Any] | None:
    """A table of the figures that count most: all objects, parked and moving ones beside them; None without any."""
    kinds = {words(name): quality.get(name) or {} for name in _KINDS}
    shown = {title: kind for title, kind in kinds.items() if kind.get("count")}
    overlaps = [kind.get("iou_3d") or {} for kind in shown.values()]
    rows = [
        ["true boxes", *(figure("count", kind["count"]) for kind in shown.values())],
        ["labelled", *(figure("coverage", kind.get("coverage")) for kind in shown.values())],
        ["mean IoU3D", *(figure("mean", overlap.get("mean")) for overlap in overlaps)],
        ["IoU3D > 0.5", *(figure("share_over_50", overlap.get("share_over_50")) for overlap in overlaps)],
    ]
    return {"columns": ["", *shown], "rows": rows} if shown else None


def _tables(quality: Mapping[str, Any]) -> list[tuple[str, _Table]]:
    tables: dict[tuple[str, tuple[str, ...]], _Table] = {}
    for path, record in _records({name: value for name, value in quality.items() if name not in _NOT_SHOWN}):
        for title, cells in _split(path, record):
            table = tables.setdefault((title, tuple(cells)), _Table(["", *cells]))
            table.rows.append([_row_name(path, title), *cells.values()])
    return [(title, table) for (title, _), table in tables.items()]


def _records(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """The dictionaries that hold figures themselves, with the names on the way to each."""
    if isinstance(content, list | tuple):
        for place, entry in enumerate(content):
            yield from _records(entry, (*path, str(place + 1)))
    elif isinstance(content, Mapping):
        if path and any(_is_fact(value) for value in content.values()):
            yield path, content
        else:
            for name, value in content.items():
                yield from _records(value, (*path, name))


def _split(path: tuple[str, ...], record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a record, each with the title of its table: its own figures, then those of dictionaries in it.

    A record of nothing, whose count is 0, has none.
    """
    if record.get("count") == 0:
        return
    inner = {name: value for name, value in record.items() if isinstance(value, Mapping)}
    own = {
        words(name): figure(name, value)
        for name, value in record.items()
        if _is_fact(value) and not (inner and value is None)  # such as an IoU that was not asked for
    }
    pairs = {words(name): _pair(name, value) for name, value in inner.items() if value.keys() == _PAIR}
    large = {name: value for name, value in inner.items() if value.keys() != _PAIR}
    for name, value in large.items():
        title = words(name) if pairs else f"{words(path[0])}, {words(name)}"
        yield title, own | {words(key): figure(key, entry) for key, entry in value.items()}
    if pairs:
        yield _ERRORS_TITLE, pairs
    if not inner:
        yield words(path[0]), own


def _pair(name: str, value: Mapping[str, Any]) -> str:
    if value["mean"] is None:
        return "–"
    decimals = 1 if name.endswith("_deg") else 2
    return f"{value['mean']:.{decimals}f} / {value['median']:.{decimals}f}"


def _row_name(path: tuple[str, ...], title: str) -> str:
    names = [words(name) for name in path]
    return " · ".join(names[1:] if names[0] == title and len(names) > 1 else names)


def _is_fact(value: Any) -> bool:
    """Whether a value is one figure, or a list of plain ones."""
    if isinstance(value, list | tuple):
        return all(not isinstance(entry, Mapping | list | tuple) for entry in value)
    return not isinstance(value, Mapping)
