"""Corrections that were made in a report: one JSON file, and reading it back.

`{"format": "vsrd-ray-corrections", "version": 1, "config_hash": …, "sequences": {NAME: {"camera": …, "fingerprint": …,
"instances": {ID: …}}}}`. An instance that nobody has decided on is not in it. What an edit says holds in its `frames`;
instances that are not named stay as the run has them. Places are metres in the world, angles radians.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError, one_line
from vsrd_ray.geometry.boxes import UprightBoxes, wrap_angle
from vsrd_ray.labels.boxes.checks import MAX_ANGLE, MAX_EXTENT
from vsrd_ray.labels.boxes.corrected import CorrectedFrame, check_place, class_of
from vsrd_ray.settings import Count, Settings
from vsrd_ray.storage import Location, read_bytes

MAX_BYTES = 64_000_000
_ROUNDING = 2e-3  # metres and radians: a page has three decimals
_FAR = 1e7  # metres from the world's origin
NEW = "new-"  # begins the keys of instances that a human has added
Extent = Annotated[float, Field(gt=0, le=MAX_EXTENT)]
Coordinate = Annotated[float, Field(ge=-_FAR, le=_FAR)]


class EditedBox(Settings):
    """A box in the world."""

    center: tuple[Coordinate, Coordinate, Coordinate]
    size: tuple[Extent, Extent, Extent]  # length, width, height
    yaw: Annotated[float, Field(ge=-MAX_ANGLE, le=MAX_ANGLE)]


class Edit(Settings):
    """What was decided on an instance. `boxes` are those of one that moves, by frame; a standing one has one `box`."""

    state: Literal["accepted", "corrected", "rejected"]
    class_name: str
    moving: bool | None
    frames: tuple[Count, ...]  # that it is for, ascending
    box: EditedBox | None = None
    boxes: dict[Count, EditedBox] = Field(default_factory=dict)
    keys: tuple[Count, ...] = ()  # frames whose box a human has set; between them boxes are interpolated

    @field_validator("frames", "keys")
    @classmethod
    def _ascending(cls, frames: tuple[int, ...]) -> tuple[int, ...]:
        if list(frames) != sorted(set(frames)):
            raise ValueError("expected frames in ascending order, each once")
        return frames

    @model_validator(mode="after")
    def _has_its_boxes(self) -> "Edit":
        if self.state == "rejected":
            if self.box is not None or self.boxes:
                raise ValueError("a rejected instance has no box")
        elif (self.box is None) == (not self.boxes):
            raise ValueError("expected either `box`, of what stands, or `boxes`, of what moves")
        elif self.boxes and set(self.boxes) != set(self.frames):
            raise ValueError("expected `boxes` of the same frames as `frames`")
        return self

    def box_in(self, frame: int) -> EditedBox | None:
        """Its box in one of its frames; None where it was rejected."""
        return self.box or self.boxes.get(frame)


class EditedSequence(Settings):
    """What was decided in one sequence, and on labels of which inputs."""

    camera: str
    fingerprint: str | None  # of the inputs; None of runs of early versions, which do not tell
    instances: dict[Annotated[str, Field(pattern=rf"^([0-9]{{1,9}}|{NEW}[0-9]{{1,6}})$")], Edit]


class Document(Settings):
    """A file of corrections."""

    format: Literal["vsrd-ray-corrections"]
    version: Literal[1]
    config_hash: str  # of the run
    sequences: dict[str, EditedSequence]

    def text(self) -> str:
        """The file's content."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def parse(content: bytes, place: str) -> Document:
    """A document from a file's bytes.

    Raises:
        InputError: they are no such document; what is wrong with them is told, and `place` is named.
    """
    if len(content) > MAX_BYTES:
        raise InputError(f"{place}: {len(content)} bytes, more than any corrections have: give the file a report saved")
    try:
        return Document.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        raise InputError(
            f"{place}: no corrections of a report: {where[:200]}: {fault['msg'][:200]}; save them from the report again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: no corrections of a report ({one_line(error)}): save them again") from None


def read_document(source: Location) -> Document:
    """The document in a file.

    Raises:
        InputError: there is none, or it is none.
    """
    try:
        return parse(read_bytes(source), str(source))
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({one_line(error)}): give the file that the report saved") from None


def read(source: Location, drives: dict[str, Drive]) -> list[CorrectedFrame]:
    """The frames of a file of corrections, with the instances alone that were decided on.

    Raises:
        InputError: no such file, or one that cannot be used.
    """
    return frames_of(read_document(source), drives, source)


def frames_of(
    document: Document,
    drives: Mapping[str, Drive],
    source: Location,
    *,
    new_ids: Mapping[tuple[str, str], int] | None = None,
) -> list[CorrectedFrame]:
    """The frames that a document is of: of each the boxes of the instances that were decided on.

    Args:
        document: the corrections.
        drives: the sequences of the run, by name.
        source: where they were read from, for messages.
        new_ids: ids of instances that a human has added, by sequence and key; None: they are found later.

    Raises:
        InputError: a sequence, camera, class or frame that the run does not have, or a box where none can be.
    """
    frames = []
    for name, edited in document.sequences.items():
        drive = drives.get(name)
        if drive is None or drive.camera.name != edited.camera:
            raise InputError(f"{source}: {name}, {edited.camera}, is not of this run: give the run that was reported")
        found: dict[int, list[tuple[str, Edit]]] = defaultdict(list)
        for key, edit in sorted(edited.instances.items()):
            for frame in edit.frames:
                found[frame].append((key, edit))
        ids = {key: instance_id for (sequence, key), instance_id in (new_ids or {}).items() if sequence == name}
        frames += [_frame(drive, frame, edits, source, ids) for frame, edits in sorted(found.items())]
    return frames


def number_new(
    edited: EditedSequence, used: Iterable[int], drive: Drive, ids_a_class: int, place: str
) -> dict[str, int]:
    """Ids of the instances that a human has added, by their keys: above those in use, the same for the same labels.

    Raises:
        InputError: a class that is none, or has no number left.
    """
    ids, taken = {}, set(used)
    for key, edit in sorted(edited.instances.items()):
        if key.startswith(NEW):
            first = drive.classes.first_id(class_of(edit.class_name, drive.classes, f"{place}, {key}"))
            new = max((one for one in taken if first < one < first + ids_a_class), default=first) + 1
            if new >= first + ids_a_class:
                raise InputError(f"{place}, {key}: no id is left for a new {edit.class_name}: add fewer")
            ids[key] = new
            taken.add(new)
    return ids


def _frame(
    drive: Drive, frame: int, edits: list[tuple[str, Edit]], source: Location, new_ids: Mapping[str, int]
) -> CorrectedFrame:
    if frame not in drive.T_world_cam:
        raise InputError(f"{source}: {drive.name} has no pose of frame {frame}: give the run that was reported")
    position = drive.T_world_cam[frame][:3, 3]
    kept: list[tuple[str, Edit, EditedBox]] = []
    for key, edit in edits:
        box = edit.box_in(frame)
        if box is not None:
            check_place(np.array(box.center) - position, f"{source}, {key} in frame {frame}")
            kept.append((key, edit, box))
    places = tuple(f"{source}, {key} in frame {frame}" for key, _, _ in kept)
    id_of = {key: new_ids.get(key) if key.startswith(NEW) else int(key) for key, _ in edits}
    return CorrectedFrame(
        drive.name,
        frame,
        tuple(
            class_of(edit.class_name, drive.classes, place) for (_, edit, _), place in zip(kept, places, strict=True)
        ),
        UprightBoxes(
            np.array([box.center for _, _, box in kept]).reshape(-1, 3),
            np.array([box.size for _, _, box in kept]).reshape(-1, 3),
            wrap_angle(np.array([box.yaw for _, _, box in kept]).reshape(-1)),
        ),
        tuple(id_of[key] for key, _, _ in kept),
        tuple(instance_id for instance_id in id_of.values() if instance_id is not None),
        _ROUNDING,
        file=source,
        place=f"{source}, frame {frame}",
        places=places,
        moving=tuple(edit.moving for _, edit, _ in kept),
    )
