"""The report on masks: counts for each drive, and the frames whose masks are doubted most."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.data.masks import decode_rle
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.labels.base import Progress
from vsrd_ray.labels.masks.schema import TABLE, rle_of
from vsrd_ray.runs.folder import RunFolder, group_frames
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.storage import Location
from vsrd_ray.visualization.drawing import PAPER, draw_text, instance_color
from vsrd_ray.visualization.page import Section, write_page

_SHOWN = 8  # frames of a drive
_OPACITY = 0.5


def report(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None
) -> Sequence[str]:
    """Write the report; what was written.

    Raises:
        InputError: the run holds no masks.
    """
    sections, groups = [], read_groups(run.output)
    for done, name in enumerate(run.inputs.sequences, start=1):
        drive, rows = run.drive(name), run.rows(TABLE, name).to_pylist()
        frames = group_frames(groups, sequence=name, status="ok")
        least: dict[int, float] = {}
        for row in rows:
            least[row["frame"]] = min(row["score"], least.get(row["frame"], 1.0))
        shown = sorted(least, key=lambda frame: (least[frame], frame))[:_SHOWN]
        pictures = {
            f"frame {frame}": drawn(drive, frame, [row for row in rows if row["frame"] == frame]) for frame in shown
        }
        counts = [{"class": one, "masks": sum(row["class_name"] == one for row in rows)} for one in run.inputs.classes]
        text = f"{len(rows)} masks in {len(frames)} frames; below, the frames with the least sure ones."
        sections.append(Section(name, text, counts, pictures))
        if progress is not None:
            progress(done, len(run.inputs.sequences))
    size = write_page(destination, "Masks", sections)
    return [f"Report written to {destination}: {size / 1e6:.1f} MB"]


def drawn(drive: Drive, frame: int, rows: Sequence[dict[str, Any]]) -> np.ndarray:
    """The image of a frame [H, W, 3] uint8, BGR, with its masks and their scores; grey where there is no image."""
    width, height = drive.image_size
    try:
        image = drive.read(IMAGES, drive.camera.name, frame).copy()
    except (UnreadableFrameError, InputError):
        image = np.full((height, width, 3), 96, dtype=np.uint8)
    for row in reversed(rows):  # the surest lies on top
        inside = decode_rle(rle_of(row))
        color = np.array(instance_color(row["detection"] + 1))
        image[inside] = (image[inside] * (1 - _OPACITY) + color * _OPACITY).astype(np.uint8)
        corner = row["box_x"], row["box_y"]
        opposite = corner[0] + row["box_width"] - 1, corner[1] + row["box_height"] - 1
        cv2.rectangle(image, corner, opposite, color.tolist())
        draw_text(image, f"{row['class_name']} {row['score']:.2f}", (corner[0], max(corner[1] - 3, 12)), halo=PAPER)
    return image
