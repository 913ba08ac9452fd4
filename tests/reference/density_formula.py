"""Weights of the golden density network, made by the formula that its figures were made with."""

import numpy as np
import torch

from vsrd_ray.labelers.density.networks.config import NetworkSettings

TINY = NetworkSettings(
    backbone="resnet18",
    decoder_channels=(4, 4, 4, 8, 8),
    num_features=4,
    teacher_hidden=16,
    teacher_fused=4,
    student_hidden=8,
)


def golden_state(golden):
    """The published names and their weights, float64; checked against the golden sums."""
    state = {}
    for place, (name, text) in enumerate(zip(golden["net_keys"], golden["net_shapes"], strict=True)):
        values = _values(place, str(name), tuple(map(int, text.split(","))))
        first, last, total = golden["net_check"][place]
        assert abs(values.flat[0] - first) < 1e-12
        assert abs(values.flat[-1] - last) < 1e-12
        assert abs(values.sum() - total) < 1e-9
        state[f"renderer.net.{name}"] = torch.from_numpy(values)
    return state


def _values(place, name, shape):
    x = ((np.arange(np.prod(shape), dtype=np.uint64) + 1000003 * place) % 2**32).astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> shift)) * np.uint32(factor)
    u = (x ^ (x >> 16)).astype(np.float64) / 2**32
    s = 2 * u - 1
    if name.endswith("running_var"):
        return (1 + u / 2).reshape(shape)
    if name.endswith(("running_mean", "bias")):
        return (s / 10).reshape(shape)
    if len(shape) == 1:
        return 1 + s / 5
    return (s * np.sqrt(6 / np.prod(shape[1:]))).reshape(shape)
