"""Mask R-CNN of torchvision, from a file of its weights that were trained on COCO.

Shapes: D detections, H x W pixels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.errors import InputError, one_line
from vsrd_ray.perception.base import Detections

_HEAD = "roi_heads.box_predictor.cls_score.weight"  # an array that every such file has
_SECOND = "roi_heads.box_head.0.0.weight"  # one that version 2 alone has
_MASK = 0.5  # probability from which on a pixel is the object's


class MaskRCNN:
    """See `Segmenter`."""

    def __init__(self, file: Path, device: str) -> None:
        """Load the weights.

        Raises:
            InputError: torchvision is not there, or does not stand beside this torch; or the file holds no such model.
        """
        self.labels = check_file(file)
        arrays = _arrays(file)
        if _HEAD not in arrays:
            raise InputError(f"{file}: no Mask R-CNN: give a file of torchvision's maskrcnn_resnet50_fpn or …_v2")
        detection = _torchvision().models.detection
        build = detection.maskrcnn_resnet50_fpn_v2 if _SECOND in arrays else detection.maskrcnn_resnet50_fpn
        network = build(weights=None, weights_backbone=None, num_classes=len(self.labels))
        try:
            network.load_state_dict(arrays)
        except RuntimeError as error:
            raise InputError(f"{file}: weights of another model ({one_line(error)[:200]}): give COCO's") from error
        self._network, self._device = network.to(device).eval(), device

    def segment(self, images: Sequence[np.ndarray], *, min_score: float, wanted: Sequence[str]) -> list[Detections]:
        """See `Segmenter`."""
        batch = [torch.from_numpy(image[..., ::-1].copy()).to(self._device) for image in images]
        with torch.inference_mode():
            outputs = self._network([image.permute(2, 0, 1).float() / 255 for image in batch])
        return [converted(one, self.labels, min_score=min_score, wanted=wanted) for one in outputs]


def converted(
    output: Mapping[str, Tensor], labels: Sequence[str], *, min_score: float, wanted: Sequence[str]
) -> Detections:
    """What torchvision says of an image, as detections.

    Args:
        output: `labels` [D] int64, `scores` [D], and `masks` [D, 1, H, W], probabilities.
        labels: names by number.
        min_score: see `Segmenter`.
        wanted: see `Segmenter`.
    """
    names = [labels[number] for number in output["labels"].tolist()]
    scores, masks = output["scores"], output["masks"][:, 0] > _MASK
    is_wanted = torch.tensor([name in wanted for name in names], dtype=torch.bool, device=scores.device)
    is_kept = is_wanted & (scores > min_score) & masks.flatten(1).any(1)
    order = torch.argsort(scores, descending=True, stable=True)
    order = order[is_kept[order]]
    return Detections(
        masks=masks[order].cpu().numpy(),
        labels=tuple(names[place] for place in order.tolist()),
        scores=scores[order].float().cpu().numpy(),
    )


def check_file(file: Path) -> tuple[str, ...]:
    """COCO's names in torchvision's order; a file that is not there is refused, and torchvision that does not work.

    Raises:
        InputError: it is not there, or does not.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file: give the weights of torchvision's Mask R-CNN")
    weights = _torchvision().models.detection.MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1
    return tuple(weights.meta["categories"])


def _torchvision() -> Any:
    try:
        import torchvision  # noqa: PLC0415 - it does not stand beside every torch  # pyright: ignore
    except (ImportError, RuntimeError) as error:  # built for another torch, it lacks operators
        raise InputError(
            f"Mask R-CNN needs a torchvision that is built for torch {torch.__version__} ({one_line(error)[:100]}): "
            "install both from https://download.pytorch.org/whl, or take a model of transformers"
        ) from error
    return torchvision


def _arrays(file: Path) -> dict[str, Tensor]:
    """The arrays of a file; of a pickle, tensors alone are read."""
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file  # noqa: PLC0415 - an extra

            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds: torn files, pickles of more than tensors
        raise InputError(
            f"{file}: the weights cannot be read ({one_line(error)[:200]}): download them again"
        ) from error
