"""Cars in boxes by a small detector that an npm package brings, and rough masks in them: real boxes without weights.

The detector is the SSD of `@mediapipe/objectron` (Apache-2.0), run by LiteRT (`pip install 'vsrd-ray[boxes]'`). It
finds boxes alone; a mask is a superellipse in its box, with an IoU of .65 with a true one. It is there to try things.
Shapes: T tiles, A anchors, D detections, H x W pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vsrd_ray.errors import InputError, one_line
from vsrd_ray.perception.base import Detections

LABEL = "car"
_LABELS_END = 184  # bytes of the names of classes, before the network
_VEHICLE, _CAR = 18, 23  # numbers of classes
_SIDE = 300  # px of the network's images
_GRIDS = (19, 10, 5, 3, 2, 1)
_OVERLAP = 0.5  # IoU of boxes of which the less sure one goes
_WITHIN = 0.8  # share of the smaller box
_CUT = 0.02  # of a tile's side
_LOWER = 0.6  # height of the smaller tiles, of the image's
_STEP = 0.6  # from tile to tile, of their side
_EXPONENT = 2.5  # of the superellipse


class PackagedSegmenter:
    """See `Segmenter`."""

    labels = (LABEL,)

    def __init__(self, file: Path) -> None:
        """Load the detector.

        Raises:
            InputError: LiteRT is not installed, or the file holds no detector.
        """
        self._network = _loaded(file)
        self._inputs = self._network.get_input_details()[0]["index"]
        outputs = {tuple(one["shape"][-2:]): one["index"] for one in self._network.get_output_details()}
        self._anchors = _anchors()
        try:
            self._offsets, self._logits = (outputs[len(self._anchors), count] for count in (4, 24))
        except KeyError:
            raise InputError(
                f"{file}: another network than the detector of @mediapipe/objectron: give its file"
            ) from None

    def segment(self, images: Sequence[np.ndarray], *, min_score: float, wanted: Sequence[str]) -> list[Detections]:
        """See `Segmenter`; the score is the box's."""
        return [self._found(image, min_score) for image in images]

    def _found(self, image: np.ndarray, min_score: float) -> Detections:
        boxes, scores = self.boxes(image, min_score)
        masks = np.stack([_superellipse(box, image.shape[:2]) for box in boxes]) if len(boxes) else None
        empty = np.zeros((0, *image.shape[:2]), dtype=bool)
        return Detections(empty if masks is None else masks, (LABEL,) * len(boxes), scores.astype(np.float32))

    def boxes(self, image: np.ndarray, min_score: float) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [D, 4] px (left, top, right, bottom) and scores [D] of cars in an image, by falling score.

        The image is looked at as a whole, and in square tiles along its length.
        """
        found, sure = [np.zeros((0, 4))], [np.zeros(0)]
        for left, top, right, bottom in _tiles(image.shape[1], image.shape[0]):
            tile = cv2.resize(image[top:bottom, left:right], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)[..., ::-1]
            self._network.set_tensor(self._inputs, (tile[None] / 127.5 - 1).astype(np.float32))
            self._network.invoke()
            logits = self._network.get_tensor(self._logits).reshape(-1, 24)[:, [_VEHICLE, _CAR]].max(axis=1)
            scores = 1 / (1 + np.exp(-logits))
            kept = scores > min_score
            offsets = self._network.get_tensor(self._offsets).reshape(-1, 4)[kept]
            sides = (right - left, bottom - top)
            boxes = _decoded(offsets, self._anchors[kept]) * np.tile(sides, 2) + np.tile([left, top], 2)
            whole = ~_is_cut(boxes, (left, top, right, bottom), image.shape[:2])
            found.append(boxes[whole])
            sure.append(scores[kept][whole])
        boxes, scores = np.concatenate(found), np.concatenate(sure)
        boxes = np.clip(boxes, 0, [image.shape[1], image.shape[0]] * 2)
        order = np.argsort(-scores, kind="stable")
        kept = _best(boxes[order])
        return boxes[order][kept], scores[order][kept]


def check_file(file: Path) -> None:
    """Refuse a file that is not there or too short, without loading it.

    Raises:
        InputError: it is.
    """
    if not file.is_file() or file.stat().st_size <= _LABELS_END:
        raise InputError(f"{file}: no detector: give objectron_solution_packed_assets.data of @mediapipe/objectron")


def _loaded(file: Path) -> Any:
    check_file(file)
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - an extra  # pyright: ignore
    except ImportError as error:
        raise InputError(f"{file} needs LiteRT ({error}): pip install 'vsrd-ray[boxes]'") from error
    try:
        network = Interpreter(model_content=file.read_bytes()[_LABELS_END:], num_threads=1)
        network.allocate_tensors()
        return network
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"{file}: no network that LiteRT reads ({one_line(error)[:100]}): download it again"
        ) from error


def _anchors() -> np.ndarray:
    """Centres and sizes [A, 4] (y, x, h, w) of the detector's anchors, as shares of a tile."""
    scales = [0.2 + 0.15 * k for k in range(len(_GRIDS))] + [1.0]
    rows = []
    for k, count in enumerate(_GRIDS):
        shapes = [(ratio, scales[k]) for ratio in (1, 2, 0.5, 3, 1 / 3)] + [(1, (scales[k] * scales[k + 1]) ** 0.5)]
        shapes = [(1, 0.1), (2, scales[0]), (0.5, scales[0])] if k == 0 else shapes
        for y in range(count):
            for x in range(count):
                place = (y + 0.5) / count, (x + 0.5) / count
                rows += [(*place, scale / ratio**0.5, scale * ratio**0.5) for ratio, scale in shapes]
    return np.array(rows)


def _decoded(offsets: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Boxes [D, 4] (left, top, right, bottom) as shares of a tile, of offsets [D, 4] from anchors [D, 4]."""
    centers = anchors[:, :2] + offsets[:, :2] / 10 * anchors[:, 2:]
    half = anchors[:, 2:] * np.exp(offsets[:, 2:] / 5) / 2
    return np.hstack([centers - half, centers + half])[:, [1, 0, 3, 2]]


def _is_cut(boxes: np.ndarray, tile: tuple[int, int, int, int], shape: tuple[int, int]) -> np.ndarray:
    """Whether boxes [D, 4] end at a side of their tile that is no side of the image: another tile has them whole."""
    margin = _CUT * (tile[2] - tile[0])
    inner = np.array([tile[0] > 0, tile[1] > 0, tile[2] < shape[1], tile[3] < shape[0]])
    inside = np.column_stack([boxes[:, :2] - tile[:2], np.array(tile[2:]) - boxes[:, 2:]])
    return np.any((inside < margin) & inner, axis=1)


def _best(boxes: np.ndarray) -> list[int]:
    """Places of those boxes [D, 4], by falling score, that neither are like a surer one nor lie in one, nor around."""
    areas, kept = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), []
    for place in range(len(boxes)):
        low = np.maximum(boxes[kept, :2], boxes[place, :2])
        shared = np.prod(np.maximum(np.minimum(boxes[kept, 2:], boxes[place, 2:]) - low, 0), axis=1)
        is_like = shared > _OVERLAP * (areas[kept] + areas[place] - shared)
        if not (is_like | (shared > _WITHIN * np.minimum(areas[kept], areas[place]))).any():
            kept.append(place)
    return kept


def _tiles(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Left, top, right, bottom px: the whole image, squares of its height, and smaller ones about its middle."""
    lower = min(round(_LOWER * height), width)
    tiles = {(0, 0, width, height)}
    for side, top in ((min(height, width), 0), (lower, (height - lower) // 2)):
        count = max(-(-(width - side) // round(_STEP * side)), 0) + 1
        for left in np.linspace(0, width - side, count).round().astype(int).tolist():
            tiles.add((left, top, left + side, top + side))
    return sorted(tiles)


def _superellipse(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A mask [H, W] bool in a box [4] px."""
    left, top, right, bottom = box
    x = (np.arange(shape[1]) + 0.5 - (left + right) / 2) / max((right - left) / 2, 0.5)
    y = (np.arange(shape[0]) + 0.5 - (top + bottom) / 2) / max((bottom - top) / 2, 0.5)
    return np.abs(x[None]) ** _EXPONENT + np.abs(y[:, None]) ** _EXPONENT <= 1
