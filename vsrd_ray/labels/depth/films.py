"""Films of depth and density, as the paper shows them: ten pictures a second.

Shapes: H x W pixels.
"""

from collections.abc import Iterator

import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError
from vsrd_ray.labels.depth.fields import Fields
from vsrd_ray.labels.depth.formats import image_of
from vsrd_ray.labels.depth.pictures import beside, from_elsewhere, profile_picture
from vsrd_ray.labels.depth.schema import maps_of
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


def write_film(run: RunFolder, destination: Location, *, what: str, sequence: str | None, frame: int | None) -> str:
    """Write a film (.mp4 in H.264, .gif) or a folder of pictures; what was written, as a sentence.

    Args:
        run: of the labeler density.
        destination: its suffix says what is written.
        what: one of `WHAT`.
        sequence: which drive, where the run has several.
        frame: that a novel view or a transition begins at; by default the first.

    Raises:
        InputError: a drive or a frame that the run does not have, or one to be named.
    """
    drive = run.drive(_drive_name(run, sequence))
    if what in ("depth", "profile"):
        if frame is not None:
            raise InputError(f"--frame is not for --what {what}, which shows all: leave it out")
        pictures = _each_frame(run, drive, what)
    else:
        pictures = _around(run, drive, what, frame)
    return f"{write_pictures(pictures, destination)} pictures written to {destination}"


def _drive_name(run: RunFolder, sequence: str | None) -> str:
    names = list(run.inputs.sequences)
    if sequence is None and len(names) > 1:
        raise InputError(f"{run.output} holds {len(names)} drives: give --sequence, one of {', '.join(names)}")
    if sequence is not None and sequence not in names:
        raise InputError(f"no sequence {sequence!r} in {run.output}: give one of {', '.join(names)}")
    return sequence or names[0]


def _each_frame(run: RunFolder, drive: Drive, what: str) -> Iterator[tuple[int, np.ndarray]]:
    for number, one in enumerate(maps_of(run, drive.name)):
        if number % _EVERY:
            continue
        is_profile = what == "profile"
        yield (
            one.frame,
            profile_picture(one.profile, _PROFILE_SIDE) if is_profile else beside(image_of(drive, one), one),
        )


def _around(run: RunFolder, drive: Drive, what: str, frame: int | None) -> Iterator[tuple[int, np.ndarray]]:
    """Views from where the camera of a frame never was."""
    maps = maps_of(run, drive.name)
    one = next((each for each in maps if frame is None or each.frame == frame), None)
    if one is None:
        raise InputError(f"no depth of frame {frame} in {run.output}: give a frame that is labelled")
    field, image = Fields(run, drive.name).of(one.group_id), image_of(drive, one)
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
