"""Images as models want them, by a model's preprocessor_config.json, without its library's image processor.

Those need torchvision, which does not stand beside every torch. Shapes: B images of H x W pixels, h x w after resizing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vsrd_ray.errors import InputError

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BYTE = 1 / 255


@dataclass(frozen=True)
class Pixels:
    """A batch for a model, and how it lies over the images."""

    values: Tensor  # [B, 3, padded h, padded w] float32
    size: tuple[int, int]  # (h, w) of the images within it; the rest, to the right and below, is padding
    image_size: tuple[int, int]  # (H, W) of the images

    @property
    def mask(self) -> Tensor:
        """Which pixels are the images' [B, padded h, padded w] int64."""
        mask = torch.zeros_like(self.values[:, 0], dtype=torch.int64)
        mask[:, : self.size[0], : self.size[1]] = 1
        return mask

    def to_image(self, logits: Tensor) -> Tensor:
        """Logits [D, …] of a whole padded image, at any resolution, on the pixels of the image [D, H, W]."""
        padded = functional.interpolate(logits[None].float(), self.values.shape[-2:], mode="bilinear")
        inner = padded[..., : self.size[0], : self.size[1]]
        return functional.interpolate(inner, self.image_size, mode="bilinear")[0]


class Preprocessor:
    """Makes batches of images for one model."""

    def __init__(self, config: Mapping[str, Any], *, source: str) -> None:
        """Understand a preprocessor_config.json.

        Raises:
            InputError: a size in words that are not known.
        """
        self._size = dict(config.get("size") or {}) if config.get("do_resize", True) else {}
        known = ({"height", "width"}, {"shortest_edge"}, {"shortest_edge", "longest_edge"}, {"longest_edge"}, set())
        if set(self._size) not in known:
            raise InputError(f"{source}: size: expected height and width, or shortest_edge and longest_edge")
        self._divisor = int(config.get("size_divisor") or config.get("size_divisibility") or 1)
        self._pad = dict(config.get("pad_size") or {})
        self._factor = float(config.get("rescale_factor", _BYTE)) if config.get("do_rescale", True) else 1.0
        mean, std = config.get("image_mean") or _IMAGENET[0], config.get("image_std") or _IMAGENET[1]
        if not config.get("do_normalize", True):
            mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        self._mean, self._std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (mean, std))

    def __call__(self, images: Sequence[np.ndarray], device: str) -> Pixels:
        """A batch of images [H, W, 3] uint8, BGR, all of one size, on a device."""
        batch = torch.from_numpy(np.stack([image[..., ::-1] for image in images])).to(device).permute(0, 3, 1, 2)
        height, width = batch.shape[-2:]
        size = self._resized(height, width)
        values = batch.float()
        if size != (height, width):
            values = functional.interpolate(values, size, mode="bilinear", antialias=True).round().clamp(0, 255)
        values = (values * self._factor - self._mean.to(device)) / self._std.to(device)
        below, right = (-(-side // self._divisor) * self._divisor - side for side in size)
        if self._pad:
            below, right = int(self._pad["height"]) - size[0], int(self._pad["width"]) - size[1]
        return Pixels(functional.pad(values, (0, right, 0, below)), size, (height, width))

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        size = self._size
        if "height" in size:
            return int(size["height"]), int(size["width"])
        scales = []
        if "shortest_edge" in size:
            scales.append(size["shortest_edge"] / min(height, width))
        if "longest_edge" in size:
            scales.append(size["longest_edge"] / max(height, width))
        scale = min(scales, default=1.0)
        return max(round(height * scale), 1), max(round(width * scale), 1)
