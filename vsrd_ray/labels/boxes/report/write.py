"""From the output folder of a run to its report."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.parquet import Preference, read_labels
from vsrd_ray.labels.boxes.report.budget import ByteBudget, Plan, plan_pictures
from vsrd_ray.labels.boxes.report.contents import (
    correction_contents,
    count_contents,
    group_contents,
    run_contents,
    sequence_contents,
)
from vsrd_ray.labels.boxes.report.editing import editing_contents
from vsrd_ray.labels.boxes.report.page import embedded, empty_page_bytes, fill_page
from vsrd_ray.labels.boxes.report.pictures import Solids, close_up, frame_picture, read_pixels
from vsrd_ray.labels.boxes.report.quality import quality_contents
from vsrd_ray.labels.boxes.report.tables import SequenceTables, read_tables
from vsrd_ray.labels.boxes.report.thinning import thin_numbers
from vsrd_ray.runs.manifest import RunInputs, read_inputs, recorded_manifest
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.storage import Location
from vsrd_ray.storage.atomic import atomic_write
from vsrd_ray.storage.targets import check_file

MAX_BYTES = 29_500_000  # of the whole file
_NUMBERS_SHARE = 0.75  # of what the page leaves, at most, for numbers: pictures of the worst have to fit as well
_THREADS = 4  # that read and encode pictures
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Written:
    """What a report holds."""

    num_bytes: int
    frames: int
    frame_pictures: int  # of them, those with their masks, and with their image where there is one
    instances: int
    left_out: int  # further instances, the least doubtful, for which there is no room
    close_ups: int


def write_report(
    output: Location,
    root: Location,
    path: Location,
    *,
    sequences: Sequence[str] = (),
    prefer: Preference = "human",
    quality: Callable[[Sequence[str]], dict[str, Any]] | None = None,
    solids: Solids | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write one HTML file that shows a run, complete or not.

    Args:
        output: folder of a labelling run.
        root: dataset with the run's sequences. Images and ground truth are shown where they are there.
        path: HTML file to write.
        sequences: which sequences; all of the run by default.
        prefer: whose boxes to show in frames that a human has corrected; see `read_labels`.
        quality: evaluates some sequences of the run, which have ground truth; gives what evaluation's JSON file holds.
        solids: gives the bodies that the labeler fitted, which close-ups hold against the masks; by default, and for
            rows without one, the box.
        max_bytes: of the file. Pictures are chosen and scaled so that it holds, and of very many instances the most
            doubtful are shown.
        progress: told the number of frames read, and that of all to read.

    Raises:
        InputError: no labelled frame, a sequence that the run does not have, a dataset that cannot
            be read, or frames that alone fill more than `max_bytes`.
        OutputError: the file cannot be written, or `path` is no name of one.
    """
    check_file(path, kind="HTML", suffixes=(".html", ".htm"), fix="give another --output")
    inputs, groups = read_inputs(output), read_groups(output)
    wanted = _wanted(output, inputs, sequences)
    found = _read_parts(output, root, wanted, inputs=inputs, groups=groups, prefer=prefer)
    content = _contents_of_run(output, found, wanted, inputs=inputs, groups=groups, prefer=prefer, quality=quality)
    parts = thin_numbers(found, int(_NUMBERS_SHARE * (max_bytes - _num_bytes(content))))
    num_instances, left_out = _num_instances(parts), _num_instances(found) - _num_instances(parts)
    told = [sequence_contents(tables) | {"editing": editing_contents(output, tables)} for tables in parts]
    content |= {"left_out": left_out, "sequences": told}
    room = max_bytes - _num_bytes(content)
    num_pictures, num_close_ups = _add_pictures(content["sequences"], parts, room, solids=solids, progress=progress)
    page = fill_page(content)
    with atomic_write(path) as temporary:
        temporary.write_bytes(page)
    return Written(
        num_bytes=len(page),
        frames=sum(len(tables.frames) for tables in parts),
        frame_pictures=num_pictures,
        instances=num_instances,
        left_out=left_out,
        close_ups=num_close_ups,
    )


def _read_parts(
    output: Location,
    root: Location,
    wanted: Sequence[str],
    *,
    inputs: RunInputs,
    groups: pa.Table,
    prefer: Preference,
) -> list[SequenceTables]:
    """The sequences of which there is something to show."""
    labels = read_labels(output, prefer=prefer)
    found = (
        read_tables(output, root, name, inputs=inputs, labels=labels, groups=groups, prefer=prefer) for name in wanted
    )
    parts = [tables for tables in found if tables is not None]
    if not parts:
        raise InputError(f"{output} has no labelled frame of {', '.join(wanted)} yet, so there is nothing to report")
    return parts


def _contents_of_run(
    output: Location,
    found: Sequence[SequenceTables],
    wanted: Sequence[str],
    *,
    inputs: RunInputs,
    groups: pa.Table,
    prefer: Preference,
    quality: Callable[[Sequence[str]], dict[str, Any]] | None,
) -> dict[str, Any]:
    """What the report says of the run as a whole, whatever it has room for."""
    with_truth = [tables.sequence.name for tables in found if tables.truth is not None]
    return {
        "title": f"{', '.join(wanted)}: labels",
        "run": run_contents(recorded_manifest(output), inputs),
        "counts": count_contents(found),
        "corrections": correction_contents(output, wanted, inputs.camera, prefer),
        "groups": group_contents(groups.filter(pc.field("sequence").isin(wanted))),
        "quality": quality_contents(quality(with_truth)) if quality is not None and with_truth else None,
    }


def _num_bytes(content: dict[str, Any]) -> int:
    """Bytes of the page with these numbers."""
    return empty_page_bytes() + len(embedded(content))


def _num_instances(parts: Sequence[SequenceTables]) -> int:
    return sum(len(tables.instance_ids) for tables in parts)


def _wanted(output: Location, inputs: RunInputs, sequences: Sequence[str]) -> list[str]:
    for name in sequences:
        if name not in inputs.sequences:
            raise InputError(f"{output} has no sequence {name}; it holds {', '.join(inputs.sequences)}")
    return [name for name in inputs.sequences if not sequences or name in sequences]


def _add_pictures(
    contents: list[dict[str, Any]],
    parts: list[SequenceTables],
    room: int,  # bytes
    *,
    solids: Solids | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[int, int]:
    """Give every sequence its pictures, and count those of frames and close-ups."""
    num_frames = sum(len(tables.frames) for tables in parts)
    shares = [room * len(tables.frames) // num_frames for tables in parts]
    plans = [plan_pictures(tables, share, solids) for tables, share in zip(parts, shares, strict=True)]
    done, total = 0, sum(len(plan.places()) for plan in plans)
    for content, tables, plan, share in zip(contents, parts, plans, shares, strict=True):
        budget = ByteBudget(share)
        for place, picture, views in _in_threads(partial(_make, tables, plan, solids), plan.places()):
            if picture is not None and budget.pays(picture):
                content["pictures"][place] = picture
            for instance, view in views:
                if budget.pays(view):
                    content["views"].setdefault(instance, []).append(view)
            done += 1
            if progress is not None:
                progress(done, total)
    num_pictures = sum(len(content["pictures"]) for content in contents)
    return num_pictures, sum(len(views) for content in contents for views in content["views"].values())


def _make(
    tables: SequenceTables, plan: Plan, solids: Solids | None, place: int
) -> tuple[int, dict[str, Any] | None, list[tuple[int, dict[str, Any]]]]:
    """The pictures that are made of one frame: its own, if it gets one, and close-ups by instance."""
    pixels = read_pixels(tables, place)
    picture = frame_picture(tables, place, pixels, plan.quality) if place in plan.frames else None
    views = plan.views.get(place, [])
    return (
        place,
        picture,
        [(instance, close_up(tables, view, pixels, plan.quality, solids)) for instance, view in views],
    )


def _in_threads(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Results in the order of the items; what has not begun is given up where the reader stops."""
    executor = ThreadPoolExecutor(_THREADS)
    try:
        yield from executor.map(work, items)
    finally:
        executor.shutdown(cancel_futures=True)
