"""Pictures of annotations (`vsrd-ray annotate`)."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.masks import decode_rle
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.vsrd.published.annotations import open_with_masks
from vsrd_ray.labels.boxes.pictures.annotated import read_image
from vsrd_ray.labels.boxes.pictures.images import AXES_AHEAD_LEFT, counted, surroundings
from vsrd_ray.storage import Location, names_in
from vsrd_ray.visualization import birdseye
from vsrd_ray.visualization.drawing import INK, WHITE, draw_box, draw_masks, draw_text, instance_color
from vsrd_ray.visualization.video import check_destination, write_pictures


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
    opened = open_with_masks(root, sequence, camera)
    opened.check_classes(classes)
    folder = paths.annotation_folder(root, sequence, camera)
    annotated = set(paths.frames_among(names_in(folder), suffix=".json"))
    frames = [frame for frame in opened.mask_frames if frame in annotated]
    if not frames:
        raise InputError(f"no annotations in {folder}: run `vsrd-ray annotate --root {root} --sequence {sequence}`")

    def pictures() -> Iterator[tuple[int, np.ndarray]]:
        for frame in counted(frames, progress):
            path = paths.annotation_file(root, sequence, camera, frame)
            image = read_image(opened, frame)
            yield frame, _annotation_picture(image, _read_annotation(path, classes), title=f"frame {frame}")

    return write_pictures(pictures(), destination, frames_per_second=frames_per_second)


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
    plan = surroundings(image, annotation.K)
    if annotation.corners_cam:
        footprints = np.stack(list(annotation.corners_cam.values()))[:, :4] @ AXES_AHEAD_LEFT.T
        birdseye.draw_footprints(plan, footprints, [instance_color(key) for key in annotation.corners_cam])
    birdseye.draw_scale(plan)
    return np.concatenate([image, plan.image])
