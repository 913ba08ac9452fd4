"""The decoder: features of five resolutions to one feature map as large as the image.

Shapes: V images, C channels, H x W pixels; level i has 1 / 2^i of the image's resolution.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Decoder(nn.Module):
    """From level 4 to 0: convolve, enlarge twice, append the backbone's features of that size, convolve."""

    def __init__(
        self,
        backbone_channels: Sequence[int],  # of the five levels, largest image first
        channels: Sequence[int],  # of the decoder's five levels
        num_features: int,
    ) -> None:
        super().__init__()
        before = backbone_channels[-1]
        self.convolutions = nn.ModuleList()  # two a level, in order of use
        for level in reversed(range(len(channels))):
            own = channels[level]
            appended = backbone_channels[level - 1] if level else 0
            self.convolutions.extend([_convolution(before, own), _convolution(own + appended, own)])
            before = own
        self.output = _convolution(before, num_features)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """What the levels hold, 0 first: [V, C, H / 2^i, W / 2^i]. `output` of the first one is the feature map."""
        x, levels = features[-1], list[Tensor]()
        for step, level in enumerate(reversed(range(len(features)))):
            x = nn.functional.elu(self.convolutions[2 * step](x))
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            if level:
                beside = features[level - 1]
                x = torch.cat([x[..., : beside.shape[-2], : beside.shape[-1]], beside], dim=1)
            x = nn.functional.elu(self.convolutions[2 * step + 1](x))
            levels.insert(0, x)
        return levels


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, padding_mode="reflect")
