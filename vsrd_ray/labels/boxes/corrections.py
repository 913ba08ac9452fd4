"""Corrected boxes become label rows with `source` = human; `human_rows` says in which files."""

import logging
from collections.abc import Callable, Sequence

from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.corrected import CorrectedFrame
from vsrd_ray.labels.boxes.formats import cvat, kitti, report
from vsrd_ray.labels.boxes.formats.samples import INDEX
from vsrd_ray.labels.boxes.human_rows import open_imports, write_imports
from vsrd_ray.labels.boxes.reported import REPORT, import_document
from vsrd_ray.labels.boxes.reviewed import ImportSummary, summed
from vsrd_ray.runs.exports import (
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
from vsrd_ray.runs.folder import digest_of_inputs, open_labelled
from vsrd_ray.runs.manifest import read_inputs, recorded_manifest
from vsrd_ray.storage import Location, is_folder, plain_name, relative

logger = logging.getLogger(__name__)

_Reader = Callable[[Location, dict[str, Drive]], list[CorrectedFrame]]
READERS: dict[str, _Reader] = {"kitti": kitti.read, "cvat": cvat.read, REPORT: report.read}
# Parts of a selection that leave out boxes of a frame, and their options.
_FILTERS = {
    "min_confidence": "--min-confidence",
    "max_range": "--max-range",
    "classes": "--classes",
    "exclude_moving": "--exclude-moving",
    "reviewed_only": "--reviewed-only",
}


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
    if format == REPORT:
        document = report.read_document(source)
        return import_document(output, root, document, source, dry_run=dry_run, progress=progress)
    folder = _exported_folder(source)
    _check_whole(folder)
    _check_run(folder, output)
    digests = digests_of(folder)  # of the files before they are read
    edited = edited_files(folder, digests)
    inputs = read_inputs(output)
    drives = {name: open_labelled(inputs, root, name) for name in inputs.sequences}
    frames = sorted(READERS[format](source, drives), key=lambda frame: (frame.sequence, frame.frame))
    _check_corrected(folder, frames)
    imports = open_imports(
        output, inputs, [drives[name] for name in sorted({frame.sequence for frame in frames})], format
    )
    names = {frame.file: relative(frame.file, folder) for frame in frames if digests}
    for done, frame in enumerate(frames, start=1):
        name = names.get(frame.file)
        is_untouched = name in digests and name not in edited
        imports[frame.sequence].add(frame, confirm_unchanged=confirm_unchanged, is_untouched=is_untouched)
        if progress is not None:
            progress(done, len(frames))
    for sequence in imports.values():
        sequence.check(confirm_changes=confirm_changes)
    summary = summed([sequence.summary for sequence in imports.values()])
    if not dry_run:
        write_imports(output, list(imports.values()), folder)
        read = {*names.values(), INDEX}
        mark_imported(folder, {**imported_files(folder), **{name: digests[name] for name in read if name in digests}})
    _warn(summary)
    return summary


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
