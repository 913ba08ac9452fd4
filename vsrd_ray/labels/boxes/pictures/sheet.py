"""One sheet that shows how a run went: some frames with their boxes, and the whole street from above."""

import json

import cv2
import numpy as np

from vsrd_ray.labels.boxes.pictures.annotated import ShownBoxes, ShownDrive, draw_labels, open_shown, read_image
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.storage import Location
from vsrd_ray.storage.atomic import atomic_write
from vsrd_ray.storage.targets import check_file
from vsrd_ray.visualization import birdseye
from vsrd_ray.visualization.drawing import (
    GREY,
    INK,
    WHITE,
    blend_polygon,
    draw_line,
    draw_polygon,
    draw_text,
    instance_color,
    text_width,
)

_WIDTH = 1920  # pixels
_GAP = 16
_COLUMNS = 2
_TITLE_HEIGHT = 52
_LEGEND_HEIGHT = 44
_STREET_MAX_HEIGHT = 760
_STREET_MARGIN = 4.0  # metres


def write_sheet(
    output: Location, root: Location, path: Location, *, frames: int = 4, sequence: str | None = None
) -> None:
    """Draw a PNG sheet of a run: full frames from all over the sequence, and the street from above, labels and truth.

    Args:
        output: folder of a labelling run.
        root: dataset with the run's sequence. Images and ground truth are drawn where they are there.
        path: PNG file to write.
        frames: number of frames to show.
        sequence: which sequence, where the run has several.

    Raises:
        InputError: nothing that could be drawn.
        OutputError: the file cannot be written, or `path` is no name of one.
    """
    check_file(path, kind="PNG", suffixes=(".png",), fix="give another --sheet")
    shown = open_shown(output, root, sequence=sequence)
    tiles = [_tile(shown, frame) for frame in _fullest(shown, frames)]
    blocks = [_title(shown, output), *_tile_rows(tiles), _beside_gaps(_street(shown)), _legend(shown)]
    with atomic_write(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", np.concatenate(blocks))[1].tobytes())


def _fullest(shown: ShownDrive, count: int) -> list[int]:
    """Of each of `count` nearly equal runs of frames the one with the most labels, the nearest to the run's middle.

    All frames where there are fewer.
    """
    frames = np.array(shown.frames)
    numbers = {frame: int((shown.labels.frames == frame).sum()) for frame in shown.frames}

    def fullest(run: list[int]) -> int:
        return min(run, key=lambda frame: (-numbers[frame], abs(frame - run[len(run) // 2]), frame))

    return [fullest(run.tolist()) for run in np.array_split(frames, min(count, len(frames)))]


def _tile(shown: ShownDrive, frame: int) -> np.ndarray:
    image = read_image(shown.sequence, frame)
    draw_labels(image, shown, frame)
    width = (_WIDTH - (_COLUMNS + 1) * _GAP) // _COLUMNS
    height = round(image.shape[0] * width / image.shape[1])
    tile = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    draw_text(tile, f"frame {frame}", (10, height - 12), color=WHITE, size=0.55, halo=INK)
    return tile


def _tile_rows(tiles: list[np.ndarray]) -> list[np.ndarray]:
    height, width = tiles[0].shape[:2]
    rows = []
    for start in range(0, len(tiles), _COLUMNS):
        row = _paper(height + _GAP)
        for column, tile in enumerate(tiles[start : start + _COLUMNS]):
            left = _GAP + column * (width + _GAP)
            row[:height, left : left + width] = tile
        rows.append(row)
    return rows


def _street(shown: ShownDrive) -> np.ndarray:
    way = np.array([shown.sequence.T_world_cam[frame][:2, 3] for frame in shown.frames])
    labels, best = shown.labels, shown.labels.where(shown.best)
    truth = shown.parked_truth()
    points = np.concatenate([way, *_outlines(best), *([] if truth is None else _outlines(truth))])
    right = _main_direction(way)
    plan = birdseye.fit_plan(points, _street_size(points, right), right=right, margin=_STREET_MARGIN)
    birdseye.draw_grid(plan)
    birdseye.draw_path(plan, way)
    first = shown.sequence.view(shown.frames[0])
    birdseye.draw_camera(
        plan, way[0], first.T_world_cam[:2, 2], view_angle=birdseye.horizontal_view(first.K, first.image_size)
    )
    others = labels.where(~shown.best)
    birdseye.draw_footprints(plan, others.footprints(), [GREY] * len(others.frames), filled=False, thickness=1)
    birdseye.draw_footprints(plan, best.footprints(), best.colors())
    if truth is not None:
        birdseye.draw_footprints(plan, truth.footprints(), [INK] * len(truth.frames), filled=False, thickness=1)
    birdseye.draw_scale(plan)
    draw_polygon(plan.image, _frame_of(plan.image), color=GREY)
    return plan.image


def _outlines(boxes: ShownBoxes) -> list[np.ndarray]:
    return [boxes.footprints().reshape(-1, 2)]


def _main_direction(way: np.ndarray) -> np.ndarray:
    """From the first to the last camera; east where it did not move."""
    direction = way[-1] - way[0]
    return direction if np.linalg.norm(direction) > 1.0 else np.array([1.0, 0.0])


def _street_size(points: np.ndarray, right: np.ndarray) -> tuple[int, int]:
    right = right / np.linalg.norm(right)
    width, height = np.ptp(points @ np.array([right, [right[1], -right[0]]]).T, axis=0) + 2 * _STREET_MARGIN
    inner = _WIDTH - 2 * _GAP
    return inner, min(_STREET_MAX_HEIGHT, round(inner * height / width))


def _title(shown: ShownDrive, output: Location) -> np.ndarray:
    block = _paper(_TITLE_HEIGHT)
    num_instances, num_boxes = len(np.unique(shown.labels.instance_ids)), len(shown.labels.frames)
    subject = f"{shown.sequence.name}   {num_instances} instances, {num_boxes} boxes in {len(shown.frames)} frames"
    draw_text(block, subject, (_GAP, 34), size=0.75)
    score = _score(output)
    draw_text(block, score, (_WIDTH - _GAP - text_width(score, 0.75), 34), size=0.75)
    return block


def _score(output: Location) -> str:
    """The headline of the run's evaluation; empty where it was not evaluated."""
    path = RunPaths(output).evaluation
    if not path.is_file():
        return ""
    report = json.loads(path.read_text())
    if "overall" not in report or not report["overall"]["count"]:  # of an earlier version, or of nothing
        return ""
    mean, coverage = report["overall"]["iou_3d"]["mean"], report["overall"]["coverage"]
    return f"mean IoU3D {mean:.3f}   coverage {100 * coverage:.0f} %   (all within {report['max_range']:g} m)"


def _legend(shown: ShownDrive) -> np.ndarray:
    block = _paper(_LEGEND_HEIGHT)
    middle, x = 20.0, float(_GAP)
    entries = [
        (
            "label, with instance and confidence; its front is filled, or marked by an arrow",
            instance_color(26001),
            True,
            2,
        )
    ]
    if shown.best.sum() < len(np.unique(np.round(shown.labels.corners(), 3), axis=0)):
        entries.append(("its other labels", GREY, False, 1))
    if shown.truth is not None:
        entries.append(("truth, thin", INK, False, 1))
    for text, color, filled, thickness in entries:
        box = np.array([[x, middle - 7], [x + 30, middle - 7], [x + 30, middle + 7], [x, middle + 7]])
        if filled:
            blend_polygon(block, box, color=color, opacity=0.35)
        draw_polygon(block, box, color=color, thickness=thickness)
        draw_text(block, text, (x + 40, middle + 6))
        x += 40 + text_width(text) + 36
    draw_line(block, np.array([x, middle]), np.array([x + 30, middle]), color=GREY, thickness=2)
    draw_text(block, "way of the camera, and its first view", (x + 40, middle + 6))
    return block


def _beside_gaps(picture: np.ndarray) -> np.ndarray:
    block = _paper(picture.shape[0] + _GAP)
    block[: picture.shape[0], _GAP : _GAP + picture.shape[1]] = picture
    return block


def _paper(height: int) -> np.ndarray:
    return np.full((height, _WIDTH, 3), WHITE, dtype=np.uint8)


def _frame_of(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float64)
