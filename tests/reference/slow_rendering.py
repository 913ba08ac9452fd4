"""Slow and obvious twins of vsrd_ray/rendering: one ray, one section, one instance at a time, in torch scalars.

Autograd goes through the scalars, so the twins have gradients too.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch


class Box(NamedTuple):
    """One box, in scalars."""

    location: torch.Tensor  # [3]
    half_extents: torch.Tensor  # [3]
    R_ref_obj: torch.Tensor  # [3, 3]


def box_distance(point_obj, half_extents):
    q = [abs(point_obj[axis]) - half_extents[axis] for axis in range(3)]
    squared = torch.zeros(()).to(point_obj)
    for component in q:
        if component > 0:
            squared = squared + component**2
    outside = torch.sqrt(squared + 1e-6)
    deepest = max(q)
    return outside + deepest if deepest < 0 else outside


def soft_union(distances, temperature):
    powers = [torch.exp(-distance / temperature) for distance in distances]
    shares = [power / sum(powers) for power in powers]
    return sum(share * distance for share, distance in zip(shares, distances, strict=True)), shares


def field(point, boxes, temperature):
    distances = []
    for box in boxes:
        offset = point - box.location
        point_obj = torch.stack([sum(box.R_ref_obj[i, j] * offset[i] for i in range(3)) for j in range(3)])
        distances.append(box_distance(point_obj, box.half_extents))
    return soft_union(distances, temperature)


def render_ray(origin, direction, distances, *, boxes, temperature, sigma, cosine_ratio):
    """Labels [N], weights [S - 1] and gradients [S - 1] of one ray (NeuS)."""
    labels = [torch.zeros(()).to(origin) for _ in boxes]
    weights, gradients = [], []
    transmittance = torch.ones(()).to(origin)
    for start, end in pairwise(distances):
        point = (origin + direction * (start + end) / 2).detach().requires_grad_()
        distance, shares = field(point, boxes, temperature)
        (gradient,) = torch.autograd.grad(distance, point, create_graph=True)
        cosine = sum(direction[axis] * gradient[axis] for axis in range(3)) / torch.sqrt((gradient**2).sum())
        slack = 0.5 - 0.5 * cosine  # never negative
        true = -cosine if cosine < 0 else 0 * cosine
        drop = ((1 - cosine_ratio) * slack + cosine_ratio * true) * (end - start) / 2
        before = 1 / (1 + torch.exp(-(distance + drop) / sigma))
        after = 1 / (1 + torch.exp(-(distance - drop) / sigma))
        alpha = (before - after) / (before + 1e-6)
        weight = transmittance * alpha
        transmittance = transmittance * (1 - alpha)
        labels = [label + weight * share for label, share in zip(labels, shares, strict=True)]
        weights.append(weight)
        gradients.append(gradient)
    return torch.stack(labels), torch.stack(weights), torch.stack(gradients)


def importance_distance(bins, weights, quantile):
    """The distance with a share `quantile` of the weights before it."""
    total, passed = sum(weights), 0.0
    for low, high, weight in zip(bins[:-1], bins[1:], weights, strict=True):
        share = weight / total
        if quantile <= passed + share:
            return low + (high - low) * (quantile - passed) / (share + 1e-6)
        passed += share
    raise AssertionError(f"no bin holds the quantile {quantile}")


def sample_distances(coarse, weights, quantiles):
    fine = [importance_distance(coarse, weights, quantile) for quantile in quantiles]
    return sorted([*coarse, *fine])


def even_bin_middles(near, far, count):
    return [near + (far - near) * (index + 0.5) / count for index in range(count)]


def cast_ray(pixel, K, T_ref_cam):
    """Origin and unit direction of the ray through a pixel of a camera without skew."""
    direction_cam = [(pixel[0] - K[0][2]) / K[0][0], (pixel[1] - K[1][2]) / K[1][1], 1.0]
    direction = [sum(T_ref_cam[i][j] * direction_cam[j] for j in range(3)) for i in range(3)]
    length = math.sqrt(sum(component**2 for component in direction))
    return [T_ref_cam[i][3] for i in range(3)], [component / length for component in direction]


def march_through_box(origin, direction, box, *, step, longest):
    """First and last distance at which a ray is inside a box, in steps; None if it never is."""
    inside = []
    for index in range(int(longest / step) + 1):
        point_obj = box.R_ref_obj.T @ (origin + index * step * direction - box.location)
        if (abs(point_obj) <= box.half_extents).all():
            inside.append(index * step)
    return (inside[0], inside[-1]) if inside else None
