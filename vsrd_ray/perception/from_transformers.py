"""Segmenters of the library transformers, from folders of weights.

Shapes: B images, Q queries, C classes, D detections, H x W pixels.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.errors import InputError, nearest_name, one_line
from vsrd_ray.perception.base import Detections, Segmenter
from vsrd_ray.perception.packaged import PackagedSegmenter
from vsrd_ray.perception.pixels import Pixels, Preprocessor
from vsrd_ray.perception.weights import CONFIG, PACKAGED, PROCESSOR, read_json, weight_files

# Architectures by what they give: masks of their own, boxes, or masks for given boxes.
SEGMENTERS = (
    "RfDetrForInstanceSegmentation",
    "Mask2FormerForUniversalSegmentation",
    "MaskFormerForInstanceSegmentation",
)
DETECTORS = (
    "RfDetrForObjectDetection",
    "RTDetrForObjectDetection",
    "RTDetrV2ForObjectDetection",
    "DFineForObjectDetection",
)
PROMPTED = ("SamModel", "Sam2Model")
POINTED = ("SamModel",)  # masks for given points, see `vsrd_ray.perception.sam`


def load_segmenter(model: str, detector: str | None, device: str) -> Segmenter:
    """A segmenter from a folder of weights, on a device.

    Args:
        model: folder of one of `SEGMENTERS`; or, beside a detector, of one of `PROMPTED`; or the file of `packaged`.
        detector: folder of one of `DETECTORS`, whose boxes the model fills.

    Raises:
        InputError: a folder of another model, or one that cannot be used; or transformers is not installed.
    """
    if Path(model).suffix == PACKAGED:
        return PackagedSegmenter(Path(model))
    if detector is None:
        return QuerySegmenter(_loaded(model, SEGMENTERS, device), device)
    return PromptedSegmenter(_loaded(detector, DETECTORS, device), _loaded(model, PROMPTED, device), device)


def check_folder(folder: str, *, prompted: bool = False, detector: bool = False, by_points: bool = False) -> None:
    """Refuse a folder that holds no weights of a model that can be used as wanted, without loading it.

    Raises:
        InputError: it does.
    """
    known = POINTED if by_points else DETECTORS if detector else PROMPTED if prompted else SEGMENTERS
    _architecture(Path(folder), known)
    Preprocessor(read_json(Path(folder), PROCESSOR), source=f"{folder}/{PROCESSOR}")
    weight_files(Path(folder))


def load_pointed(folder: str, device: str) -> tuple[Any, Preprocessor]:
    """A model of `POINTED` from its folder, on a device, and what makes its images.

    Raises:
        InputError: a folder of another model, or one that cannot be used; or transformers is not installed.
    """
    model = _loaded(folder, POINTED, device)
    return model.network, model.preprocess


@dataclass(frozen=True)
class _Model:
    network: Any  # torch module
    preprocess: Preprocessor
    labels: tuple[str, ...]

    def __call__(self, pixels: Pixels, **more: Any) -> Any:
        with torch.inference_mode():
            return self.network(pixel_values=pixels.values, **more)


class QuerySegmenter:
    """Models that find a mask and a class for each of their queries."""

    def __init__(self, model: _Model, device: str) -> None:
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
            found.append(_detections(on_image > 0, classes[kept], sure, self.labels, min_score=min_score))
        return found


class PromptedSegmenter:
    """A detector, and a model that fills its boxes."""

    def __init__(self, detector: _Model, prompted: _Model, device: str) -> None:
        self._detector, self._prompted, self._device = detector, prompted, device
        self.labels = detector.labels

    def segment(self, images: Sequence[np.ndarray], *, min_score: float, wanted: Sequence[str]) -> list[Detections]:
        """See `Segmenter`. The score is the detector's."""
        pixels = self._detector.preprocess(images, self._device)
        outputs = self._detector(pixels)
        found = []
        best = _best(outputs.logits.sigmoid(), self.labels, wanted)
        for image, scores, classes, boxes in zip(images, *best, outputs.pred_boxes, strict=True):
            kept = scores > min_score
            masks = self._fill(image, boxes[kept])
            found.append(_detections(masks, classes[kept], scores[kept], self.labels, min_score=min_score))
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
    """The likeliest of the wanted classes of each query: its probability [B, Q], and its number [B, Q]."""
    numbers = torch.tensor([labels.index(name) for name in wanted], device=probabilities.device)
    scores, places = probabilities[..., numbers].max(dim=-1)
    return scores, numbers[places]


def _quality(
    logits: Tensor,  # [D, H, W]
) -> Tensor:
    """How sure masks are of their own pixels [D]: the mean probability inside."""
    inside = (logits > 0).flatten(1)
    return (logits.sigmoid().flatten(1) * inside).sum(1) / inside.sum(1).clamp(min=1)


def _detections(
    masks: Tensor, classes: Tensor, scores: Tensor, labels: Sequence[str], *, min_score: float
) -> Detections:
    order = torch.argsort(scores, descending=True, stable=True)
    order = order[(scores[order] > min_score) & masks[order].flatten(1).any(1)]
    return Detections(
        masks=masks[order].cpu().numpy(),
        labels=tuple(str(labels[int(number)]) for number in classes[order]),
        scores=scores[order].float().cpu().numpy(),
    )


def _architecture(folder: Path, known: Sequence[str]) -> str:
    """The architecture that a folder's config.json names, if it is a known one."""
    names = read_json(folder, CONFIG).get("architectures") or ["none"]
    if (name := str(names[0])) not in known:
        nearest = nearest_name(name, known)
        hint = f"; did you mean {nearest}?" if nearest else ""
        raise InputError(f"{folder / CONFIG}: a {name}, expected one of {', '.join(known)}{hint}")
    return name


def _loaded(folder: str, known: Sequence[str], device: str) -> _Model:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read at the library's import: nothing is fetched
    path = Path(folder)
    name = _architecture(path, known)
    preprocess = Preprocessor(read_json(path, PROCESSOR), source=str(path / PROCESSOR))
    weight_files(path)
    network = _network(path, _class_of(name)).to(device).eval()
    names: dict[int, str] = {} if name in (*PROMPTED, *POINTED) else dict(network.config.id2label)
    return _Model(network, preprocess, tuple(str(names[number]) for number in sorted(names)))


def _class_of(name: str) -> Any:
    try:
        import transformers  # noqa: PLC0415 - an extra, and slow
    except ImportError as error:
        raise InputError(f"masks need transformers ({error}): pip install 'vsrd-ray[masks]'") from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if (found := getattr(transformers, name, None)) is None:
        raise InputError(f"transformers {transformers.__version__} has no {name}: install a newer one")
    return found


def _network(path: Path, model: Any) -> Any:
    load: Callable[..., Any] = model.from_pretrained
    try:
        network, told = load(path, local_files_only=True, use_safetensors=True, output_loading_info=True)
    except Exception as error:  # of many kinds: torn files, sizes of another model
        raise InputError(
            f"{path}: the weights cannot be loaded ({one_line(error)[:200]}): download them again"
        ) from error
    if lacking := sorted(told["missing_keys"]):
        raise InputError(
            f"{path}: the weights lack {len(lacking)} arrays, {lacking[0]} among them: they are of another model, or "
            "not all there; download the model again"
        )
    return network
