"""The residual distance field, and the hypernetwork that makes its weights from an embedding (VSRD section 3.1).

Shapes: N instances, P points, K frequencies, D encoded size (6 K).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm
from torch.nn.utils.parametrizations import weight_norm

from vsrd_ray.labelers.vsrd.bodies import Body
from vsrd_ray.labelers.vsrd.config import FieldSettings
from vsrd_ray.rendering.sdf import box_distance

# Half of width, height and length, metres, of the box that fields which scale with theirs are measured in: a car's.
TYPICAL_HALF_EXTENTS = (0.87, 0.77, 2.1)


def encode_positions(
    positions: Tensor,  # [..., 3]
    num_frequencies: int,
) -> Tensor:
    """Positional encoding [..., 6 K]: for each coordinate, for each frequency 2^k pi, its cosine and sine."""
    frequencies = torch.pi * 2.0 ** torch.arange(num_frequencies, dtype=positions.dtype, device=positions.device)
    angles = positions[..., None] * frequencies
    return torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(start_dim=-3)


def layer_shapes(settings: FieldSettings) -> list[tuple[int, int]]:
    """(outputs, inputs + 1) of the field's layers; the last column is the bias."""
    sizes = [6 * settings.frequencies, *settings.hidden_sizes, 1]
    return [(outputs, inputs + 1) for inputs, outputs in pairwise(sizes)]


def residual_distances(
    weights: Tensor,  # [N, number of weights], the layers of `layer_shapes` one after the other
    points_obj: Tensor,  # [N, P, 3] metres, in each box's own frame
    settings: FieldSettings,
    *,
    half_extents: Tensor,  # [N, 3] metres; of use only where fields scale with their box
) -> Tensor:
    """Residual distances [N, P] in (0, 1) m, to be added to the boxes' own.

    An MLP of the encoded position with LayerNorm and GELU before every layer but the first; mirrored at the plane
    x = 0, so that left and right of a car look alike.
    """
    if settings.scale_with_box:
        points_obj = points_obj / half_extents[:, None] * half_extents.new_tensor(TYPICAL_HALF_EXTENTS)
    if settings.mirror:
        points_obj = torch.cat([points_obj[..., :1].abs(), points_obj[..., 1:]], dim=-1)
    hidden = encode_positions(points_obj / settings.position_scale, settings.frequencies)
    shapes = layer_shapes(settings)
    layers = weights.split([outputs * inputs for outputs, inputs in shapes], dim=-1)
    for depth, (layer, (outputs, inputs)) in enumerate(zip(layers, shapes, strict=True)):
        if depth > 0:
            hidden = gelu(layer_norm(hidden, hidden.shape[-1:]))
        matrix = layer.unflatten(-1, (outputs, inputs))
        hidden = torch.baddbmm(matrix[:, None, :, -1], hidden, matrix[..., :-1].transpose(-1, -2))
    return torch.sigmoid(hidden[..., 0] + settings.logit_offset)


class HyperNetwork(nn.Module):
    """Embeddings [N, E] to the weights [N, W] of each instance's residual field; shared by the instances of a group."""

    def __init__(self, settings: FieldSettings) -> None:
        super().__init__()
        sizes = [settings.embedding_size] + [settings.hyper_width] * settings.hyper_layers
        num_weights = sum(outputs * inputs for outputs, inputs in layer_shapes(settings))
        self.hidden = nn.ModuleList(
            nn.Sequential(weight_norm(nn.Linear(inputs, outputs)), nn.LayerNorm(outputs), nn.GELU())
            for inputs, outputs in pairwise(sizes)
        )
        self.output = weight_norm(nn.Linear(sizes[-1], num_weights))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Weights [N, W]."""
        for block in self.hidden:
            embeddings = block(embeddings)
        return self.output(embeddings)


@dataclass(frozen=True)
class FieldStart:
    """What the residual fields of every group start from."""

    hypernetwork: dict[str, Tensor]  # state
    embeddings: Tensor  # [B, E], one for each kind of body


def random_start(settings: FieldSettings, *, num_bodies: int = 1, seed: int) -> FieldStart:
    """The published start: a fresh hypernetwork, and one embedding for all instances, whatever their body."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hypernetwork = HyperNetwork(settings)
        embedding = torch.rand(settings.embedding_size)
    return FieldStart(hypernetwork.state_dict(), embedding.expand(num_bodies, -1).clone())


def body_start(
    settings: FieldSettings, bodies: Sequence[Body], *, seed: int, steps: int = 400, num_points: int = 2048
) -> FieldStart:
    """Fields that carve bodies out of boxes: an embedding for each body, fitted together with the hypernetwork.

    Supervised by the difference of the body's and the box's signed distance, around a box of typical size.
    """
    start = random_start(settings, num_bodies=len(bodies), seed=seed)
    hypernetwork = HyperNetwork(settings)
    hypernetwork.load_state_dict(start.hypernetwork)
    noise = torch.rand(start.embeddings.shape, generator=torch.Generator().manual_seed(seed))
    embeddings = (start.embeddings + 0.1 * noise).requires_grad_()
    half_extents = np.array(TYPICAL_HALF_EXTENTS)
    random = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(
        [{"params": [embeddings], "lr": 1e-2}, {"params": hypernetwork.parameters(), "lr": 2e-3}]
    )
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.02 ** (1 / steps))
    for _ in range(steps):
        points = random.uniform(-1, 1, (num_points, 3)) * (half_extents + 0.5)
        distances = np.stack([body.signed_distances(points, half_extents) for body in bodies])
        points_obj = torch.as_tensor(points, dtype=torch.float32).expand(len(bodies), -1, -1)
        extents = torch.tensor(TYPICAL_HALF_EXTENTS).expand(len(bodies), 3)
        target = torch.as_tensor(distances, dtype=torch.float32) - box_distance(points_obj, extents)
        residuals = residual_distances(hypernetwork(embeddings), points_obj, settings, half_extents=extents)
        loss = (residuals - target.clamp(0, 1)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    return FieldStart(hypernetwork.state_dict(), embeddings.detach())
