import math

import numpy as np
import pytest
import torch

from vsrd_ray.labelers.vsrd.config import FieldSettings
from vsrd_ray.labelers.vsrd.priors import load_prior
from vsrd_ray.labelers.vsrd.residual import (
    TYPICAL_HALF_EXTENTS,
    HyperNetwork,
    body_start,
    encode_positions,
    layer_shapes,
    random_start,
    residual_distances,
)
from vsrd_ray.rendering.sdf import box_distance

SMALL = FieldSettings(embedding_size=8, hyper_width=8, hyper_layers=2, hidden_sizes=(8, 8), frequencies=3)
CARVED = FieldSettings(scale_with_box=True, position_scale=10.0, start="body")
BODIES = [load_prior(name).body for name in ("car", "box")]
TYPICAL = torch.as_tensor(TYPICAL_HALF_EXTENTS, dtype=torch.float32)[None]


def random_points(count, *, instances=1, seed=0):
    points = np.random.default_rng(seed).uniform(-1.2, 1.2, (instances, count, 3)) * TYPICAL_HALF_EXTENTS
    return torch.as_tensor(points, dtype=torch.float32)


def random_weights(settings, instances, seed=0):
    count = sum(outputs * inputs for outputs, inputs in layer_shapes(settings))
    return torch.randn(instances, count, generator=torch.Generator().manual_seed(seed))


def residuals(settings, weights, points, half_extents=TYPICAL):
    return residual_distances(weights, points, settings, half_extents=half_extents.expand(len(weights), 3))


def test_encoding_by_hand():
    encoded = encode_positions(torch.tensor([0.5, 0.0, 0.25], dtype=torch.float64), 2)
    half = math.sqrt(0.5)
    # for each coordinate and each frequency (pi, 2 pi): cosine, sine
    expected = [0, 1, -1, 0, 1, 0, 1, 0, half, half, 0, 1]
    assert encoded.tolist() == pytest.approx(expected, abs=1e-12)


def test_published_sizes():
    assert layer_shapes(FieldSettings()) == [(16, 49), (16, 17), (16, 17), (16, 17), (1, 17)]
    assert HyperNetwork(FieldSettings())(torch.zeros(3, 256)).shape == (3, 1617)


def test_residuals_equal_a_plain_network_for_each_instance():
    weights, points = random_weights(SMALL, 2), random_points(5, instances=2)
    fast = residuals(SMALL, weights, points)
    for n in range(2):
        mirrored = torch.cat([points[n][:, :1].abs(), points[n][:, 1:]], dim=-1)
        hidden, start = encode_positions(mirrored / 100, 3), 0
        for depth, (outputs, inputs) in enumerate(layer_shapes(SMALL)):
            layer = weights[n, start : start + outputs * inputs].reshape(outputs, inputs)
            start += outputs * inputs
            if depth > 0:
                mean, variance = hidden.mean(dim=-1, keepdim=True), hidden.var(dim=-1, keepdim=True, correction=0)
                normal = (hidden - mean) / torch.sqrt(variance + 1e-5)
                hidden = normal * (1 + torch.erf(normal / math.sqrt(2))) / 2
            hidden = hidden @ layer[:, :-1].T + layer[:, -1]
        torch.testing.assert_close(fast[n], 1 / (1 + torch.exp(1 - hidden[:, 0])))


def test_residuals_only_shrink_a_surface_and_by_less_than_a_metre():
    values = residuals(FieldSettings(), 0.3 * random_weights(FieldSettings(), 3), random_points(200, instances=3))
    assert (values > 0).all() and (values < 1).all()


@pytest.mark.parametrize("mirror", [True, False])
def test_fields_are_mirrored_at_the_length_axis_if_asked(mirror):
    settings = SMALL.model_copy(update={"mirror": mirror, "position_scale": 5.0})
    weights, points = random_weights(settings, 1), random_points(50)
    other_side = residuals(settings, weights, points * torch.tensor([-1.0, 1, 1]))
    assert torch.allclose(residuals(settings, weights, points), other_side) == mirror


def test_fields_that_scale_with_their_box_look_alike_in_every_box():
    settings = SMALL.model_copy(update={"scale_with_box": True, "position_scale": 5.0})
    weights, points = random_weights(settings, 1), random_points(50)
    stretch = torch.tensor([1.1, 0.8, 1.2])
    typical = residuals(settings, weights, points)
    torch.testing.assert_close(residuals(settings, weights, points * stretch, TYPICAL * stretch), typical)
    # in metres, nothing changes with the box
    metric = settings.model_copy(update={"scale_with_box": False})
    torch.testing.assert_close(residuals(metric, weights, points, TYPICAL * stretch), typical)


@pytest.fixture(scope="module")
def fields():
    return body_start(CARVED, BODIES, seed=0, steps=300, num_points=1024)


def carved(fields, points):
    """Signed distances [B, P] of typical boxes carved by the fields, and the residuals that carve."""
    hypernetwork = HyperNetwork(CARVED)
    hypernetwork.load_state_dict(fields.hypernetwork)
    points = points.expand(len(BODIES), -1, -1)
    with torch.no_grad():
        added = residuals(CARVED, hypernetwork(fields.embeddings), points)
        return box_distance(points, TYPICAL.expand(len(BODIES), 3)) + added, added


def test_a_body_start_carves_bodies_out_of_boxes(fields):
    points = random_points(4000)
    distances, _ = carved(fields, points)
    for body, ours in zip(BODIES, distances.numpy(), strict=True):
        expected = body.signed_distances(points[0].numpy(), np.array(TYPICAL_HALF_EXTENTS))
        near = np.abs(expected) < 0.2
        assert near.sum() > 500
        assert np.abs(ours - expected)[near].mean() < 0.03
    # under the sill, above a car's bonnet, where a lorry goes on; in the lower body, in the cabin
    probes = torch.tensor([[[0, 0.92, 0], [0, -0.65, 0.55], [0, 0.3, 0.7], [0, -0.6, -0.2]]]) * TYPICAL
    outside = carved(fields, probes)[0] > 0
    assert outside.tolist() == [[True, True, False, False], [True, False, False, False]]


def test_a_body_start_hangs_on_its_seed_alone():
    first = body_start(SMALL, BODIES, seed=1, steps=3, num_points=16)
    torch.rand(5)
    again, other = (body_start(SMALL, BODIES, seed=seed, steps=3, num_points=16) for seed in (1, 2))
    assert torch.equal(first.embeddings, again.embeddings)
    assert not torch.equal(first.embeddings, other.embeddings)
    for name, tensor in first.hypernetwork.items():
        assert torch.equal(tensor, again.hypernetwork[name])


def test_a_random_start_has_one_embedding_for_all_and_leaves_other_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    start = random_start(SMALL, num_bodies=2, seed=0)
    assert torch.equal(torch.rand(3), expected)
    assert start.embeddings.shape == (2, 8)
    assert torch.equal(start.embeddings[0], start.embeddings[1])
    assert (start.embeddings >= 0).all() and (start.embeddings < 1).all()
