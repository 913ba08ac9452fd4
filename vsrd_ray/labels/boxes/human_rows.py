"""The files of corrected rows: what an import writes, what was there before it, and how that comes back.

Rows lie in OUTPUT/labels/sequence=<sequence>/human-<camera>.parquet, the frames that were reviewed in
OUTPUT/corrections/<sequence>.parquet, and what was decided in a report in OUTPUT/corrections/<sequence>.json. Every
import writes them anew, the rows first: rows of frames that are not reviewed yet do not count, so an import that is
killed has changed whole frames or nothing. What they were before the last import is kept in OUTPUT/.before-import. All
name the inputs, by their fingerprint, that they are of.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError, one_line
from vsrd_ray.labels.boxes.parquet import (
    IMPORTED,
    REVIEW_SCHEMA,
    corrected_rows,
    of_inputs,
    read_labels,
    read_reviewed,
)
from vsrd_ray.labels.boxes.reviewed import SequenceImport
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.selection import labelled_frames
from vsrd_ray.runs.exports import mark_imported
from vsrd_ray.runs.folder import digest_of_inputs, read_index, sequence_labels
from vsrd_ray.runs.manifest import RunInputs, read_inputs
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.storage import (
    Location,
    absolute,
    names_in,
    open_dataset,
    open_location,
    plain_name,
    read_bytes,
    remove,
)
from vsrd_ray.storage.atomic import atomic_write, write_parquet

_NOTE = "import.json"  # beside what the last import has replaced: what it was of, written last


def open_imports(
    output: Location,
    inputs: RunInputs,
    drives: Sequence[Drive],
    format: str,
    *,
    earlier: Mapping[str, set[int]] | None = None,  # frames whose corrections these replace, by sequence
    touched: Mapping[str, set[int]] | None = None,  # frames that these are of, by sequence
    new_ids: Mapping[tuple[str, str], int] | None = None,
) -> dict[str, SequenceImport]:
    """Imports of some sequences, by name."""
    groups, reviewed = read_groups(output), read_reviewed(output)
    labels, auto = read_labels(output), read_labels(output, prefer="auto")
    imports = {}
    for drive in drives:
        name = drive.name
        known, of_labeler = (sequence_labels(rows, sequence=name, camera=inputs.camera) for rows in (labels, auto))
        replaced = set() if earlier is None else earlier[name]
        if replaced:  # what they were before
            others = known.filter(pa.array(~_in_frames(known, replaced)))
            known = pa.concat_tables([others, of_labeler.filter(pa.array(_in_frames(of_labeler, replaced)))])
            known = known.sort_by([("frame", "ascending"), ("instance_id", "ascending")])
        imports[name] = SequenceImport(
            drive,
            known,
            of_labeler,
            read_index(output, name),
            labelled=labelled_frames(output, groups, sequence=name, inputs=inputs),
            reviewed=reviewed.get((name, inputs.camera), frozenset()) - replaced,
            labeler=f"{IMPORTED}{format}",
            new_ids=[instance_id for (sequence, _), instance_id in (new_ids or {}).items() if sequence == name],
            dropped=replaced - (touched or {}).get(name, set()),
        )
    return imports


def _in_frames(rows: pa.Table, frames: set[int]) -> np.ndarray:
    return np.isin(rows["frame"].to_numpy(), list(frames))


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
            kept = before / f"{sequence}.{kind}{path.suffix}"
            if kept.exists():
                _write_bytes(read_bytes(kept), path)
            else:
                remove([path])
    mark_imported(source, {})  # what was edited in it is nowhere else any more
    remove(before / name for name in names_in(before))
    return sum(frames.values())


def _files_of(output: Location, sequence: str, camera: str) -> dict[str, Location]:
    """The files of corrections of a sequence: reviewed frames, their rows, and what was decided in a report."""
    return {
        "reviewed": RunPaths(output).corrections / f"{sequence}.parquet",
        "rows": corrected_rows(output, sequence=sequence, camera=camera),
        "decided": decided_file(output, sequence),
    }


def decided_file(output: Location, sequence: str) -> Location:
    """What was decided on the instances of a sequence in a report; it is not there where nothing was."""
    return RunPaths(output).corrections / f"{sequence}.json"


def write_imports(
    output: Location,
    imports: Sequence[SequenceImport],
    source: Location,
    *,
    decided: Mapping[str, str] | None = None,
    keeps_before: bool = False,
) -> None:
    """Write what is imported, and before that what undoes it.

    Args:
        output: folder of a labelling run.
        imports: the sequences with their rows.
        source: where they come from.
        decided: of sequences that were corrected in a report, the text of their `decided_file`.
        keeps_before: the import goes on with the last one, so that undoing it takes both back.
    """
    decided = decided or {}
    imports = [one for one in imports if one.rows or one.dropped or one.drive.name in decided]
    if not imports:
        return
    if not keeps_before:
        _keep_before(output, imports, source)
    for imported in imports:
        if imported.rows or imported.dropped:
            _store(output, imported)
        if imported.drive.name in decided:
            _write_bytes(decided[imported.drive.name].encode(), decided_file(output, imported.drive.name))


def _keep_before(output: Location, imports: Sequence[SequenceImport], source: Location) -> None:
    """Put what is there aside, with a note."""
    before = RunPaths(output).before_import
    remove(before / name for name in sorted(names_in(before), key=lambda name: name != _NOTE))
    for imported in imports:
        for kind, path in _files_of(output, imported.drive.name, imported.drive.camera.name).items():
            if path.exists():
                _write_bytes(read_bytes(path), before / f"{imported.drive.name}.{kind}{path.suffix}")
    frames = {imported.drive.name: len(imported.rows) for imported in imports}
    with atomic_write(before / _NOTE) as temporary:
        temporary.write_text(json.dumps({"source": str(absolute(source)), "frames": frames}) + "\n")


def _store(output: Location, imported: SequenceImport) -> None:
    """Write the rows and the reviewed frames of a sequence, those of other frames as they are."""
    name, camera = imported.drive.name, imported.drive.camera.name
    fingerprint = digest_of_inputs(output, name)
    paths, frames = _files_of(output, name, camera), set(imported.rows)
    reviewed = read_reviewed(output)
    if imported.dropped:  # before their rows go: a reviewed frame without rows is one without boxes
        _store_reviewed(paths["reviewed"], reviewed, name, camera, fingerprint, gone=imported.dropped)
    new = pa.Table.from_pylist([row for rows in imported.rows.values() for row in rows], schema=LABEL_SCHEMA)
    if paths["rows"].exists():
        old = open_dataset([paths["rows"]], schema=LABEL_SCHEMA).to_table()
        new = pa.concat_tables([old.filter(~pc.field("frame").isin(list(frames | imported.dropped))), new])
    new = new.sort_by([("frame", "ascending"), ("instance_id", "ascending")])
    write_parquet(new.cast(of_inputs(LABEL_SCHEMA, fingerprint)), paths["rows"])
    _store_reviewed(paths["reviewed"], reviewed, name, camera, fingerprint, gone=imported.dropped, new=frames)


def _store_reviewed(
    path: Location,
    reviewed: Mapping[tuple[str, str], frozenset[int]],
    name: str,
    camera: str,
    fingerprint: str | None,
    *,
    gone: Iterable[int],
    new: Iterable[int] = (),
) -> None:
    """Write the reviewed frames of a sequence, those of other cameras as they are."""
    frames = reviewed.get((name, camera), frozenset()).difference(gone).union(new)
    table = [
        {"camera": other, "frame": frame}
        for (sequence, other), some in sorted((dict(reviewed) | {(name, camera): frames}).items())
        if sequence == name
        for frame in sorted(some)
    ]
    write_parquet(pa.Table.from_pylist(table, schema=of_inputs(REVIEW_SCHEMA, fingerprint)), path)


def _write_bytes(content: bytes, path: Location) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
