"""The published losses in the labelling table: voxels optimised by them, from the very images that ours are made of.

`march` is RenderOcc's compositing with its losses (cross entropy, SILog, entropy, distortion), with depths in metres,
and nothing outside the grid. `splat` is SplattingOcc's rasteriser with its cross entropy, at half the size of the
images, and Gaussians of 0.2 m, since those of 0.1 m at a spacing of 0.4 m leave holes. Both stop when their CPU seconds
are used up. Occupied is what ends half of the light: a density along one side of its voxel, a Gaussian in its middle;
RenderOcc's 8.5 was chosen for its network on validation truth. Rays are drawn without regard to their class: its
weights are made for counts of a whole dataset, and in one group all rays would be of the rarest class.
Shapes: R rays, S samples, C classes, H x W pixels.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.occupancy.fusion import Tally
from vsrd_ray.labelers.occupancy.images import DepthImage, pixel_rays
from vsrd_ray.labelers.occupancy.published.losses import (
    class_weights,
    cross_entropy,
    distortion,
    entropy,
    silog,
)
from vsrd_ray.labelers.occupancy.published.marching import (
    RADIUS,
    depth_metric,
    interpolate,
    opacities_published,
    sample_distances,
    semantics,
    weights_published,
)
from vsrd_ray.labels.voxels.classes import OCC3D
from vsrd_ray.labels.voxels.grid import OCC3D_GRID
from vsrd_ray.rendering.splatting import Gaussians, splat

_RAYS, _SOURCE_WEIGHT = 2048, 0.3
_ENTROPY, _DISTORTION = 0.01, 0.01
_SHIFT = float(np.log(1e-6))
_DENSE = -_SHIFT  # density of which two samples, one side of a voxel, end half of the light
_UNKNOWN, _HIT, _PASSED = 8.0, 16.0, 5.0  # densities that optimisation starts from
_RATE, _RATE_FROM_NOTHING = 0.2, 0.5  # of Adam
_SIGMA, _KEPT, _HALF = 0.2, 0.1, 0.5  # m; opacities
_BESIDE = -1.5  # logit of the opacity beside a hit


def _counted(images: Sequence[DepthImage]) -> Tally:
    tally = Tally(OCC3D_GRID, OCC3D.free)
    for image in images:
        tally.add_rays(pixel_rays(image))
    return tally


def _labelled(occupied: Tensor, logits: Tensor) -> np.ndarray:
    return np.where(occupied.numpy(), logits.argmax(dim=-1).numpy(), OCC3D.free).astype(np.uint8)


def _until(seconds: float) -> Callable[[], bool]:
    end = time.process_time() + seconds
    return lambda: time.process_time() < end


def march(images: Sequence[DepthImage], *, seconds: float, from_hits: bool, seed: int = 0) -> np.ndarray:
    """Semantics [X, Y, Z] of the voxels that RenderOcc's losses lead to."""
    tally, shape, num = _counted(images), OCC3D_GRID.shape, OCC3D.free
    volume = torch.zeros(*shape, 1 + num)
    volume[..., 0] = _UNKNOWN
    if from_hits:
        hits, passed = torch.from_numpy(tally.hits > 0), torch.from_numpy(tally.passed > 0)
        volume[..., 0] = torch.where(hits, _HIT, torch.where(passed, _PASSED, _UNKNOWN))
        volume[..., 1:] = torch.from_numpy(tally.votes / np.maximum(tally.votes.sum(axis=3, keepdims=True), 1)) * 2
    volume.requires_grad_()
    origins, ends, labels, shares = (torch.from_numpy(one) for one in _rays_of(images))
    counts = np.bincount(labels.numpy(), minlength=num)
    weights = torch.from_numpy(class_weights(np.maximum(counts, 2))).float()
    generator, goes_on = torch.Generator().manual_seed(seed), _until(seconds)
    optimiser = torch.optim.Adam([volume], lr=_RATE if from_hits else _RATE_FROM_NOTHING)
    distances = torch.from_numpy(sample_distances()).float()
    while goes_on():
        chosen = torch.multinomial(shares, _RAYS, generator=generator)
        lengths = (ends[chosen] - origins[chosen]).norm(dim=1)
        alphas, values = _sampled(volume, origins[chosen], ends[chosen], distances * RADIUS)
        rendered, last = weights_published(alphas)
        loss = cross_entropy(semantics(rendered, values), labels[chosen], weights)
        loss = loss + silog(depth_metric(rendered, distances), lengths) + _ENTROPY * entropy(last)
        contracted = (distances / (1 + distances)).expand_as(rendered)
        loss = loss + _DISTORTION * distortion(rendered, contracted, interval=1 / len(distances))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = volume.detach()
    return _labelled(functional.softplus(found[..., 0]) > _DENSE, found[..., 1:])


def _rays_of(images: Sequence[DepthImage]) -> tuple[np.ndarray, ...]:
    """Origins [R, 3], ends [R, 3], classes [R] and weights [R] of all pixels that have a depth and a class."""
    parts = []
    for image in images:
        rays = pixel_rays(image)
        kept = ~rays.is_endless & (rays.labels < OCC3D.free)
        ends = rays.ends[kept].astype(np.float32)
        share = 1.0 if image.ignored is None else _SOURCE_WEIGHT
        origins = np.broadcast_to(rays.origin.astype(np.float32), ends.shape)
        parts.append((origins, ends, rays.labels[kept].astype(np.int64), np.full(len(ends), share)))
    return tuple(np.concatenate(one) for one in zip(*parts, strict=True))


def _sampled(volume: Tensor, origins: Tensor, ends: Tensor, metres: Tensor) -> tuple[Tensor, Tensor]:
    """Opacities [R, S] and logits [R, S, C] of samples at distances [S]; 0 outside the grid."""
    directions = functional.normalize(ends - origins, dim=1)
    points = origins[:, None] + directions[:, None] * metres[:, None]
    low, high = (torch.tensor(one, dtype=points.dtype) for one in (OCC3D_GRID.range[:3], OCC3D_GRID.range[3:]))
    inside = ((points >= low) & (points < high)).all(dim=-1)
    found = interpolate(volume, points[inside], OCC3D_GRID.range)
    alphas = opacities_published(functional.softplus(found[:, 0]), _SHIFT)
    places = inside.nonzero(as_tuple=True)
    empty = alphas.new_zeros(inside.shape)
    values = found.new_zeros(*inside.shape, found.shape[1] - 1)
    return empty.index_put(places, alphas), values.index_put(places, found[:, 1:])


def splatted(images: Sequence[DepthImage], *, seconds: float) -> np.ndarray:
    """Semantics [X, Y, Z] of the voxels that SplattingOcc's cross entropy leads to, from hits."""
    tally, num = _counted(images), OCC3D.free
    hits = torch.from_numpy(tally.hits > 0)
    near = functional.max_pool3d(hits[None, None].float(), 3, 1, 1)[0, 0] > 0
    votes = torch.from_numpy(tally.votes / np.maximum(tally.votes.sum(axis=3, keepdims=True), 1))
    places = near.nonzero()
    centers = torch.from_numpy(OCC3D_GRID.low).float() + (places + 0.5) * OCC3D_GRID.voxel_size
    opacity = torch.where(hits, -_BESIDE, _BESIDE)[near].clone().requires_grad_()
    logits = (2 * votes[near]).clone().requires_grad_()
    counts = np.bincount(np.concatenate([one.labels[one.labels < num] for one in images]), minlength=num)
    weights = torch.from_numpy(class_weights(np.maximum(counts, 2))).float()
    optimiser, goes_on, turn = torch.optim.Adam([opacity, logits], lr=_RATE), _until(seconds), 0
    while goes_on():
        image = images[turn % len(images)]
        turn += 1
        labels = torch.from_numpy(_of_half(image).astype(np.int64))
        K = torch.from_numpy(image.K).float()
        K[:2] /= 2
        T_cam_grid = torch.from_numpy(rigid.inverse(image.T_grid_cam)).float()
        kept = torch.sigmoid(opacity) > _KEPT
        gaussians = Gaussians(
            centers[kept], torch.full((int(kept.sum()),), _SIGMA), torch.sigmoid(opacity)[kept], logits[kept]
        )
        seen = splat(gaussians, T_cam_grid, K, (labels.shape[1], labels.shape[0]))
        known = labels < num
        loss = cross_entropy(seen.image[known], labels[known], weights) + _ENTROPY * entropy(seen.passing[known])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    occupied = torch.zeros(OCC3D_GRID.shape, dtype=torch.bool)
    occupied[near] = torch.sigmoid(opacity.detach()) > _HALF
    named = torch.zeros(*OCC3D_GRID.shape, num)
    named[near] = logits.detach()
    return _labelled(occupied, named)


def _of_half(image: DepthImage) -> np.ndarray:
    """Classes [H/2, W/2] uint8 of every second pixel; none where it has no depth."""
    labels = np.where(image.inverse > 0, image.labels, OCC3D.free)
    return labels[::2, ::2]
