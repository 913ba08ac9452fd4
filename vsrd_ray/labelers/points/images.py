"""Masks of a frame's images by models of the user's: the first stage of PointSAM.

A segmenter finds things, or masks are given. SAM, where there is one, is asked about the LiDAR's pixels on them. The
device is asked about images while a thread finds prompts and paints. Shapes: P pixels, D detections, H x W pixels.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.points.config import PointsConfig
from vsrd_ray.labelers.points.frames import Shot
from vsrd_ray.labelers.points.painting import Coarse, Painted, paint_objects, paint_published
from vsrd_ray.labelers.points.prompts import prompts_at
from vsrd_ray.labels.points.classes import NAMES, NO_INSTANCE, NONE, class_named
from vsrd_ray.perception.base import Detections, Segmenter
from vsrd_ray.perception.models import load_segmenter
from vsrd_ray.perception.sam import PointMasks, PointSegmenter, load_point_segmenter

_IMAGES_AT_ONCE = 6
_MOST = IDS_PER_CLASS - 1  # instances of an image

# Place in `NAMES` of each class number in the instance maps that are made here: one more than the place.
CLASSES = np.full(np.iinfo(np.uint16).max // IDS_PER_CLASS + 1, NONE)
CLASSES[1 : NONE + 1] = np.arange(NONE)


@dataclass(frozen=True)
class MadeMasks:
    """What models make of an image."""

    instance_map: np.ndarray  # [H, W] uint16; see `CLASSES`
    scores: Mapping[int, float]  # by instance


def wanted_names(config: PointsConfig, labels: Sequence[str], classes: Sequence[str] = ()) -> dict[str, int]:
    """Places in `NAMES` of the names that a segmenter has for classes of points.

    Args:
        config: says what the segmenter calls them.
        labels: all that it finds.
        classes: that are wanted, by any dataset's names; all of them if empty.

    Raises:
        InputError: it finds none of them, or has no such name.
    """
    wanted = {class_named(name) for name in classes} if classes else set(range(NONE))
    found = {name: place for name in labels if (place := class_named(name)) is not None}
    for ours, theirs in config.names.items():
        if ours not in NAMES:
            raise InputError(f"names: points have no class {ours!r}: give some of {', '.join(NAMES)}")
        if theirs not in labels:
            raise InputError(f"names: the segmenter finds no {theirs!r}: give some of {', '.join(labels)}")
        found[theirs] = NAMES.index(ours)
    found = {name: place for name, place in found.items() if place in wanted}
    if not found:
        raise InputError(
            f"the segmenter finds no class of points: --set names.car=NAME says what it calls a car, one of "
            f"{', '.join(labels)}"
        )
    return found


class ImageModels:
    """The models that a configuration names, on a device."""

    def __init__(self, config: PointsConfig, device: str) -> None:
        self._config = config
        self._segmenter: Segmenter | None = load_segmenter(config.segmenter, None, device) if config.segmenter else None
        self._sam: PointSegmenter | None = load_point_segmenter(config.sam, device) if config.sam else None

    def masks(self, shots: Sequence[Shot], classes: Sequence[str], cpu: Executor) -> list["Future[MadeMasks]"]:
        """Masks of images, in their order; they are painted while the device goes on.

        Raises:
            InputError: the segmenter does not find what is wanted.
        """
        found: list[Future[MadeMasks]] = []
        for some in _batches(shots):
            coarse = self._coarse(some, classes)
            if self._sam is None:
                found += [cpu.submit(_by_detections, one) for one in coarse]
                continue
            asked = [
                cpu.submit(_prompts, shot, detections) for shot, detections in zip(some, coarse, strict=True)
            ]  # while the encoder works
            embedded = self._sam.embed([shot.image for shot in some])
            for place, (prompts, detections) in enumerate(zip(asked, coarse, strict=True)):
                masks = self._sam.masks_at(embedded, place, prompts.result())
                found.append(cpu.submit(_by_masks, masks, detections, self._config.rule))
        return found

    def _coarse(self, shots: Sequence[Shot], classes: Sequence[str]) -> list[Coarse]:
        if self._segmenter is None:
            return [_given(shot) for shot in shots]
        places = wanted_names(self._config, self._segmenter.labels, classes)
        images = [shot.image for shot in shots]
        found = self._segmenter.segment(images, min_score=self._config.min_score, wanted=list(places))
        return [_detected(one, places) for one in found]


def _batches(shots: Sequence[Shot]) -> list[list[Shot]]:
    """Stretches of images that have one size, none too long."""
    batches: list[list[Shot]] = []
    for shot in shots:
        if not batches or batches[-1][0].image.shape != shot.image.shape or len(batches[-1]) == _IMAGES_AT_ONCE:
            batches.append([])
        batches[-1].append(shot)
    return batches


def _given(shot: Shot) -> Coarse:
    if shot.given is None:
        raise ValueError("neither masks nor a segmenter: the plan should have refused this")
    return shot.given


def _detected(found: Detections, places: Mapping[str, int]) -> Coarse:
    classes = np.array([places[name] for name in found.labels], dtype=np.int64)
    return Coarse.of(found.masks, classes, found.scores.astype(np.float64))


def _prompts(shot: Shot, coarse: Coarse) -> np.ndarray:
    return prompts_at(shot.pixels, coarse.semantic) if shot.prompts is None else shot.prompts


def _by_detections(coarse: Coarse) -> MadeMasks:
    places = coarse.places
    return _made(Painted(np.append(coarse.classes, NONE)[places], places, coarse.scores))


def _by_masks(found: PointMasks, coarse: Coarse, rule: str) -> MadeMasks:
    paint = paint_published if rule == "published" else paint_objects
    return _made(paint(found.masks, found.ious * found.stabilities, coarse))


def _made(painted: Painted) -> MadeMasks:
    """As an instance map.

    Raises:
        ValueError: more instances than it can number.
    """
    if painted.instance.max(initial=NO_INSTANCE) >= _MOST:
        raise ValueError(f"{painted.instance.max() + 1} objects in one image: expected at most {_MOST}")
    ids = np.where(painted.instance == NO_INSTANCE, 0, (painted.semantic + 1) * IDS_PER_CLASS + painted.instance + 1)
    there = np.unique(ids[ids > 0]).tolist()
    scores = {one: float(np.clip(painted.scores[one % IDS_PER_CLASS - 1], 0, 1)) for one in there}
    return MadeMasks(ids.astype(np.uint16), scores)
