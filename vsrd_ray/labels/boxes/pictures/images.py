"""Frame after frame: the image with masks and boxes, and below it the surroundings from above.

Shapes: N boxes. Plan coordinates of these views are metres ahead of the camera and to its left.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from vsrd_ray.data.drive import MASKS
from vsrd_ray.errors import UnreadableFrameError
from vsrd_ray.geometry import rigid
from vsrd_ray.labels.boxes.pictures.annotated import ShownBoxes, ShownDrive, draw_labels, open_shown, read_image
from vsrd_ray.storage import Location
from vsrd_ray.visualization import birdseye
from vsrd_ray.visualization.drawing import INK, WHITE, draw_masks, draw_text
from vsrd_ray.visualization.video import check_destination, write_pictures

_AHEAD, _BEHIND = 52.0, 6.0  # metres that the bird's-eye view shows
_PLAN_SHARE = 0.4  # height of the bird's-eye view, as a share of its width
AXES_AHEAD_LEFT = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])  # from a camera's x, y, z


def visualize_labels(
    output: Location,
    root: Location,
    destination: Location,
    *,
    sequence: str | None = None,
    frames_per_second: float = 10.0,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Draw every labelled frame of a run, with masks, labels and, where there is some, ground truth.

    Frames that need no labels, since nothing is to be seen in them, are among them, as are those of failed groups.

    Args:
        output: folder of a labelling run.
        root: dataset with the run's sequence.
        destination: a film (.mp4 or .gif), or a folder for one PNG a frame.
        sequence: which sequence, where the run has several.
        frames_per_second: of a film.
        progress: told the number of pictures drawn, and that of all.

    Returns:
        The number of pictures.

    Raises:
        InputError: nothing that could be drawn, or a destination of another kind.
    """
    check_destination(destination)
    shown = open_shown(output, root, sequence=sequence)
    pictures = ((frame, _label_picture(shown, frame)) for frame in counted(shown.frames, progress))
    return write_pictures(pictures, destination, frames_per_second=frames_per_second)


def counted(frames: Sequence[int], progress: Callable[[int, int], None] | None) -> Iterator[int]:
    """The frames; progress hears of each when the next is asked for."""
    for done, frame in enumerate(frames, start=1):
        yield frame
        if progress is not None:
            progress(done, len(frames))


def _label_picture(shown: ShownDrive, frame: int) -> np.ndarray:
    view = shown.sequence.view(frame)
    labels, truth = shown.labels.in_frame(frame), shown.truth_in(frame)
    image = read_image(shown.sequence, frame)
    try:
        instance_map = shown.sequence.read(MASKS, shown.sequence.camera.name, frame)
        draw_masks(image, instance_map, labels.instance_ids, opacity=0.25)
    except (UnreadableFrameError, OSError):
        title = f"frame {frame}, mask unreadable"
    else:
        title = f"frame {frame}"
    draw_labels(image, shown, frame)
    draw_text(image, title, (12, 28), color=WHITE, size=0.7, halo=INK)
    plan = surroundings(image, view.K)
    T_level_world = rigid.inverse(rigid.levelled_at(view.T_world_cam))
    birdseye.draw_footprints(plan, _plan_footprints(labels, T_level_world), labels.colors())
    if truth is not None:
        inks = [INK] * len(truth.frames)
        birdseye.draw_footprints(plan, _plan_footprints(truth, T_level_world), inks, filled=False, thickness=1)
    birdseye.draw_scale(plan)
    legend = f"{shown.sequence.name}   colour: label   {'' if truth is None else 'thin black: truth   '}arrow: front"
    draw_text(plan.image, legend, (12, 24), color=INK, size=0.5)
    return np.concatenate([image, plan.image])


def _plan_footprints(boxes: ShownBoxes, T_level_world: np.ndarray) -> np.ndarray:
    return rigid.apply(T_level_world, boxes.corners()[:, :4]) @ AXES_AHEAD_LEFT.T


def surroundings(image: np.ndarray, K: np.ndarray) -> birdseye.Plan:
    """An empty plan as wide as the image: the camera at the left, looking to the right."""
    height, width = image.shape[:2]
    plan_height = round(_PLAN_SHARE * width)
    ends = np.array([[-_BEHIND, 0.0], [_AHEAD, 0.0]])
    plan = birdseye.fit_plan(ends, (width, plan_height), right=np.array([1.0, 0.0]), margin=0.5)
    birdseye.draw_grid(plan)
    angle = birdseye.horizontal_view(K, (width, height))
    birdseye.draw_camera(plan, np.zeros(2), np.array([1.0, 0.0]), view_angle=angle, reach=_AHEAD)
    return plan
