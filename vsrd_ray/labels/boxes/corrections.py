"""Corrected boxes become label rows with `source` = human.

They lie in OUTPUT/labels/sequence=<sequence>/human-<camera>.parquet, and the frames that were reviewed in
OUTPUT/corrections/<sequence>.parquet. Every import writes both anew, the rows first: rows of frames that are not
reviewed yet do not count, so an import that is killed has changed whole frames or nothing. What both files were before
the last import is kept in OUTPUT/.before-import. Both name the inputs, by their fingerprint, that they are of.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import fields

import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError, one_line
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
from vsrd_ray.labels.boxes.parquet import REVIEW_SCHEMA, corrected_rows, of_inputs, read_labels, read_reviewed
from vsrd_ray.labels.boxes.reviewed import ImportSummary, SequenceImport
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.selection import labelled_frames
from vsrd_ray.runs.folder import digest_of_inputs, open_labelled, read_index, sequence_labels
from vsrd_ray.runs.manifest import RunInputs, read_inputs, recorded_manifest
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.runs.reading import read_groups
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
_NOTE = "import.json"  # beside what the last import has replaced: what it was of, written last


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
    drives = {name: open_labelled(inputs, root, name) for name in inputs.sequences}
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


def _open(output: Location, inputs: RunInputs, drives: Sequence[Drive], format: str) -> dict[str, SequenceImport]:
    """Imports of some sequences, by name."""
    groups, reviewed = read_groups(output), read_reviewed(output)
    labels, auto = read_labels(output), read_labels(output, prefer="auto")
    imports = {}
    for drive in drives:
        name = drive.name
        known, of_labeler = (sequence_labels(rows, sequence=name, camera=inputs.camera) for rows in (labels, auto))
        imports[name] = SequenceImport(
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


def _files_of(output: Location, sequence: str, camera: str) -> dict[str, Location]:
    """The two files of corrections of a sequence: that of the reviewed frames, and that of their rows."""
    return {
        "reviewed": RunPaths(output).corrections / f"{sequence}.parquet",
        "rows": corrected_rows(output, sequence=sequence, camera=camera),
    }


def _write(output: Location, imports: Sequence[SequenceImport], source: Location) -> None:
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


def _store(output: Location, imported: SequenceImport) -> None:
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
