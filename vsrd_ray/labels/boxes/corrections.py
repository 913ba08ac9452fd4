"""Corrected boxes become label rows with `source` = human.

They lie in OUTPUT/labels/sequence=<sequence>/human-<camera>.parquet, and the frames that were reviewed in
OUTPUT/corrections/<sequence>.parquet. Every import writes both anew, the rows first: rows of frames that are not
reviewed yet do not count, so an import that is killed has changed whole frames or nothing. What both files were before
the last import is kept in OUTPUT/.before-import. Both name the inputs, by their fingerprint, that they are of.
Shapes: N boxes of one frame.
"""

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.index import SIDES
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.errors import InputError, one_line
from vsrd_ray.geometry.boxes import UprightBoxes, wrap_angle
from vsrd_ray.geometry.cameras import box_iou
from vsrd_ray.labels.boxes.columns import BOX_2D, SIZE_LWH, box_columns, box_of, boxes_of, numbers
from vsrd_ray.labels.boxes.corrected import CorrectedFrame
from vsrd_ray.labels.boxes.formats import cvat, kitti
from vsrd_ray.labels.boxes.formats.folder import (
    CONFIG_HASH,
    FINGERPRINTS,
    UNCORRECTED,
    digests_of,
    edited_files,
    exported,
    imported_files,
    mark_imported,
    read_note,
    written_files,
)
from vsrd_ray.labels.boxes.formats.samples import INDEX
from vsrd_ray.labels.boxes.identities import Identities, Sight
from vsrd_ray.labels.boxes.parquet import HUMAN, REVIEW_SCHEMA, corrected_rows, of_inputs, read_labels, read_reviewed
from vsrd_ray.labels.boxes.rows import camera_columns
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.selection import labelled_frames
from vsrd_ray.runs.folder import digest_of_inputs, read_index, sequence_labels
from vsrd_ray.runs.manifest import RunInputs, read_inputs, recorded_manifest
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.sink import rows_by_frame
from vsrd_ray.storage import (
    Location,
    absolute,
    is_folder,
    names_in,
    open_dataset,
    open_location,
    plain_name,
    read_bytes,
    read_table,
    relative,
    remove,
)
from vsrd_ray.storage.atomic import atomic_write, write_parquet

logger = logging.getLogger(__name__)

_Reader = Callable[[Location, dict[str, Drive]], list[CorrectedFrame]]
READERS: dict[str, _Reader] = {"kitti": kitti.read, "cvat": cvat.read}
# Parts of a selection that leave out boxes of a frame, and their options.
_FILTERS = {
    "min_confidence": "--min-confidence",
    "max_range": "--max-range",
    "classes": "--classes",
    "exclude_moving": "--exclude-moving",
}
_UNUSUAL = 1.5  # times the largest extent of a class in the run, or the smallest divided by it
_FEW = 3  # boxes of a class: that fewer are all taken away is no reason to ask
_MANY = 10  # boxes of a sequence: that none of fewer stays where it is is no reason to ask
_NOTE = "import.json"  # beside what the last import has replaced: what it was of, written last


class FrameChange(NamedTuple):
    """What an import changes in one frame."""

    sequence: str
    frame: int
    moved: int
    added: int
    removed: int


@dataclass(frozen=True)
class ImportSummary:
    """What an import found."""

    frames: int  # that count as reviewed now
    unchanged: int  # frames that say what the run says, and were left as they are
    boxes: int  # of the reviewed frames
    kept: int  # boxes that are where the run has them
    moved: int  # boxes of instances that the run has in the frame, with another place, size, heading or class
    added: int  # boxes of instances that it does not have there
    removed: int  # instances that it has there and the human has not
    unlabelled: int = 0  # frames without boxes that the run has not labelled, which were left as they are
    outdated: int = 0  # frames that nobody edited since they were exported, but that were corrected in the run
    replaced: int = 0  # of `frames`, those that had been corrected before
    changes: tuple[FrameChange, ...] = field(default=(), compare=False)  # of `frames`, ascending


def import_labels(
    output: Location,
    root: Location,
    source: Location,
    *,
    format: str,
    confirm_unchanged: bool = False,
    confirm_changes: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportSummary:
    """Read corrected boxes back into a run. Frames of `source` are reviewed as a whole.

    A second import of a frame replaces the first, unless its file is as it was exported: such a file says nothing. A
    frame without boxes that the run has not labelled, such as one of a group that failed, is left as it is: no export
    shows its boxes, but tools have an entry for every frame. Boxes that an export has left out stay as they are.

    Args:
        output: folder of a labelling run.
        root: the dataset that was labelled.
        source: what the human left: a folder of KITTI text, or an archive of CVAT's.
        format: one of `READERS`.
        confirm_unchanged: frames that say what the run says count as reviewed as well, so that their boxes become the
            human's, with a confidence of 1.
        confirm_changes: most boxes of a sequence may be taken away, or none may stay where it is. Without it, the one
            passes for an accident of a tool, and the other for labels of another run.
        dry_run: find out what would change, and write nothing.
        progress: called with the number of frames done and of all frames.

    Raises:
        InputError: an unknown format, no run, an export that a filter has thinned out, that lacks the corrections of
            reviewed frames or is of another run or other inputs, a file that cannot be used, or boxes most of which
            are gone or none of which is in its place; then nothing is written.
    """
    if format not in READERS:
        raise InputError(f"unknown format {format!r}: give one of {', '.join(READERS)}")
    folder = _exported_folder(source)
    _check_whole(folder)
    _check_run(folder, output)
    digests = digests_of(folder)  # of the files before they are read
    edited = edited_files(folder, digests)
    inputs = read_inputs(output)
    drives = {name: open_drive(root, name, inputs.camera) for name in inputs.sequences}
    frames = sorted(READERS[format](source, drives), key=lambda frame: (frame.sequence, frame.frame))
    _check_corrected(folder, frames)
    imports = _open(output, inputs, [drives[name] for name in sorted({frame.sequence for frame in frames})], format)
    names = {frame.file: relative(frame.file, folder) for frame in frames if digests}
    for done, frame in enumerate(frames, start=1):
        name = names.get(frame.file)
        is_untouched = name in digests and name not in edited
        imports[frame.sequence].add(frame, confirm_unchanged=confirm_unchanged, is_untouched=is_untouched)
        if progress is not None:
            progress(done, len(frames))
    for sequence in imports.values():
        sequence.check(confirm_changes=confirm_changes)
    summary = _sum([sequence.summary for sequence in imports.values()])
    if not dry_run:
        _write(output, list(imports.values()), folder)
        read = {*names.values(), INDEX}
        mark_imported(folder, {**imported_files(folder), **{name: digests[name] for name in read if name in digests}})
    _warn(summary)
    return summary


def undo_import(output: Location) -> int:
    """Take back the last import, with all that it replaced, and return the number of frames that it had changed.

    Raises:
        InputError: no import is there to be taken back.
    """
    before = RunPaths(output).before_import
    camera = read_inputs(output).camera
    try:
        note = json.loads(read_bytes(before / _NOTE))
        source, frames = open_location(note["source"]), {name: int(count) for name, count in note["frames"].items()}
    except FileNotFoundError:
        raise InputError(f"{output} holds no import to be taken back: only the last one can be, and once") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{before / _NOTE}: no note of an import ({one_line(error)}): it cannot be undone") from error
    for sequence in frames:
        # The list of reviewed frames first: rows of others do not count.
        for kind, path in _files_of(output, plain_name(sequence, what=f"{before / _NOTE}: sequence"), camera).items():
            kept = before / f"{sequence}.{kind}.parquet"
            if kept.exists():
                write_parquet(read_table(kept), path)
            else:
                remove([path])
    mark_imported(source, {})  # what was edited in it is nowhere else any more
    remove(before / name for name in names_in(before))
    return sum(frames.values())


def _open(output: Location, inputs: RunInputs, drives: Sequence[Drive], format: str) -> dict[str, "_SequenceImport"]:
    """Imports of some sequences, by name."""
    groups, reviewed = read_groups(output), read_reviewed(output)
    labels, auto = read_labels(output), read_labels(output, prefer="auto")
    imports = {}
    for drive in drives:
        name = drive.name
        known, of_labeler = (sequence_labels(rows, sequence=name, camera=inputs.camera) for rows in (labels, auto))
        imports[name] = _SequenceImport(
            drive,
            known,
            of_labeler,
            read_index(output, name),
            labelled=labelled_frames(output, groups, sequence=name, inputs=inputs),
            reviewed=reviewed.get((name, inputs.camera), frozenset()),
            labeler=f"import-{format}",
        )
    return imports


def _exported_folder(source: Location) -> Location:
    """The folder whose `export.json` tells of what is imported: a file that an export wrote lies in it."""
    if is_folder(source) or source.name not in written_files(source.parent):
        return source
    return source.parent


def _check_run(source: Location, output: Location) -> None:
    """Refuse an export of other labels: what nobody touched in it would pass for corrected."""
    config_hash = recorded_manifest(output)["config_hash"]
    exported_hash = read_note(source).get(CONFIG_HASH, config_hash)  # older exports do not say it
    if exported_hash != config_hash:
        raise InputError(
            f"{source} was exported from a run with other settings ({exported_hash}, but {output} has {config_hash}): "
            "give the run that was exported"
        )
    for name, exported_from in exported(source, FINGERPRINTS).items():
        labelled = digest_of_inputs(output, plain_name(name, what=f"{source}: sequence"))
        if None not in (labelled, exported_from) and labelled != exported_from:
            raise InputError(
                f"{source} was exported from labels of other inputs of {name} than {output} holds: give the run that "
                "was exported, or export again and correct that"
            )


def _check_whole(source: Location) -> None:
    """Refuse an export that a filter has taken boxes from: they would pass for boxes that the human took away."""
    selection = exported(source, "selection")
    if filters := [option for name, option in _FILTERS.items() if selection.get(name)]:
        raise InputError(
            f"{source} was exported with {' and '.join(filters)}, and boxes that this left out would be taken away: "
            "export without it, and correct that"
        )


def _check_corrected(source: Location, frames: Sequence[CorrectedFrame]) -> None:
    """Refuse an export with `--prefer auto` of frames that had been reviewed: it would undo their corrections."""
    uncorrected = {name: set(some) for name, some in exported(source, UNCORRECTED).items() if isinstance(some, list)}
    for frame in frames:
        if frame.frame in uncorrected.get(frame.sequence, ()):
            raise InputError(
                f"{frame.place}: frame {frame.frame} of {frame.sequence} was corrected before, but {source} was "
                "exported with --prefer auto, and the corrections would be undone: export without it, and correct that"
            )


@dataclass(frozen=True)
class _Mask:
    """What the index knows of a mask."""

    area: int  # px
    box_xyxy: tuple[int, int, int, int]  # px, last pixel included


class _SequenceImport:
    """The corrected frames of one sequence, on their way to rows."""

    def __init__(
        self,
        drive: Drive,
        known: pa.Table,  # rows that count in the run
        auto: pa.Table,  # the labeler's rows
        index: pa.Table,
        *,
        labelled: Iterable[int],  # frames
        reviewed: Iterable[int],  # frames
        labeler: str,
    ) -> None:
        self.drive = drive
        self.rows: dict[int, list[dict[str, Any]]] = {}  # of the frames that count as reviewed
        self._seen: set[int] = set()
        self._known = known
        self._handed_out = {*labelled, *reviewed}
        self._labeler = labeler
        self._index = index.filter(index["instance_id"].is_valid())
        masks = set(self._index["instance_id"].to_pylist())
        both = pa.concat_tables([auto, known])
        self._identities = Identities(both, masks, self.drive.classes)
        self._is_moving = dict(zip(*(both[name].to_pylist() for name in ("instance_id", "is_moving")), strict=True))
        self._usual = _usual_sizes(both)
        self._unusual: list[str] = []
        self._reviewed = frozenset(reviewed)
        self._counts = dict.fromkeys((field.name for field in fields(ImportSummary) if field.name != "changes"), 0)
        self._changes: list[FrameChange] = []
        self._boxes: Counter[str] = Counter()  # that the run has in the frames of the file, by class
        self._removed: Counter[str] = Counter()  # of them
        self._emptied: list[int] = []  # frames that had boxes
        self._num_same = 0  # boxes that are where the run has them

    @property
    def summary(self) -> ImportSummary:
        return ImportSummary(**self._counts, changes=tuple(self._changes))

    @cached_property
    def _masks(self) -> dict[int, dict[int, _Mask]]:
        """The masks of each frame, by instance."""
        columns = [self._index[name].to_pylist() for name in ("frame", "instance_id", "area")]
        boxes = zip(*(self._index[f"box_{side}"].to_pylist() for side in SIDES), strict=True)
        masks: dict[int, dict[int, _Mask]] = defaultdict(dict)
        for frame, instance_id, area, box in zip(*columns, boxes, strict=True):
            masks[frame][instance_id] = _Mask(area, box)
        return masks

    def add(self, frame: CorrectedFrame, *, confirm_unchanged: bool, is_untouched: bool) -> None:
        """Take over one frame, whose file may be as it was exported."""
        if frame.frame in self._seen:
            raise InputError(f"{frame.place}: frame {frame.frame} of {frame.sequence} is there twice: keep one of them")
        self._seen.add(frame.frame)
        if not frame.class_names and frame.frame not in self._handed_out:
            self._counts["unlabelled"] += 1
            return
        _check_doubled(frame)
        ((_, rows),) = rows_by_frame(self._known, [frame.frame])
        ids = self._identities.assign(frame, rows, lambda: self._look(frame))
        rows, left_out = _apart(rows, frame, ids)
        names = dict(zip(rows["instance_id"].to_pylist(), rows["class_name"].to_pylist(), strict=True))
        self._boxes.update(names.values())
        positions = {instance_id: n for n, instance_id in enumerate(names)}
        same = _same_rows(frame, rows, [positions.get(instance_id, -1) for instance_id in ids])
        is_same = len(same) == rows.num_rows and all(row is not None for row in same)
        self._num_same += sum(row is not None for row in same)
        if is_same and not confirm_unchanged:
            self._counts["unchanged"] += 1
            return
        if is_untouched and not is_same:
            self._counts["outdated"] += 1
            return
        self._removed.update(names[instance_id] for instance_id in names.keys() - set(ids))
        if names and not ids:
            self._emptied.append(frame.frame)
        self._unusual += [text for n, row in enumerate(same) if row is None and (text := self._unlike(frame, n))]
        self.rows[frame.frame] = sorted(
            [*self._rows_of(frame, ids, same), *(row | {"source": HUMAN} for row in left_out)],
            key=lambda row: row["instance_id"],
        )
        self._count(frame, ids, known=set(positions), same=same)

    def check(self, *, confirm_changes: bool) -> None:
        """Refuse what no human does by hand, unless it is meant, and say what is odd.

        Tools have lost shapes on the way out, and have dropped those whose labels they did not know.

        Raises:
            InputError: most boxes, all of a class, or all in at least half of the frames would be taken away, or none
                of many would stay where it is.
        """
        name, removed, boxes = self.drive.name, self._removed.total(), self._boxes.total()
        lost = [one for one, count in self._removed.items() if count == self._boxes[one] >= _FEW]
        what = None
        if removed == boxes > 0:
            what = f"every box ({boxes}) would be taken away"
        elif 2 * removed > boxes:
            what = f"{removed} of {boxes} boxes would be taken away"
        elif lost:
            what = f"every box of the class {lost[0]} ({self._removed[lost[0]]}) would be taken away"
        elif len(self._emptied) > 1 and 2 * len(self._emptied) >= len(self._seen):
            what = f"every box in {len(self._emptied)} of {len(self._seen)} frames would be taken away"
        elif boxes >= _MANY and not self._num_same:
            what = f"none of {boxes} boxes is where the run has it, as in labels of another run"
        if what is not None and not confirm_changes:
            raise InputError(
                f"{name}: {what}, and nothing is imported: look what the tool has lost or mixed up, or give "
                "--confirm-changes if this is meant"
            )
        if self._emptied:
            logger.warning("%s: no box is left in frame %s.", name, ", ".join(map(str, self._emptied)))
        if self._unusual:
            logger.warning(
                "%s, as for %d boxes in all: are length, width and height in their places?",
                self._unusual[0],
                len(self._unusual),
            )

    def _unlike(self, frame: CorrectedFrame, n: int) -> str | None:
        """What is unusual about the size of a box, by those of its class in the run; None where nothing is."""
        name = frame.class_names[n]
        usual, sizes = self._usual.get(name), frame.boxes.dimensions_lwh[n]
        if usual is None or ((sizes >= usual[0]) & (sizes <= usual[1])).all():
            return None
        length, width, height = sizes.tolist()
        return (
            f"{frame.places[n]}: a {name} that is {length:.2f} m long, {width:.2f} m wide and {height:.2f} m high has "
            "an unusual size"
        )

    def _look(self, frame: CorrectedFrame) -> Sight:
        """Where the boxes and the masks of a frame are in its image."""
        nothing = np.zeros(len(frame.class_names))
        columns = camera_columns(self.drive.view(frame.frame), frame.boxes, mask_areas=nothing)
        masks = self._masks[frame.frame]
        return Sight(
            boxes_xyxy=np.stack([columns[name] for name in BOX_2D], axis=-1),
            mask_ids=tuple(masks),
            mask_boxes_xyxy=np.array([mask.box_xyxy for mask in masks.values()], dtype=np.float64).reshape(-1, 4),
        )

    def _count(
        self, frame: CorrectedFrame, ids: list[int], *, known: set[int], same: list[dict[str, Any] | None]
    ) -> None:
        change = FrameChange(
            frame.sequence,
            frame.frame,
            moved=sum(i in known and row is None for i, row in zip(ids, same, strict=True)),
            added=len(set(ids) - known),
            removed=len(known - set(ids)),
        )
        self._changes.append(change)
        self._counts["frames"] += 1
        self._counts["replaced"] += frame.frame in self._reviewed
        self._counts["boxes"] += len(self.rows[frame.frame])
        self._counts["kept"] += sum(row is not None for row in same)
        for name in ("moved", "added", "removed"):
            self._counts[name] += getattr(change, name)

    def _rows_of(
        self, frame: CorrectedFrame, ids: list[int], same: list[dict[str, Any] | None]
    ) -> list[dict[str, Any]]:
        """Rows of `LABEL_SCHEMA`; a box that is where the run has it keeps every digit."""
        exact = {n: row for n, row in enumerate(same) if row is not None}
        boxes = UprightBoxes.stack([box_of(exact[n]) if n in exact else box for n, box in enumerate(frame.boxes)])
        view = self.drive.view(frame.frame)
        masks = [self._masks[frame.frame].get(instance_id) for instance_id in ids]
        areas = np.array([mask.area if mask else 0 for mask in masks])
        columns = box_columns(boxes) | camera_columns(view, boxes, mask_areas=areas)
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        rows: list[dict[str, Any]] = [dict(zip(columns, numbers, strict=True)) for numbers in values]
        for n, row in enumerate(rows):
            row |= {
                "camera": self.drive.camera.name,
                "frame": frame.frame,
                "instance_id": ids[n],
                "class_name": frame.class_names[n],
                "confidence": 1.0,
                "mean_iou_2d": _mask_overlap(row, masks[n]),
                "num_views": None,  # nobody measured these
                "bearing_spread_deg": None,
                "silhouette_loss": None,
                "is_moving": self._is_moving.get(ids[n]),  # not known of what no labeler saw
                "shape": exact[n]["shape"] if n in exact else None,
                "group_id": HUMAN,
                "target_frame": frame.frame,
                "labeler": self._labeler,
                "config_hash": "",
                "seed": 0,
                "source": HUMAN,
            }
        return rows


def _check_doubled(frame: CorrectedFrame) -> None:
    """Refuse a box that stands where another one of its class does, such as one that was copied and not moved yet."""
    boxes = frame.boxes
    values = np.column_stack([boxes.centers, boxes.dimensions_lwh, np.cos(boxes.yaws), np.sin(boxes.yaws)])
    classes = np.array(frame.class_names)
    is_same = (np.abs(values[:, None] - values) <= frame.rounding).all(axis=-1) & (classes[:, None] == classes)
    pairs = np.argwhere(np.triu(is_same, k=1))
    if len(pairs):
        first, second = pairs[0].tolist()
        raise InputError(f"{frame.places[second]}: the same box as {frame.places[first]}: remove one of them")


def _apart(rows: pa.Table, frame: CorrectedFrame, ids: list[int]) -> tuple[pa.Table, list[dict[str, Any]]]:
    """The rows of a frame that its export handed out, and those that it left out and that no box stands for now.

    No human has seen these: no image shows them, or their labeler did not trust them.
    """
    if frame.exported_ids is None:
        return rows, []
    handed_out = {*ids, *frame.exported_ids}
    is_handed_out = np.array([instance_id in handed_out for instance_id in rows["instance_id"].to_pylist()], bool)
    return rows.filter(pa.array(is_handed_out)), rows.filter(pa.array(~is_handed_out)).to_pylist()


def _usual_sizes(rows: pa.Table) -> dict[str, np.ndarray]:
    """Smallest and largest length, width and height, [2, 3] metres, that a box of each class usually has."""
    names, sizes = np.array(rows["class_name"].to_pylist()), numbers(rows, SIZE_LWH)
    of_class = {name: sizes[names == name] for name in set(names.tolist())}
    return {
        name: np.stack([some.min(axis=0) / _UNUSUAL, some.max(axis=0) * _UNUSUAL]) for name, some in of_class.items()
    }


def _same_rows(frame: CorrectedFrame, rows: pa.Table, positions: Sequence[int]) -> list[dict[str, Any] | None]:
    """For each box [N] the row at its position, -1 for none, if it is the same box of the same class; None if not."""
    boxes = boxes_of(rows)
    names = rows["class_name"].to_pylist()
    same: list[dict[str, Any] | None] = []
    for n, position in enumerate(positions):
        is_same = position >= 0 and names[position] == frame.class_names[n]
        if is_same:
            a, b = frame.boxes[n], boxes[position]
            turn = wrap_angle(a.yaws - b.yaws)
            differences = np.concatenate([a.centers - b.centers, a.dimensions_lwh - b.dimensions_lwh, turn[None]])
            is_same = np.abs(differences).max() <= frame.rounding
        same.append(rows.slice(position, 1).to_pylist()[0] if is_same else None)
    return same


def _mask_overlap(row: dict[str, Any], mask: _Mask | None) -> float | None:
    """IoU of the projected box and the box of the mask in this frame, None without a mask."""
    if mask is None:
        return None
    projected = np.array([row[name] for name in BOX_2D])
    return float(box_iou(projected, np.asarray(mask.box_xyxy)))


def _files_of(output: Location, sequence: str, camera: str) -> dict[str, Location]:
    """The two files of corrections of a sequence: that of the reviewed frames, and that of their rows."""
    return {
        "reviewed": RunPaths(output).corrections / f"{sequence}.parquet",
        "rows": corrected_rows(output, sequence=sequence, camera=camera),
    }


def _write(output: Location, imports: Sequence[_SequenceImport], source: Location) -> None:
    """Write what is imported, and before that what undoes it."""
    imports = [imported for imported in imports if imported.rows]
    if not imports:
        return
    before = RunPaths(output).before_import
    remove(before / name for name in sorted(names_in(before), key=lambda name: name != _NOTE))
    for imported in imports:
        for kind, path in _files_of(output, imported.drive.name, imported.drive.camera.name).items():
            if path.exists():
                write_parquet(read_table(path), before / f"{imported.drive.name}.{kind}.parquet")
    frames = {imported.drive.name: len(imported.rows) for imported in imports}
    with atomic_write(before / _NOTE) as temporary:
        temporary.write_text(json.dumps({"source": str(absolute(source)), "frames": frames}) + "\n")
    for imported in imports:
        _store(output, imported)


def _store(output: Location, imported: _SequenceImport) -> None:
    """Write the rows and the reviewed frames of a sequence, those of other frames as they are."""
    name, camera = imported.drive.name, imported.drive.camera.name
    fingerprint = digest_of_inputs(output, name)
    paths, frames = _files_of(output, name, camera), set(imported.rows)
    new = pa.Table.from_pylist([row for rows in imported.rows.values() for row in rows], schema=LABEL_SCHEMA)
    if paths["rows"].exists():
        old = open_dataset([paths["rows"]], schema=LABEL_SCHEMA).to_table()
        new = pa.concat_tables([old.filter(~pc.field("frame").isin(list(frames))), new])
    new = new.sort_by([("frame", "ascending"), ("instance_id", "ascending")])
    write_parquet(new.cast(of_inputs(LABEL_SCHEMA, fingerprint)), paths["rows"])
    reviewed = read_reviewed(output)
    table = [
        {"camera": other, "frame": frame}
        for (sequence, other), some in sorted(
            (reviewed | {(name, camera): reviewed.get((name, camera), set()) | frames}).items()
        )
        if sequence == name
        for frame in sorted(some)
    ]
    write_parquet(pa.Table.from_pylist(table, schema=of_inputs(REVIEW_SCHEMA, fingerprint)), paths["reviewed"])


def _warn(summary: ImportSummary) -> None:
    if summary.unlabelled:
        logger.warning(
            "%d frames without boxes are left as they are: the run has not labelled them, so no export shows theirs.",
            summary.unlabelled,
        )
    if summary.outdated:
        logger.warning(
            "%d frames are left as they are: they were corrected after the export, which nobody has edited there.",
            summary.outdated,
        )
    if summary.replaced:
        logger.warning("%d frames had been corrected before: the last import counts.", summary.replaced)


def _sum(parts: Sequence[ImportSummary]) -> ImportSummary:
    names = [field.name for field in fields(ImportSummary) if field.name != "changes"]
    changes = tuple(change for part in parts for change in part.changes)
    return ImportSummary(**{name: sum(getattr(part, name) for part in parts) for name in names}, changes=changes)
