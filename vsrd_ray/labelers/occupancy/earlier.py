"""Runs of other labelers that occupancy is labelled with: whether they can be, by what they are known, and boxes.

Plans hold boxes as numbers; depth maps are read with the images that they are of.
"""

import hashlib

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.identity import differences, identity_of
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.occupancy.bodies import TrackedBox
from vsrd_ray.runs.manifest import RunInputs, read_inputs, recorded_manifest
from vsrd_ray.runs.paths import RunPaths, is_temporary
from vsrd_ray.storage import Location, files_below, open_location, read_bytes, relative

_SIZE = 12  # letters of a digest


def with_run_digest(values: dict[str, object], name: str, digest: str) -> dict[str, object]:
    """Values of a configuration, with the digest of the labels in the run that one of them names.

    So labels that have changed make another run.

    Args:
        values: of a configuration.
        name: of the value that is the folder of a run.
        digest: name of the value that knows it by its content.

    Raises:
        ValueError: there is no such run, or it is not the one whose digest is given.
    """
    if not values.get(name):
        return values
    output = open_location(str(values[name]))
    if not RunPaths(output).manifest.exists():
        if values.get(digest):
            return values  # of a run that is looked at where the other is not
        raise ValueError(f"{name}: no run in {output}: give the output folder of `vsrd-ray label`")
    found = _digest(output)
    if values.get(digest) not in (None, "", found):
        raise ValueError(f"the labels in {output} are not those of before")
    return values | {digest: found}


def _digest(output: Location) -> str:
    """Hexadecimal digest of the labels of a run, whatever their kind, and of what humans said of them."""
    sha = hashlib.sha256()
    try:
        inputs = read_inputs(output)
    except InputError as error:
        raise ValueError(str(error)) from error
    paths = RunPaths(output)
    folders = [paths.tables("labels" if kind == "boxes" else kind) for kind in inputs.kinds]
    for folder in (*folders, paths.corrections):
        for file in files_below(folder):
            if not is_temporary(file.name):
                sha.update(f"{relative(file, output)}\n".encode() + hashlib.sha256(read_bytes(file)).digest())
    return sha.hexdigest()[:_SIZE]


def tracked_boxes(output: str, drive: Drive) -> list[TrackedBox]:
    """The boxes of a drive, by frame and instance, of which no frame has two of one track.

    Raises:
        InputError: `output` is no finished run of boxes of this very drive.
    """
    from vsrd_ray.labels.boxes.columns import boxes_of, track_ids  # noqa: PLC0415 - not every run has boxes
    from vsrd_ray.labels.boxes.parquet import read_labels  # noqa: PLC0415

    check_run(output, drive, option="boxes", kind="boxes")
    rows = read_labels(open_location(output), sequence=drive.name)
    boxes, moves = boxes_of(rows), rows["is_moving"].fill_null(True).to_pylist()
    found: dict[tuple[int, int], TrackedBox] = {}
    for place, (frame, track) in enumerate(zip(rows["frame"].to_pylist(), track_ids(rows).tolist(), strict=True)):
        center, size = (tuple(values[place].tolist()) for values in (boxes.centers, boxes.dimensions_lwh))
        found.setdefault((frame, track), TrackedBox(frame, track, moves[place], center, size, float(boxes.yaws[place])))
    return list(found.values())


def check_run(output: str, drive: Drive, *, option: str, kind: str) -> RunInputs:
    """Refuse what is no finished run of a kind of label, of this very drive.

    Raises:
        InputError: it is not; the message begins with the option and says what to give.
    """
    place, said = open_location(output), f"--{option} {output}"
    try:
        inputs, status = read_inputs(place), recorded_manifest(place)["status"]
    except InputError as error:
        raise InputError(f"{said}: {error}") from error
    if kind not in inputs.kinds:
        raise InputError(
            f"{said}: a run of {' and '.join(inputs.kinds)}, which has no {kind}: give one of `vsrd-ray label` that has"
        )
    if not f"{status}".startswith("complete"):
        raise InputError(f"{said}: that run is {status}: let the same `vsrd-ray label` end first, or go on with it")
    if inputs.dataset != drive.dataset:
        raise InputError(f"{said}: a run of the dataset {inputs.dataset}, and not of {drive.dataset}: give one of it")
    if drive.name not in inputs.sequences:
        known = ", ".join(inputs.sequences) or "none"
        raise InputError(f"{said}: that run labelled {known}, and not {drive.name}: label that sequence there first")
    _check_same(inputs, drive, said)
    return inputs


def _check_same(inputs: RunInputs, drive: Drive, said: str) -> None:
    """Refuse a run of a drive of the same name whose poses or cameras were others, as with other `--poses`."""
    cameras = {name: one for name, one in drive.cameras.items() if inputs.all_cameras or name == inputs.camera}
    recorded = inputs.identities.get(drive.name, {})
    found = identity_of(Drive(drive.dataset, drive.root, drive.name, cameras, {}), ())
    if cameras and (odd := differences(recorded, found)):
        raise InputError(
            f"{said}: {' and '.join(odd)} of {drive.name} are not those that it was labelled with: "
            "give a run of the same dataset and --poses"
        )
