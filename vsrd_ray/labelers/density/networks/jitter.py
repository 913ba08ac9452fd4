"""Colour jitter: brightness, contrast, saturation and hue of images, one draw for all images of a group.

Shapes: B groups, V views, H x W pixels; colours in [0, 1].
"""

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
# Between RGB and luma with two axes of colour, in which hue is an angle (NTSC's YIQ).
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def jittered(
    images: Tensor,  # [B, V, 3, H, W]
    drawn: Tensor,  # [B, 4] in [0, 1)
    *,
    strength: float,
) -> Tensor:
    """Images with other colours: factors of 1 +- strength, and hues turned by up to half of it, in turns."""
    brightness, contrast, saturation = (1 + strength * (2 * drawn[:, :3] - 1)).T[..., None, None, None, None]
    x = (images * brightness).clamp(0, 1)
    luma = torch.einsum("bvchw,c->bvhw", x, x.new_tensor(_LUMA))[:, :, None]
    x = (contrast * x + (1 - contrast) * luma.mean(dim=(-1, -2), keepdim=True)).clamp(0, 1)
    luma = torch.einsum("bvchw,c->bvhw", x, x.new_tensor(_LUMA))[:, :, None]
    x = (saturation * x + (1 - saturation) * luma).clamp(0, 1)
    return torch.einsum("bij,bvjhw->bvihw", _hue(strength / 2 * (2 * drawn[:, 3] - 1)), x).clamp(0, 1)


def _hue(turns: Tensor) -> Tensor:
    """Matrices [B, 3, 3] of RGB that turn hues."""
    into = turns.new_tensor(_YIQ)
    cos, sin = torch.cos(2 * torch.pi * turns), torch.sin(2 * torch.pi * turns)
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    rows = [torch.stack(row, dim=-1) for row in ((one, zero, zero), (zero, cos, -sin), (zero, sin, cos))]
    return torch.inverse(into) @ torch.stack(rows, dim=-2) @ into
