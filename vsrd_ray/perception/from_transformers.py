"""Segmenters of the library transformers that know classes, and detectors whose boxes a segmenter fills.

Shapes: B images, Q queries, C classes, D detections, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.perception.base import Detections
from vsrd_ray.perception.loading import Model


class QuerySegmenter:
    """Models that find a mask and a class for each of their queries."""

    def __init__(self, model: Model, device: str) -> None:
        self._model, self._device = model, device
        self.labels = model.labels

    def segment(self, images: Sequence[np.ndarray], *, min_score: float, wanted: Sequence[str]) -> list[Detections]:
        """See `Segmenter`. A query gives one detection, of its likeliest class among those wanted."""
        pixels = self._model.preprocess(images, self._device)
        outputs = self._model(pixels, pixel_mask=pixels.mask)
        if hasattr(outputs, "pred_masks"):
            probabilities, masks, has_quality = outputs.logits.sigmoid(), outputs.pred_masks, False
        else:  # the last class is "no object", and masks have a quality of their own
            probabilities, masks = outputs.class_queries_logits.softmax(-1)[..., :-1], outputs.masks_queries_logits
            has_quality = True
        found = []
        for scores, classes, logits in zip(*_best(probabilities, self.labels, wanted), masks, strict=True):
            kept = scores > min_score
            on_image = pixels.to_image(logits[kept]) if kept.any() else logits.new_zeros((0, *pixels.image_size))
            sure = scores[kept] * (_quality(on_image) if has_quality else 1.0)
            found.append(detections(on_image > 0, classes[kept], sure, wanted, min_score=min_score))
        return found


@dataclass(frozen=True)
class Boxes:
    """What a detector finds in some images."""

    scores: Tensor  # [B, Q]
    classes: Tensor  # [B, Q] int64, places among the wanted names
    centered: Tensor  # [B, Q, 4] centre, width and height, as shares of the image


class Detector(Protocol):
    """Finds boxes."""

    @property
    def labels(self) -> tuple[str, ...]:
        """See `Segmenter`."""
        ...

    def detect(self, images: Sequence[np.ndarray], wanted: Sequence[str]) -> Boxes:
        """Boxes of each query in some images; see `Segmenter`."""
        ...


class QueryDetector:
    """Models that find a box and a class for each of their queries."""

    def __init__(self, model: Model, device: str) -> None:
        self._model, self._device = model, device
        self.labels = model.labels

    def detect(self, images: Sequence[np.ndarray], wanted: Sequence[str]) -> Boxes:
        """See `Detector`."""
        outputs = self._model(self._model.preprocess(images, self._device))
        return Boxes(*_best(outputs.logits.sigmoid(), self.labels, wanted), outputs.pred_boxes)


class PromptedSegmenter:
    """A detector, and a model that fills its boxes."""

    def __init__(self, detector: Detector, prompted: Model, device: str) -> None:
        self._detector, self._prompted, self._device = detector, prompted, device
        self.labels = detector.labels

    def segment(self, images: Sequence[np.ndarray], *, min_score: float, wanted: Sequence[str]) -> list[Detections]:
        """See `Segmenter`. The score is the detector's."""
        boxes, found = self._detector.detect(images, wanted), []
        for image, scores, classes, centered in zip(images, boxes.scores, boxes.classes, boxes.centered, strict=True):
            kept = scores > min_score
            masks = self._fill(image, centered[kept])
            found.append(detections(masks, classes[kept], scores[kept], wanted, min_score=min_score))
        return found

    def _fill(self, image: np.ndarray, boxes: Tensor) -> Tensor:
        """Masks [D, H, W] bool of boxes [D, 4]: centre, width and height as shares of the image."""
        pixels = self._prompted.preprocess([image], self._device)
        if not len(boxes):
            return torch.zeros((0, *pixels.image_size), dtype=torch.bool, device=self._device)
        height, width = pixels.size
        corners = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], dim=1)
        prompts = corners.clamp(0, 1) * torch.tensor([width, height, width, height], device=self._device)
        outputs = self._prompted(pixels, input_boxes=prompts[None], multimask_output=False)
        return pixels.to_image(outputs.pred_masks[0, :, 0]) > 0


def _best(
    probabilities: Tensor,  # [B, Q, C]
    labels: Sequence[str],
    wanted: Sequence[str],
) -> tuple[Tensor, Tensor]:
    """The likeliest of the wanted classes of each query: its probability [B, Q], and its place [B, Q] among them."""
    numbers = torch.tensor([labels.index(name) for name in wanted], device=probabilities.device)
    best = probabilities[..., numbers].max(dim=-1)
    return best.values, best.indices


def _quality(
    logits: Tensor,  # [D, H, W]
) -> Tensor:
    """How sure masks are of their own pixels [D]: the mean probability inside."""
    inside = (logits > 0).flatten(1)
    return (logits.sigmoid().flatten(1) * inside).sum(1) / inside.sum(1).clamp(min=1)


def detections(
    masks: Tensor,  # [D, H, W] bool
    classes: Tensor,  # [D] int64, places among the wanted names
    scores: Tensor,  # [D]
    wanted: Sequence[str],
    *,
    min_score: float,
) -> Detections:
    """What was found in an image, by falling score; without empty masks, and those that are scored too low."""
    order = torch.argsort(scores, descending=True, stable=True)
    order = order[(scores[order] > min_score) & masks[order].flatten(1).any(1)]
    return Detections(
        masks=masks[order].cpu().numpy(),
        labels=tuple(str(wanted[int(place)]) for place in classes[order]),
        scores=scores[order].float().cpu().numpy(),
    )
