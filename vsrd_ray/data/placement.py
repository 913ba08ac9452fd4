"""Whether poses can be those of a camera on a vehicle, in a world whose z axis points up: what is said where not.

Labels stand upright along the world's z axis. With poses of another convention they would be wrong without a word.
"""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import Camera
from vsrd_ray.data.index import is_any_of
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse

MAX_ROLL, MAX_PITCH = 30.0, 60.0  # degrees, in the median over a drive
MAX_CLIMB = 30.0  # degrees, of the median move
MAX_STEP = 60.0  # metres per frame, of the median move
MAX_PLACE = 1e8  # metres, of any coordinate; beyond it nothing on Earth is, in whatever frame
JUMP = 20.0  # median moves
JUMP_METRES = 10.0  # per frame
JUMP_DEGREES = 60.0  # between neighbouring frames
MAX_OFF_CENTRE = 0.35  # of the image's width and height, of the principal point
LEAST_WAY = 0.5  # metres, over a drive of some poses
LEAST_AHEAD = 0.5  # cosine between moves and the optical axis, in the median over a drive
_MANY_POSES, _MANY_MASKS = 5, 10
_ABOVE = 0.0175  # in focal lengths, above the horizon: a hill may hide a degree
_HOVERING = 0.25  # of the masks of a drive; sound drives have none
_MOVE = 0.2  # metres; from here on a move has a direction
_UPRIGHT = 20.0  # degrees; poses that the right explanation has mended are as close

# What may have to be done to poses, with what it says of them. The first of each needs nothing.
_MATRICES = (("", False), ("world-to-camera matrices (invert them)", True))
_CAMERAS = (
    ("", np.eye(4)),
    (
        "of a camera with OpenGL's axes (y up, z backward: negate the second and third columns)",
        np.diag([1.0, -1, -1, 1]),
    ),
    (
        "of the vehicle or its IMU (x ahead, z up: give the camera's)",
        np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]]),
    ),
)
_WORLDS = (
    ("", np.eye(4)),
    (
        "in a world whose y axis points down, as structure from motion has it (turn it so that z points up)",
        np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]]),
    ),
    (
        "in a world whose y axis points up (turn it so that z points up)",
        np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]),
    ),
    (
        "in a world whose z axis points down, or of images upside down (turn them so that z points up)",
        np.diag([1.0, -1, -1, 1]),
    ),
)


@dataclass(frozen=True)
class _Look:
    """How a camera stands and moves, in the median over a drive; degrees."""

    roll: float  # about the optical axis, from upright
    pitch: float  # of the optical axis, above the level
    climb: float  # of the moves, above or below the level; 0 where it hardly moves
    ahead: float  # cosine between moves and the optical axis; 1 where it hardly moves

    @property
    def is_plausible(self) -> bool:
        return abs(self.roll) <= MAX_ROLL and abs(self.pitch) <= MAX_PITCH and self.climb <= MAX_CLIMB

    @property
    def is_upright(self) -> bool:
        return max(abs(self.roll), abs(self.pitch), self.climb) <= _UPRIGHT


def check_placement(camera: Camera, *, place: str) -> list[str]:
    """Refuse poses that no camera on a vehicle has, and say what is odd about others.

    Args:
        camera: with its poses.
        place: where these are from, for messages.

    Returns:
        Sentences about jumps, and about a camera that stays where it is or does not drive ahead.

    Raises:
        InputError: the camera is where nothing on Earth is, is rolled, looks up or down, moves up or down, or in
            strides that no vehicle makes; the likely cause is named.
    """
    frames = np.array(sorted(camera.T_world_cam))
    if not len(frames):
        return []
    T_world_cam = np.stack([camera.T_world_cam[frame] for frame in frames.tolist()])
    farthest = np.abs(T_world_cam[:, :3, 3]).max(axis=1)
    if (farthest > MAX_PLACE).any():
        n = int(farthest.argmax())
        raise InputError(
            f"{place}: in frame {frames[n]} the camera is {farthest[n]:.3g} m from the origin: give positions in metres"
        )
    look = _look(T_world_cam)
    if not look.is_plausible:
        raise InputError(f"{place}: {_fault(look)} in a world with z up. {_cause(T_world_cam)}")
    gaps = np.diff(frames)
    steps = np.linalg.norm(np.diff(T_world_cam[:, :3, 3], axis=0), axis=1) / gaps
    moving = steps[steps > _MOVE]
    usual = float(np.median(moving)) if len(moving) else 0.0
    if usual > MAX_STEP:
        raise InputError(
            f"{place}: the camera moves by {usual:,.0f} m per frame: give positions in metres, and every frame its own"
        )
    traces = np.einsum("nij,nij->n", T_world_cam[1:, :3, :3], T_world_cam[:-1, :3, :3])
    turns = np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1))) / gaps
    return [
        *_odd_ways(T_world_cam, look, place),
        *_jumps(frames, steps, max(JUMP * usual, JUMP_METRES), "m", place),
        *_jumps(frames, turns, JUMP_DEGREES, "degrees", place),
    ]


def check_projection(camera: Camera, *, place: str) -> list[str]:
    """Sentences on a principal point that is far from the middle of the images, as those of other images are."""
    shares = camera.K[:2, 2] / camera.image_size
    if (np.abs(shares - 0.5) <= MAX_OFF_CENTRE).all():
        return []
    (x, y), (width, height) = camera.K[:2, 2].tolist(), camera.image_size
    return [
        f"{place}: the principal point ({x:.0f}, {y:.0f}) of {camera.name} is far from the middle of images of "
        f"{width} x {height} px: check that the calibration is of these images, cropped and resized as they are."
    ]


def check_horizon(camera: Camera, index: pa.Table, classes: Collection[str], *, place: str) -> list[str]:
    """Sentences on masks of objects that would hover: most of them lie above the horizon as a whole.

    Args:
        camera: with its poses.
        index: of its masks, in `INDEX_SCHEMA`.
        classes: of objects that stand on the ground.
        place: where the masks are from, for messages.
    """
    rows = index.filter(is_any_of(index["class_name"], classes))
    rows = rows.filter(is_any_of(rows["frame"], camera.T_world_cam))
    if rows.num_rows < _MANY_MASKS:
        return []
    left, right, bottom = (rows[f"box_{side}"].to_numpy() for side in ("left", "right", "bottom"))
    up = np.stack([camera.T_world_cam[frame][2, :3] for frame in rows["frame"].to_pylist()])  # in the camera's axes
    (fx, _, cx), (_, fy, cy), _ = camera.K
    horizon = cy - fy * (up[:, 2] + up[:, 0] * ((left + right) / 2 - cx) / fx) / np.minimum(up[:, 1], -0.1)
    share = np.mean(bottom < horizon - _ABOVE * fy)
    if share < _HOVERING:
        return []
    return [
        f"{place}: {share:.0%} of the masks of {', '.join(classes)} lie above the horizon, as nothing does that stands "
        "on the ground: look for images or masks that are upside down, cropped or shifted."
    ]


def _odd_ways(T_world_cam: np.ndarray, look: _Look, place: str) -> list[str]:
    """What is odd about the way as a whole; T_world_cam: [N, 4, 4]."""
    positions = T_world_cam[:, :3, 3]
    way = float(np.linalg.norm(np.ptp(positions, axis=0)))
    if len(positions) >= _MANY_POSES and way < LEAST_WAY:
        return [
            f"{place}: the camera stays within {way:.2g} m over {len(positions)} frames, so that depths rest on usual "
            "sizes alone: check that positions are in metres, and those of a drive."
        ]
    if look.ahead < LEAST_AHEAD:
        way = "backwards" if look.ahead < -LEAST_AHEAD else "sideways"
        return [
            f"{place}: the camera moves {way}: unless it looks to the side or back, check that the poses are this "
            "camera's, and in the order of the frames."
        ]
    return []


def _look(T_world_cam: np.ndarray) -> _Look:
    """See `_Look`; T_world_cam: [N, 4, 4]."""
    down = np.median(-T_world_cam[:, 2, :3], axis=0)  # the world's, in the camera's axes
    down /= max(float(np.linalg.norm(down)), 1e-9)
    moves = np.diff(T_world_cam[:, :3, 3], axis=0)
    lengths = np.linalg.norm(moves, axis=1)
    far = lengths > _MOVE
    moves = moves[far] / lengths[far, None]
    ahead = np.einsum("ni,ni->n", moves, T_world_cam[:-1, :3, 2][far])
    return _Look(
        roll=float(np.degrees(np.arctan2(-down[0], down[1]))) if np.hypot(down[0], down[1]) > 0.1 else 0.0,
        pitch=float(np.degrees(np.arcsin(np.clip(-down[2], -1, 1)))),
        climb=float(np.degrees(np.arcsin(np.median(np.abs(moves[:, 2]))))) if len(moves) else 0.0,
        ahead=float(np.median(ahead)) if len(moves) else 1.0,
    )


def _fault(look: _Look) -> str:
    if abs(look.roll) > MAX_ROLL:
        return f"the camera is rolled by {abs(look.roll):.0f} degrees"
    if abs(look.pitch) > MAX_PITCH:
        return f"the camera looks {'up' if look.pitch > 0 else 'down'} by {abs(look.pitch):.0f} degrees"
    return f"the camera moves up or down at {look.climb:.0f} degrees"


def _cause(T_world_cam: np.ndarray) -> str:
    """The simplest change of convention that puts the camera upright and lets it drive ahead."""
    found: list[tuple[int, int, str]] = []
    for (matrix, is_inverse), (axes, T_given_cam), (world, T_up_world) in product(_MATRICES, _CAMERAS, _WORLDS):
        look = _look(T_up_world @ (inverse(T_world_cam) if is_inverse else T_world_cam) @ T_given_cam)
        if look.is_upright:
            texts = [text for text in (matrix, axes, world) if text]
            found.append((-round(10 * look.ahead), len(texts), ", ".join(texts)))
    if not found:
        return "Give camera-to-world poses with x right, y down, z ahead, and the world's z axis up"
    return f"The poses seem to be {min(found)[2]}"


def _jumps(frames: np.ndarray, steps: np.ndarray, most: float, unit: str, place: str) -> list[str]:
    """A sentence on the steps per frame [N - 1] that are longer than any before a jump would be."""
    jumps = np.flatnonzero(steps > most)
    if not len(jumps):
        return []
    first = jumps[0]
    others = f", and {len(jumps) - 1} times more" if len(jumps) > 1 else ""
    verb = "jumps" if unit == "m" else "turns"
    return [
        f"{place}: the camera {verb} by {steps[first]:.0f} {unit} per frame between frames {frames[first]} and "
        f"{frames[first + 1]}{others}: check that all poses are of one drive and one convention."
    ]
