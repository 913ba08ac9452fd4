"""Frame after frame: the image with masks and boxes, and below it the surroundings from above.

Shapes: N boxes. Plan coordinates of these views are metres ahead of the camera and to its left.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.masks import decode_rle
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.instances import read_instance_map
from vsrd_ray.datasets.kitti360.sequences import open_sequence
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.geometry import rigid
from vsrd_ray.labels.boxes.pictures.annotated import Scene, ShownBoxes, draw_labels, open_scene, read_image
from vsrd_ray.storage import Location, names_in
from vsrd_ray.visualization import birdseye
from vsrd_ray.visualization.drawing import INK, WHITE, draw_box, draw_masks, draw_text, instance_color
from vsrd_ray.visualization.video import check_destination, write_pictures

_AHEAD, _BEHIND = 52.0, 6.0  # metres that the bird's-eye view shows
_PLAN_SHARE = 0.4  # height of the bird's-eye view, as a share of its width
_AXES_AHEAD_LEFT = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])  # from a camera's x, y, z


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
    scene = open_scene(output, root, sequence=sequence)
    pictures = ((frame, _label_picture(scene, frame)) for frame in _counted(scene.frames, progress))
    return write_pictures(pictures, destination, frames_per_second=frames_per_second)


def visualize_annotations(
    root: Location,
    sequence: str,
    camera: str,
    destination: Location,
    *,
    classes: Sequence[str] = ("car",),
    frames_per_second: float = 10.0,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Draw every annotation of a sequence (`vsrd-ray annotate`): masks and true boxes of the wanted classes.

    Args:
        root: dataset with the annotations.
        sequence: its name.
        camera: `image_00` or `image_01`.
        destination: a film (.mp4 or .gif), or a folder for one PNG a frame.
        classes: classes to draw.
        frames_per_second: of a film.
        progress: told the number of pictures drawn, and that of all.

    Returns:
        The number of pictures.

    Raises:
        InputError: no such sequence, no annotations, an annotation that cannot be read, or a destination of another
            kind.
    """
    check_destination(destination)
    opened = open_sequence(root, sequence, camera)
    folder = paths.annotation_folder(root, sequence, camera)
    annotated = set(paths.frames_among(names_in(folder), suffix=".json"))
    frames = [frame for frame in opened.mask_frames if frame in annotated]
    if not frames:
        raise InputError(f"no annotations in {folder}: run `vsrd-ray annotate --root {root} --sequence {sequence}`")

    def pictures() -> Iterator[tuple[int, np.ndarray]]:
        for frame in _counted(frames, progress):
            path = paths.annotation_file(root, sequence, camera, frame)
            image = read_image(opened, frame)
            yield frame, _annotation_picture(image, _read_annotation(path, classes), title=f"frame {frame}")

    return write_pictures(pictures(), destination, frames_per_second=frames_per_second)


def _counted(frames: Sequence[int], progress: Callable[[int, int], None] | None) -> Iterator[int]:
    """The frames; progress hears of each when the next is asked for."""
    for done, frame in enumerate(frames, start=1):
        yield frame
        if progress is not None:
            progress(done, len(frames))


@dataclass(frozen=True)
class _Annotation:
    """What an annotation file says of the wanted classes."""

    K: np.ndarray  # [3, 3] pixels
    masks: dict[int, np.ndarray]  # instance -> [H, W] bool
    corners_cam: dict[int, np.ndarray]  # instance -> [8, 3] metres


def _read_annotation(path: Location, classes: Sequence[str]) -> _Annotation:
    try:
        content = json.loads(path.read_text())
        masks = {int(key): rle for name in classes for key, rle in content["masks"].get(name, {}).items()}
        boxes = {int(key): box for name in classes for key, box in content["boxes_3d"].get(name, {}).items()}
        return _Annotation(
            K=np.array(content["intrinsic_matrix"], dtype=np.float64),
            masks={instance_id: decode_rle(rle) for instance_id, rle in masks.items()},
            corners_cam={
                instance_id: np.array(box, dtype=np.float64).reshape(8, 3) for instance_id, box in boxes.items()
            },
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not an annotation file ({error!r}); run `vsrd-ray annotate` again") from error


def _annotation_picture(image: np.ndarray, annotation: _Annotation, *, title: str) -> np.ndarray:
    for instance_id, mask in annotation.masks.items():
        draw_masks(image, mask * instance_id, np.array([instance_id]))
    for instance_id, corners in annotation.corners_cam.items():
        draw_box(image, corners, annotation.K, color=instance_color(instance_id))
    draw_text(image, title, (12, 28), color=WHITE, size=0.7, halo=INK)
    plan = _surroundings(image, annotation.K)
    if annotation.corners_cam:
        footprints = np.stack(list(annotation.corners_cam.values()))[:, :4] @ _AXES_AHEAD_LEFT.T
        birdseye.draw_footprints(plan, footprints, [instance_color(key) for key in annotation.corners_cam])
    birdseye.draw_scale(plan)
    return np.concatenate([image, plan.image])


def _label_picture(scene: Scene, frame: int) -> np.ndarray:
    view = scene.sequence.view(frame)
    labels, truth = scene.labels.in_frame(frame), scene.truth_in(frame)
    image = read_image(scene.sequence, frame)
    try:
        draw_masks(image, read_instance_map(scene.sequence, frame), labels.instance_ids, opacity=0.25)
    except UnreadableFrameError:
        title = f"frame {frame}, mask unreadable"
    else:
        title = f"frame {frame}"
    draw_labels(image, scene, frame)
    draw_text(image, title, (12, 28), color=WHITE, size=0.7, halo=INK)
    plan = _surroundings(image, view.K)
    T_level_world = rigid.inverse(rigid.levelled_at(view.T_world_cam))
    birdseye.draw_footprints(plan, _plan_footprints(labels, T_level_world), labels.colors())
    if truth is not None:
        inks = [INK] * len(truth.frames)
        birdseye.draw_footprints(plan, _plan_footprints(truth, T_level_world), inks, filled=False, thickness=1)
    birdseye.draw_scale(plan)
    return np.concatenate([image, plan.image])


def _plan_footprints(boxes: ShownBoxes, T_level_world: np.ndarray) -> np.ndarray:
    return rigid.apply(T_level_world, boxes.corners()[:, :4]) @ _AXES_AHEAD_LEFT.T


def _surroundings(image: np.ndarray, K: np.ndarray) -> birdseye.Plan:
    """An empty plan as wide as the image: the camera at the left, looking to the right."""
    height, width = image.shape[:2]
    plan_height = round(_PLAN_SHARE * width)
    ends = np.array([[-_BEHIND, 0.0], [_AHEAD, 0.0]])
    plan = birdseye.fit_plan(ends, (width, plan_height), right=np.array([1.0, 0.0]), margin=0.5)
    birdseye.draw_grid(plan)
    angle = birdseye.horizontal_view(K, (width, height))
    birdseye.draw_camera(plan, np.zeros(2), np.array([1.0, 0.0]), view_angle=angle, reach=_AHEAD)
    return plan
