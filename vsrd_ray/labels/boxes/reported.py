"""What was decided in a report becomes label rows: instance by instance, beside those that nobody has decided on."""

import logging
from collections.abc import Callable
from dataclasses import replace

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.formats import report
from vsrd_ray.labels.boxes.formats.report import Document, EditedSequence
from vsrd_ray.labels.boxes.human_rows import decided_file, open_imports, write_imports
from vsrd_ray.labels.boxes.parquet import IMPORTED, read_labels, read_reviewed
from vsrd_ray.labels.boxes.reviewed import ImportSummary, summed
from vsrd_ray.runs.folder import digest_of_inputs, open_labelled, read_index
from vsrd_ray.runs.manifest import read_inputs, recorded_manifest
from vsrd_ray.storage import Location, plain_name

logger = logging.getLogger(__name__)

REPORT = "report"  # the format


def import_document(
    output: Location,
    root: Location,
    document: Document,
    source: Location,
    *,
    dry_run: bool = False,
    keeps_before: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportSummary:
    """Take over what was decided in a report. A document is all of it: what it does not name is open again.

    Instances that were accepted, corrected or added get rows of a human with a confidence of 1 in the document's
    frames, those that were rejected have none there, and all others stay as they are.

    Args:
        output: folder of a labelling run.
        root: the dataset that was labelled.
        document: what was decided.
        source: where the document comes from, for messages.
        dry_run: find out what would change, and write nothing.
        keeps_before: see `write_imports`.
        progress: called with the number of frames done and of all frames.

    Raises:
        InputError: a document of another run or of other inputs, or one that does not fit the run; nothing is written.
    """
    inputs = read_inputs(output)
    _check_document(document, output, source)
    drives = {name: open_labelled(inputs, root, name) for name in inputs.sequences}
    wanted = [drives[name] for name in sorted(document.sequences) if name in drives]
    new_ids = {
        (drive.name, key): instance_id
        for drive in wanted
        for key, instance_id in new_ids_of(output, drive, document.sequences[drive.name], str(source)).items()
    }
    frames = report.frames_of(document, drives, source, new_ids=new_ids)
    touched = {drive.name: {frame.frame for frame in frames if frame.sequence == drive.name} for drive in wanted}
    earlier = {drive.name: _frames_of_report(output, drive) for drive in wanted}
    imports = open_imports(output, inputs, wanted, REPORT, earlier=earlier, touched=touched, new_ids=new_ids)
    skipped = 0
    for done, frame in enumerate(frames, start=1):
        if imports[frame.sequence].is_handed_out(frame.frame):
            imports[frame.sequence].add(frame, confirm_unchanged=True, is_untouched=False)
        else:
            skipped += 1
        if progress is not None:
            progress(done, len(frames))
    for sequence in imports.values():
        sequence.check(confirm_changes=True)  # each was decided on, one by one
    summary = summed([sequence.summary for sequence in imports.values()])
    summary = replace(summary, unlabelled=skipped, replaced=0)
    if not dry_run:
        decided = {name: _only(document, name).text() for name in imports}
        write_imports(output, list(imports.values()), source, decided=decided, keeps_before=keeps_before)
    if skipped:
        logger.warning(
            "%d frames are left as they are: the run has not labelled all of what they show.", summary.unlabelled
        )
    return summary


def read_decided(output: Location, sequence: str, fingerprint: str | None) -> EditedSequence | None:
    """What was decided on a sequence in a report, where it was saved or imported; None where nothing was.

    Raises:
        InputError: the file cannot be read, or is of other inputs than those that are labelled.
    """
    path = decided_file(output, sequence)
    if not path.exists():
        return None
    decided = report.read_document(path).sequences.get(sequence)
    if decided is not None and None not in (decided.fingerprint, fingerprint) and decided.fingerprint != fingerprint:
        raise InputError(
            f"{path}: corrections of other inputs than those of {sequence} that {output} holds labels of: move it away"
        )
    return decided


def _check_document(document: Document, output: Location, source: Location) -> None:
    """Refuse corrections of another run, or of other inputs under the same names."""
    config_hash = recorded_manifest(output)["config_hash"]
    if document.config_hash != config_hash:
        raise InputError(
            f"{source} was made in the report of a run with other settings ({document.config_hash}, but {output} has "
            f"{config_hash}): give the run that was reported"
        )
    for name, edited in document.sequences.items():
        if edited.fingerprint != digest_of_inputs(output, plain_name(name, what=f"{source}: sequence")):
            raise InputError(
                f"{source} was made in a report of other inputs of {name} than {output} holds labels of: give the run "
                "that was reported, or correct its report as it is now"
            )


def _only(document: Document, name: str) -> Document:
    return document.model_copy(update={"sequences": {name: document.sequences[name]}})


def new_ids_of(output: Location, drive: Drive, edited: EditedSequence, place: str = "corrections") -> dict[str, int]:
    """Ids of the instances that a human has added to a sequence, by their keys in a document.

    Raises:
        InputError: a class that is none, or that has no id left.
    """
    if not any(key.startswith(report.NEW) for key in edited.instances):
        return {}
    auto = read_labels(output, prefer="auto", sequence=drive.name)
    masks = read_index(output, drive.name)["instance_id"].drop_null()
    used = {*auto["instance_id"].to_pylist(), *masks.to_pylist()}
    return report.number_new(edited, used, drive, IDS_PER_CLASS, place)


def _frames_of_report(output: Location, drive: Drive) -> set[int]:
    """Frames whose rows are there because of what was decided in a report, and of nothing else."""
    decided = read_decided(output, drive.name, digest_of_inputs(output, drive.name))
    if decided is None:
        return set()
    frames = {frame for edit in decided.instances.values() for frame in edit.frames}
    rows = read_labels(output, sequence=drive.name)
    of_others = {
        frame
        for frame, labeler in zip(rows["frame"].to_pylist(), rows["labeler"].to_pylist(), strict=True)
        if labeler.startswith(IMPORTED) and labeler != f"{IMPORTED}{REPORT}"
    }
    reviewed = read_reviewed(output).get((drive.name, drive.camera.name), frozenset())
    return (frames & reviewed) - of_others
