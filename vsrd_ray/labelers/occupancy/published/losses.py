"""Losses of RenderOcc and SplattingOcc, and those of the likelihood of a ray's end that ours trains with.

Shapes: R rays, S samples along each, C classes, B images, D depth bins, H x W pixels.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_LEAST = 1e-6  # of a share in the entropy
_SILOG_OFFSET = 1e-7  # m
_SILOG_VARIANCE = 0.85
_FARTHEST = 52.0  # m; depths beyond have no part
_OUTLIERS = 4e-4  # per metre: the density of ends that have nothing to do with the surface
_FREE_SIGMAS, _FREE_MARGIN = 2.0, 0.2  # before a hit, from where on nothing is called free; margin in m
_BLOCK = 16  # px a depth pixel stands for
_BIN, _BINS, _FIRST_BIN = 0.5, 88, 1.0  # m, number, and lower end of the first, m


def class_weights(frequencies: np.ndarray) -> np.ndarray:
    """Weights [C] of classes in the cross entropy, from their voxel counts [C]: 1 / ln(n + 0.001)."""
    return 1 / np.log(frequencies + 1e-3)


def ray_weights(numbers: np.ndarray) -> np.ndarray:
    """Weights [C] by which rays are drawn, from the rays of each class [C]: exp(0.005 (most / n - 1))."""
    return np.exp(0.005 * (numbers.max() / numbers - 1))


def cross_entropy(
    logits: Tensor,  # [R, C]
    classes: Tensor,  # [R] int64
    weights: Tensor,  # [C]
) -> Tensor:
    """Weighted cross entropy, divided by the sum of the rays' weights."""
    return functional.cross_entropy(logits, classes, weight=weights)


def silog(
    depths: Tensor,  # [R] m
    targets: Tensor,  # [R] m
) -> Tensor:
    """Scale-invariant logarithmic error (Eigen et al. 2014); targets beyond 52 m have no part."""
    known = targets <= _FARTHEST
    errors = torch.log(depths[known] + _SILOG_OFFSET) - torch.log(targets[known])
    return torch.sqrt((errors**2).mean() - _SILOG_VARIANCE * errors.mean() ** 2)


def entropy(
    last: Tensor,  # [R] shares that pass all samples
) -> Tensor:
    """Mean entropy of whether rays end: small where they clearly do or do not."""
    share = last.clamp(_LEAST, 1 - _LEAST)
    return -(share * torch.log(share) + (1 - share) * torch.log(1 - share)).mean()


def distortion(
    weights: Tensor,  # [R, S]
    distances: Tensor,  # [R, S] contracted: s = t / (1 + t)
    *,
    interval: float,  # of a sample; as published 1 / (R S), in place of 1 / S
) -> Tensor:
    """Mean distortion of rays (Barron et al., mip-NeRF 360, equation 15)."""
    placed = weights * distances
    before = torch.cumsum(weights, dim=1) - weights
    placed_before = torch.cumsum(placed, dim=1) - placed
    between = 2 * (weights * (distances * before - placed_before)).sum(dim=1)
    return (between + interval / 3 * (weights**2).sum(dim=1)).mean()


def end_likelihood(
    weights: Tensor,  # [R, S]
    middles: Tensor,  # [R, S] m along the ray
    hits: Tensor,  # [R] m
    sigmas: Tensor,  # [R] standard deviations of hits, m
) -> Tensor:
    """Mean negative log likelihood of where rays ended, with outliers: -ln(sum w N(hit; middle, sigma) + 4e-4)."""
    return -torch.log((weights * _densities(middles, hits, sigmas)).sum(dim=1) + _OUTLIERS).mean()


def end_posterior(
    weights: Tensor,  # [R, S]
    middles: Tensor,  # [R, S] m along the ray
    hits: Tensor,  # [R] m
    sigmas: Tensor,  # [R] m
) -> Tensor:
    """Probability [R, S] that a ray ended in each sample, given where it was seen to; the rest are outliers."""
    joint = weights * _densities(middles, hits, sigmas)
    return joint / (joint.sum(dim=1, keepdim=True) + _OUTLIERS)


def _densities(middles: Tensor, hits: Tensor, sigmas: Tensor) -> Tensor:
    normalised = (middles - hits[:, None]) / sigmas[:, None]
    return torch.exp(-0.5 * normalised**2) / (sigmas[:, None] * math.sqrt(2 * math.pi))


def free_space(
    weights: Tensor,  # [R, S]
    middles: Tensor,  # [R, S] m
    hits: Tensor,  # [R] m
    sigmas: Tensor,  # [R] m
) -> Tensor:
    """Mean weight of samples that lie well before the hit."""
    is_free = middles < (hits - _FREE_SIGMAS * sigmas - _FREE_MARGIN)[:, None]
    return (weights * is_free).sum(dim=1).mean()


def total_variation(
    volume: Tensor,  # [X, Y, Z]
) -> Tensor:
    """Sum over the axes of the mean absolute difference of neighbours."""
    return torch.stack([volume.diff(dim=axis).abs().mean() for axis in range(3)]).sum()


def depth_bins(
    depths: Tensor,  # [B, H, W] m, 0 where unknown; sides are multiples of 16
) -> Tensor:
    """The bin [B, H/16, W/16] of the nearest depth in each block, from 1; 0 where none is known or in range."""
    images, height, width = depths.shape
    blocks = depths.reshape(images, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    nearest = torch.where(blocks > 0, blocks, torch.full_like(blocks, torch.inf)).amin(dim=(2, 4))
    bins = (nearest - (_FIRST_BIN - _BIN)) / _BIN
    in_range = (bins >= 0) & (bins < _BINS + 1)
    return torch.where(in_range, bins, torch.zeros_like(bins)).long()


def depth_bin_loss(
    shares: Tensor,  # [B, D, H/16, W/16] probabilities
    depths: Tensor,  # [B, H, W] m
) -> Tensor:
    """Binary cross entropy of depth bins (BEVDepth, Li et al., AAAI 2023), over blocks whose bin is known."""
    bins = depth_bins(depths)
    known = bins > 0
    targets = functional.one_hot(bins[known], _BINS + 1)[:, 1:].to(shares.dtype)
    found = shares.permute(0, 2, 3, 1)[known]
    return functional.binary_cross_entropy(found, targets, reduction="sum") / max(1, int(known.sum()))
