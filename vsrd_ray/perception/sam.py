"""The Segment Anything Model (SAM) asked about points: one mask of good quality for each thing that they lie on.

As MixSup's public code asks it: three masks a point, of which those are kept that the model trusts and that hardly
change with the threshold, without near duplicates. Shapes: P points, M masks, K kept ones, h x w logits, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.errors import InputError
from vsrd_ray.perception.loading import POINTED, check_folder, loaded
from vsrd_ray.perception.pixels import Pixels, Preprocessor
from vsrd_ray.perception.sam_weights import read_checkpoint, sizes_of

MIN_IOU, MIN_STABILITY = 0.7, 0.8  # predicted IoU: more; stability: at least
_OFFSET = 1.0  # of the logit, by which the threshold is shifted to tell whether a mask is stable
_MAX_OVERLAP = 0.7  # IoU of boxes beyond which the worse mask is a duplicate
_POINTS_AT_ONCE = 256
_PIXELS_AT_ONCE = 2**26  # logits on the image, that are held at once
# How the original model wants its images; its processor's sizes follow the checkpoint.
_MEAN, _STD = (123.675 / 255, 116.28 / 255, 103.53 / 255), (58.395 / 255, 57.12 / 255, 57.375 / 255)


@dataclass(frozen=True)
class PointMasks:
    """What was found at points of one image, by falling predicted IoU."""

    masks: np.ndarray  # [K, H, W] bool
    ious: np.ndarray  # [K] float64, predicted
    stabilities: np.ndarray  # [K] float64
    points: np.ndarray  # [K] int64, the point that each was found at


@dataclass(frozen=True)
class Embedded:
    """Images that the encoder has seen."""

    features: Tensor  # [B, …]
    pixels: Pixels


class PointSegmenter:
    """SAM with its weights, on a device."""

    def __init__(self, network: Any, preprocess: Preprocessor, device: str) -> None:
        self._network, self._preprocess, self._device = network, preprocess, device

    def embed(self, images: Sequence[np.ndarray]) -> Embedded:
        """Let the encoder, nearly all of the work, see some images [H, W, 3] uint8, BGR, of one size."""
        pixels = self._preprocess(images, self._device)
        with torch.inference_mode():
            return Embedded(self._network.get_image_embeddings(pixels.values), pixels)

    def masks_at(
        self,
        embedded: Embedded,
        place: int,
        points: np.ndarray,  # [P, 2] px: u, v
    ) -> PointMasks:
        """The masks at points of one of the images."""
        height, width = embedded.pixels.image_size
        kept, ious, stabilities, boxes, sources = [], [], [], [], []
        for start in range(0, len(points), _POINTS_AT_ONCE):
            logits, quality = self._asked(embedded, place, points[start : start + _POINTS_AT_ONCE])
            trusted = torch.nonzero(quality > MIN_IOU)  # [M, 2]: point, and which of its masks
            step = max(_PIXELS_AT_ONCE // (height * width), 1)
            for first in range(0, len(trusted), step):
                some = trusted[first : first + step]
                on_image = embedded.pixels.to_image(logits[some[:, 0], some[:, 1]])
                stability = stabilities_of(on_image)
                stable = stability >= MIN_STABILITY
                masks = on_image[stable] > 0
                kept.append(np.packbits(masks.cpu().numpy(), axis=-1))
                boxes.append(boxes_of(masks).cpu().numpy())
                ious.append(quality[some[:, 0], some[:, 1]][stable].double().cpu().numpy())
                stabilities.append(stability[stable].double().cpu().numpy())
                sources.append(start + some[stable, 0].cpu().numpy())
        if not kept:
            none = np.zeros(0)
            return PointMasks(np.zeros((0, height, width), dtype=bool), none, none, none.astype(np.int64))
        scores = np.concatenate(ious)
        order = without_duplicates(np.concatenate(boxes), scores)
        masks = np.unpackbits(np.concatenate(kept)[order], axis=-1, count=width).astype(bool)
        return PointMasks(masks, scores[order], np.concatenate(stabilities)[order], np.concatenate(sources)[order])

    def _asked(self, embedded: Embedded, place: int, points: np.ndarray) -> tuple[Tensor, Tensor]:
        """Logits [P, 3, h, w] of the padded image, and predicted IoUs [P, 3]."""
        (height, width), (h, w) = embedded.pixels.image_size, embedded.pixels.size
        scaled = torch.as_tensor(points, dtype=torch.float32, device=self._device)
        scaled = scaled * torch.tensor([w / width, h / height], device=self._device)
        with torch.inference_mode():
            outputs = self._network(
                image_embeddings=embedded.features[place : place + 1],
                input_points=scaled[None, :, None],
                input_labels=torch.ones((1, len(points), 1), dtype=torch.int64, device=self._device),
                multimask_output=True,
            )
        return outputs.pred_masks[0], outputs.iou_scores[0]


def stabilities_of(
    logits: Tensor,  # [M, H, W]
) -> Tensor:
    """Area under a stricter threshold over that under a laxer one [M]; 0 of masks of nothing."""
    strict, lax = ((logits > shift).sum(dim=(-1, -2)) for shift in (_OFFSET, -_OFFSET))
    return strict / lax.clamp(min=1)


def boxes_of(
    masks: Tensor,  # [M, H, W] bool
) -> Tensor:
    """First column, first row, last column and last row [M, 4] float64 of masks; 0 of empty ones."""
    ends = []
    for axis in (1, 2):
        has = masks.any(dim=axis).int()
        last = has.shape[1] - 1 - has.flip(1).argmax(dim=1)
        ends.append((has.argmax(dim=1), last * has.any(dim=1)))
    (left, right), (top, bottom) = ends
    return torch.stack([left, top, right, bottom], dim=1).double()


def without_duplicates(
    boxes: np.ndarray,  # [M, 4] px
    scores: np.ndarray,  # [M]
) -> np.ndarray:
    """Places [K] of boxes by falling score, without those that overlap a better one too much (greedy NMS)."""
    order = np.argsort(-scores, kind="stable")
    boxes = boxes[order]
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    is_left = np.ones(len(order), dtype=bool)
    for one in range(len(order)):
        if not is_left[one]:
            continue
        sides = np.minimum(boxes[one, 2:], boxes[one + 1 :, 2:]) - np.maximum(boxes[one, :2], boxes[one + 1 :, :2])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        union = areas[one] + areas[one + 1 :] - shared
        is_left[one + 1 :] &= ~(shared > _MAX_OVERLAP * union)
    return order[is_left]


def load_point_segmenter(model: str, device: str) -> PointSegmenter:
    """SAM from a folder of transformers' or an original checkpoint, on a device.

    Raises:
        InputError: neither, or one that cannot be used; or transformers is not installed.
    """
    path = Path(model)
    if path.is_dir():
        found = loaded(model, POINTED, device)
        return PointSegmenter(found.network, found.preprocess, device)
    network, size = _of_checkpoint(path)
    config = {"size": {"longest_edge": size}, "pad_size": {"height": size, "width": size}}
    preprocess = Preprocessor({**config, "image_mean": _MEAN, "image_std": _STD}, source=model)
    return PointSegmenter(network.to(device).eval(), preprocess, device)


def check_point_segmenter(model: str) -> None:
    """Refuse what is neither a folder of SAM nor a checkpoint, without loading it.

    Raises:
        InputError: it is not.
    """
    path = Path(model)
    if path.is_dir():
        check_folder(model, POINTED)
    elif path.suffix not in (".pth", ".pt") or not path.is_file():
        raise InputError(f"{model}: no folder of weights, and no checkpoint (.pth): give SAM's weights")


def _of_checkpoint(path: Path) -> tuple[Any, int]:
    """The network of an original checkpoint, and the longer side of its images, px."""
    try:
        from transformers import SamConfig, SamModel  # noqa: PLC0415 - an extra, and slow
    except ImportError as error:
        raise InputError(f"masks need transformers ({error}): pip install 'vsrd-ray[masks]'") from error
    arrays = read_checkpoint(path)
    try:
        sizes: dict[str, Any] = sizes_of(arrays)
        network = SamModel(SamConfig(**sizes))
        missing, unknown = network.load_state_dict(arrays, strict=False)
    except (KeyError, RuntimeError) as error:
        raise InputError(f"{path}: arrays of another model than SAM ({error})") from error
    if missing or unknown:
        raise InputError(f"{path}: arrays of another model than SAM, such as {[*missing, *unknown][0]}")
    return network, sizes["vision_config"]["image_size"]
