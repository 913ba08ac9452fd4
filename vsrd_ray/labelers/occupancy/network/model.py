"""The network: features and depth of images, pulled into coarse voxels, and what the grid's voxels are.

Shapes: V images of H x W px, h x w px at stride 4, F features, D depth bins, C classes; X x Y x Z voxels of the grid,
x x y x z coarse ones, P points.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vsrd_ray.labelers.occupancy.training import NetworkSettings
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.training.backbone import ResNet, norm_layer

STRIDE = 4
_DENSITY_BIAS = -3.0  # so that rays pass the untrained grid
_NEAREST = 1.0  # m, lower end of the first depth bin
_BESIDE = 2  # channels of a coarse voxel beside the features: the share of depth in it, and its height


@dataclass(frozen=True)
class Predicted:
    """What the network says of a group, in float32."""

    density: Tensor  # [X, Y, Z] 1/m
    logits: Tensor  # [C, X, Y, Z] of classes that occupy
    depth_logits: Tensor  # [V, D, h, w]


class OccupancyNetwork(nn.Module):
    """Any number of posed images become densities and classes of a grid's voxels."""

    def __init__(self, settings: NetworkSettings, grid: Grid, num_classes: int) -> None:
        super().__init__()
        self.grid, self.bins = grid, settings.depth_bins
        self.backbone = ResNet(settings.backbone, settings.norm, settings.width, stages=2)
        width, norm = settings.features, norm_layer("group")
        self.fine = nn.Conv2d(self.backbone.channels[1], width, 1)
        self.wide = nn.Conv2d(self.backbone.channels[2], width, 1)
        self.neck = nn.Sequential(norm(width), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1), norm(width), nn.ReLU())
        self.features = nn.Conv2d(width, width, 1)
        self.depth = nn.Conv2d(width, self.bins, 1)
        sides = (width + _BESIDE, width, width, width)
        layers: list[nn.Module] = []
        for before, after in pairwise(sides):
            layers += [nn.Conv3d(before, after, 3, 1, 1), norm(after), nn.ReLU()]
        self.space = nn.Sequential(*layers, nn.Conv3d(width, 1 + num_classes, 1))
        self.coarse = settings.coarse
        self.coarse_shape = tuple(-(-side // settings.coarse) for side in grid.shape)
        index = np.indices(self.coarse_shape).reshape(3, -1).T
        centers = grid.low + (index + 0.5) * settings.coarse * grid.voxel_size
        self.register_buffer("centers", torch.from_numpy(centers).float(), persistent=False)

    def forward(
        self,
        images: Tensor,  # [V, 3, H, W], colours in [-1, 1]
        K: Tensor,  # [V, 3, 3] px of the images
        T_grid_cam: Tensor,  # [V, 4, 4]
    ) -> Predicted:
        """What the voxels are; views may be of any number of cameras and frames."""
        _, fine, wide = self.backbone(images)
        mixed = self.fine(fine) + functional.interpolate(self.wide(wide), size=fine.shape[2:], mode="bilinear")
        mixed = self.neck(mixed)
        depth_logits = self.depth(mixed)
        pulled = self._pull(self.features(mixed), depth_logits.softmax(dim=1), K, T_grid_cam)
        found = functional.interpolate(
            self.space(pulled[None]).float(), scale_factor=self.coarse, mode="trilinear", align_corners=False
        )[0]
        x, y, z = self.grid.shape
        found = found[:, :x, :y, :z]
        return Predicted(functional.softplus(found[0] + _DENSITY_BIAS), found[1:], depth_logits.float())

    def _pull(self, features: Tensor, shares: Tensor, K: Tensor, T_grid_cam: Tensor) -> Tensor:
        """Coarse voxels [F + 2, x, y, z]: means of feature x P(its depth) over the views that see each.

        P is times the root of the number of bins: neither even nor sharp depths are lost beside the height.
        """
        centers = self.get_buffer("centers")
        total = centers.new_zeros(len(centers), features.shape[1] + 1)  # float32, whatever the features are
        number = centers.new_zeros(len(centers), 1)
        height, width = features.shape[2:]
        for feature, share, k, pose in zip(features, shares, K, T_grid_cam, strict=True):
            points = (centers - pose[:3, 3]) @ pose[:3, :3]
            depth = points[:, 2]
            ahead = depth.clamp(min=1e-3)
            u = (points[:, 0] / ahead * k[0, 0] + k[0, 2]) / STRIDE
            v = (points[:, 1] / ahead * k[1, 1] + k[1, 2]) / STRIDE
            is_seen = (depth > _NEAREST) & (depth < _NEAREST + self.bins)
            is_seen &= (u > -0.5) & (u < width - 0.5) & (v > -0.5) & (v < height - 0.5)
            at = is_seen.nonzero()[:, 0]
            place = torch.stack(
                [
                    _scaled(u[at], width),
                    _scaled(v[at], height),
                    _scaled(depth[at] - _NEAREST - 0.5, self.bins),
                ],
                dim=1,
            )
            seen = _sampled(feature, place[None, :, None, :2])[:, :, 0]  # [F, P]
            here = _sampled(share[None], place[None, :, None, None])[:, :, 0, 0] * self.bins**0.5  # [1, P]
            total = total.index_add(0, at, torch.cat([seen * here, here]).T.to(total))
            number = number.index_add(0, at, torch.ones_like(number[at]))
        z = self.coarse_shape[2]
        heights = torch.linspace(-1, 1, z, device=features.device).repeat(len(centers) // z)
        both = torch.cat([total / number.clamp(min=1), heights[:, None]], dim=1)
        return both.T.reshape(-1, *self.coarse_shape)


def depth_bin(depth: np.ndarray, bins: int) -> np.ndarray:
    """The bin [...] int64 of depths [...] m; -1 where they are nearer than the first or beyond the last."""
    found = np.floor(depth - _NEAREST).astype(np.int64)
    return np.where((found >= 0) & (found < bins), found, -1)


def feature_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the features of images of (width, height) px."""
    width, height = ((side + STRIDE - 1) // STRIDE for side in image_size)
    return width, height


def _scaled(place: Tensor, size: int) -> Tensor:
    return 2 * place / max(size - 1, 1) - 1


def _sampled(values: Tensor, places: Tensor) -> Tensor:
    return functional.grid_sample(values[None], places, mode="bilinear", padding_mode="border", align_corners=True)[0]
