"""Films of depth and density, as the paper shows them: ten pictures a second.

Shapes: H x W pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError
from vsrd_ray.labels.depth.field import Field
from vsrd_ray.labels.depth.fields import Fields
from vsrd_ray.labels.depth.formats import image_of
from vsrd_ray.labels.depth.pictures import beside, from_elsewhere, profile_picture
from vsrd_ray.labels.depth.schema import DepthMap, maps_of
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location
from vsrd_ray.visualization.video import write_pictures

WHAT = ("depth", "profile", "novel-view", "transition")

_EVERY = 2  # frames, as published
_PROFILE_SIDE = 360  # px
_ROUND, _SIDEWAYS, _UPWARDS, _AHEAD = 40, 0.75, 0.3, 1.5  # pictures of a turn of the novel view, and its extent, m
_RISING, _STAYING = 30, 5  # pictures of the transition
_TURN = np.radians(85.0)
_RISE, _ADVANCE = 6.0, 10.0  # m
_NEAR_FAR, _FROM_ABOVE = np.array([3.0, 40.0]), np.array([5.0, 7.0])  # m, that depth is coloured between


class Filmed(Protocol):
    """Where depth and fields come from."""

    @property
    def place(self) -> Location:
        """The folder that the user named."""
        ...

    @property
    def sequences(self) -> tuple[str, ...]:
        """Drives, of which one is filmed."""
        ...

    def drive(self, name: str) -> Drive:
        """A drive, open.

        Raises:
            InputError: there is none of that name, or it cannot be used.
        """
        ...

    def maps(self, drive: Drive, *, every: int) -> Iterator[DepthMap]:
        """Depth of the first frame, and of every so manieth after it."""
        ...

    def map(self, drive: Drive, frame: int | None) -> DepthMap | None:
        """Depth of a frame, or of the first; None where the frame has none."""
        ...

    def field(self, drive: Drive, one: DepthMap) -> Field:
        """The density field that a map shows."""
        ...


@dataclass(frozen=True)
class FilmedLabels:
    """What a run of labelling has written; see `Filmed`."""

    run: RunFolder

    @property
    def place(self) -> Location:
        """The output folder."""
        return self.run.output

    @property
    def sequences(self) -> tuple[str, ...]:
        """Those that were labelled."""
        return self.run.inputs.sequences

    def drive(self, name: str) -> Drive:
        """See `Filmed`."""
        if name not in self.sequences:
            raise InputError(f"no sequence {name!r} in {self.place}: give one of {', '.join(self.sequences)}")
        return self.run.drive(name)

    def maps(self, drive: Drive, *, every: int) -> Iterator[DepthMap]:
        """See `Filmed`."""
        return islice(maps_of(self.run, drive.name), 0, None, every)

    def map(self, drive: Drive, frame: int | None) -> DepthMap | None:
        """See `Filmed`."""
        return next((one for one in maps_of(self.run, drive.name) if frame is None or one.frame == frame), None)

    def field(self, drive: Drive, one: DepthMap) -> Field:
        """That of the group of the map."""
        return Fields(self.run, drive.name).of(one.group_id)


def write_film(filmed: Filmed, destination: Location, *, what: str, sequence: str | None, frame: int | None) -> str:
    """Write a film (.mp4 in H.264, .gif) or a folder of pictures; what was written, as a sentence.

    Args:
        filmed: where depth and fields come from.
        destination: its suffix says what is written.
        what: one of `WHAT`.
        sequence: which drive, where there are several.
        frame: that a novel view or a transition begins at; by default the first.

    Raises:
        InputError: a drive or a frame that is not there, or one to be named.
    """
    if sequence is None and len(filmed.sequences) > 1:
        names = ", ".join(filmed.sequences)
        raise InputError(f"{filmed.place} holds {len(filmed.sequences)} drives: give --sequence, one of {names}")
    drive = filmed.drive(sequence or next(iter(filmed.sequences)))
    if what in ("depth", "profile"):
        if frame is not None:
            raise InputError(f"--frame is not for --what {what}, which shows all: leave it out")
        pictures = _each_frame(filmed, drive, what)
    else:
        pictures = _around(filmed, drive, what, frame)
    return f"{write_pictures(pictures, destination)} pictures written to {destination}"


def _each_frame(filmed: Filmed, drive: Drive, what: str) -> Iterator[tuple[int, np.ndarray]]:
    for one in filmed.maps(drive, every=_EVERY):
        is_profile = what == "profile"
        yield (
            one.frame,
            profile_picture(one.profile, _PROFILE_SIDE) if is_profile else beside(image_of(drive, one), one),
        )


def _around(filmed: Filmed, drive: Drive, what: str, frame: int | None) -> Iterator[tuple[int, np.ndarray]]:
    """Views from where the camera of a frame never was."""
    if (one := filmed.map(drive, frame)) is None:
        raise InputError(f"no depth of frame {frame} in {filmed.place}: give a frame that has an image and a pose")
    field, image = filmed.field(drive, one), image_of(drive, one)
    poses = _novel_poses() if what == "novel-view" else _transition_poses()
    for number, (T_cam_new, (near, far)) in enumerate(poses):
        yield number, from_elsewhere(field, one, image, one.T_world_cam @ T_cam_new, near=near, far=far)


def _novel_poses() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """An ellipse to the sides, up and ahead."""
    for angle in np.linspace(0, 2 * np.pi, _ROUND, endpoint=False):
        pose = np.eye(4)
        pose[:3, 3] = (_SIDEWAYS * np.sin(angle), -_UPWARDS * np.sin(angle) ** 2, _AHEAD * (1 - np.cos(angle)) / 2)
        yield pose, _NEAR_FAR


def _transition_poses() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The camera rises and turns down until it looks at the road from above (published for KITTI-360)."""
    for number in range(_RISING + _STAYING):
        share = min((number / (_RISING - 1)) ** 2, 1.0)
        angle = _TURN * share
        pose = np.eye(4)
        pose[1:3, 1:3] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        pose[:3, 3] = (0.0, -_RISE * np.sin(angle), _ADVANCE * (1 - np.cos(angle)))
        yield pose, _NEAR_FAR + share * (_FROM_ABOVE - _NEAR_FAR)
