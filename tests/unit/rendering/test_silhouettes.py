import numpy as np
import pytest
import slow_rendering
import torch
from slow_rendering import Box

from vsrd_ray.labelers.vsrd.losses import eikonal_loss
from vsrd_ray.labelers.vsrd.parameters import Boxes, rotations_about_y
from vsrd_ray.rendering.sampling import stratified_distances
from vsrd_ray.rendering.sdf import box_distance, soft_union
from vsrd_ray.rendering.silhouettes import (
    evaluate_with_gradient,
    exclusive_transmittance,
    hierarchical_distances,
    render_sections,
)

TEMPERATURE = 0.4


@pytest.fixture(params=[(0, 1.0, 0.0), (1, 0.5, 0.3), (2, 0.15, 1.0)], ids=["first step", "midway", "last step"])
def case(request):
    """Boxes with gradients, rays that look at them from around, and annealed quantities."""
    seed, sigma, cosine_ratio = request.param
    rng = np.random.default_rng(seed)

    def leaf(array):
        return torch.as_tensor(array).requires_grad_()

    leaves = (leaf(rng.uniform(-2, 2, (3, 3))), leaf(rng.uniform(0.5, 1.5, (3, 3))), leaf(rng.normal(size=(3, 2))))
    origins = torch.as_tensor(rng.normal(size=(6, 3)))
    origins = 6 * origins / origins.norm(dim=-1, keepdim=True)
    aims = torch.as_tensor(rng.uniform(-2, 2, (6, 3)))
    directions = torch.nn.functional.normalize(aims - origins, dim=-1)
    distances = torch.as_tensor(np.sort(rng.uniform(0, 12, (6, 15)), axis=-1))
    return leaves, origins, directions, distances, {"sigma": sigma, "cosine_ratio": cosine_ratio}


def field_of(leaves):
    def field(points):
        boxes = Boxes(leaves[0], leaves[1], rotations_about_y(leaves[2]))
        return soft_union(box_distance(boxes.to_local(points), boxes.half_extents), TEMPERATURE)

    return field


def slow_render(leaves, origins, directions, distances, annealed):
    boxes = [Box(*parts) for parts in zip(leaves[0], leaves[1], rotations_about_y(leaves[2]), strict=True)]
    rays = [
        slow_rendering.render_ray(*ray, boxes=boxes, temperature=TEMPERATURE, **annealed)
        for ray in zip(origins, directions, distances, strict=True)
    ]
    return tuple(torch.stack(parts) for parts in zip(*rays, strict=True))


def test_rendering_equals_the_slow_twin_forwards(case):
    leaves, *rays, annealed = case
    rendered = render_sections(field_of(leaves), *rays, **annealed)
    labels, weights, gradients = slow_render(leaves, *rays, annealed)
    assert rendered.labels.max() > 0.1  # rays do hit something
    torch.testing.assert_close(rendered.weights, weights, rtol=0, atol=1e-12)
    torch.testing.assert_close(rendered.labels, labels, rtol=0, atol=1e-12)
    torch.testing.assert_close(rendered.gradients, gradients, rtol=0, atol=1e-10)


def test_rendering_equals_the_slow_twin_backwards(case):
    """Through labels and through the field's own gradient, to locations, extents and yaws."""
    leaves, *rays, annealed = case
    mixed = torch.as_tensor(np.random.default_rng(9).normal(size=(6, 3)))
    rendered = render_sections(field_of(leaves), *rays, **annealed)
    labels, _, gradients = slow_render(leaves, *rays, annealed)
    fast = torch.autograd.grad((mixed * rendered.labels).sum() + eikonal_loss(rendered.gradients), leaves)
    slow = torch.autograd.grad((mixed * labels).sum() + eikonal_loss(gradients), leaves)
    for ours, theirs in zip(fast, slow, strict=True):
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_hierarchical_sampling_equals_the_slow_twin(case):
    leaves, origins, directions, _, annealed = case
    near, far = torch.full((6,), 1.0).double(), torch.full((6,), 11.0).double()
    fast = hierarchical_distances(
        field_of(leaves),
        origins,
        directions,
        near=near,
        far=far,
        coarse_samples=12,
        fine_samples=9,
        generator=None,
        **annealed,
    )
    coarse = slow_rendering.even_bin_middles(1.0, 11.0, 12)
    _, weights, _ = slow_render(leaves, origins, directions, torch.tensor([coarse] * 6, dtype=torch.float64), annealed)
    # The sample at quantile 1 may lie in either of two bins by rounding.
    quantiles = [index / 8 for index in range(8)]
    for ours, ray_weights in zip(fast, weights.tolist(), strict=True):
        expected = origins.new_tensor(slow_rendering.sample_distances(coarse, ray_weights, quantiles))
        gaps = (ours[:, None] - expected).abs().amin(dim=0)
        assert gaps.max() < 1e-9
        assert (ours.diff() >= 0).all() and len(ours) == len(expected) + 1


def test_coarse_samples_alone(case):
    leaves, origins, directions, _, annealed = case
    near, far = torch.zeros(6).double(), torch.full((6,), 5.0).double()
    distances = hierarchical_distances(
        field_of(leaves),
        origins,
        directions,
        near=near,
        far=far,
        coarse_samples=8,
        fine_samples=0,
        generator=None,
        **annealed,
    )
    assert torch.equal(distances, stratified_distances(near, far, num_samples=8, generator=None))


def test_fine_samples_gather_at_the_surface():
    """A wall 5 m ahead, seen head on: half of the samples are fine ones, and they lie where the wall is."""
    wall = field_of((torch.tensor([[0.0, 0, 7]]), torch.tensor([[9.0, 9, 2]]), torch.tensor([[1.0, 0]])))
    distances = hierarchical_distances(
        wall,
        torch.zeros(1, 3),
        torch.tensor([[0.0, 0, 1]]),
        near=torch.zeros(1),
        far=torch.full((1,), 20.0),
        coarse_samples=50,
        fine_samples=50,
        sigma=0.1,
        cosine_ratio=1.0,
        generator=torch.Generator().manual_seed(0),
    )
    assert ((distances - 5).abs() < 1).sum() >= 50


def test_an_opaque_wall_takes_all_light_and_empty_space_none():
    wall = field_of((torch.tensor([[0.0, 0, 7]]), torch.tensor([[9.0, 9, 2]]), torch.tensor([[1.0, 0]])))
    distances = torch.linspace(0, 9, 400).expand(2, -1)
    directions = torch.tensor([[0.0, 0, 1], [0, 0, -1]])
    rendered = render_sections(wall, torch.zeros(2, 3), directions, distances, sigma=0.05, cosine_ratio=1.0)
    assert rendered.labels[:, 0].tolist() == pytest.approx([1, 0], abs=1e-3)
    depth = rendered.weights[0] @ (distances[0, 1:] + distances[0, :-1]) / 2
    assert depth.item() == pytest.approx(5, abs=0.05)


def test_the_nearer_of_two_boxes_hides_the_farther():
    locations = torch.tensor([[0.0, 0, 12], [0.0, 0, 6]])
    boxes = field_of((locations, torch.ones(2, 3), torch.tensor([[1.0, 0]]).expand(2, 2)))
    distances = torch.linspace(0, 16, 400)[None]
    rendered = render_sections(
        boxes, torch.zeros(1, 3), torch.tensor([[0.0, 0, 1]]), distances, sigma=0.05, cosine_ratio=1.0
    )
    assert rendered.labels[0].tolist() == pytest.approx([0, 1], abs=1e-3)


def test_no_rays_give_no_silhouettes(case):
    leaves, origins, directions, distances, annealed = case
    rendered = render_sections(field_of(leaves), origins[:0], directions[:0], distances[:0], **annealed)
    assert rendered.labels.shape == (0, 3)
    assert rendered.weights.shape == (0, 14) and rendered.gradients.shape == (0, 14, 3)


def test_transmittance_by_hand():
    alphas = torch.tensor([[0.5, 0.0, 0.2, 1.0, 0.3]])
    assert exclusive_transmittance(alphas)[0].tolist() == pytest.approx([1, 0.5, 0.5, 0.4, 0])


def test_without_differentiation_nothing_hangs_on_the_parameters():
    radius = torch.tensor(2.0, requires_grad=True)

    def ball(points):
        return points.norm(dim=-1) - radius, torch.ones(len(points), 1)

    points = torch.tensor([[3.0, 0, 4]])
    distances, shares, gradients = evaluate_with_gradient(ball, points, differentiable=False)
    assert not (distances.requires_grad or shares.requires_grad or gradients.requires_grad)
    distances, _, gradients = evaluate_with_gradient(ball, points, differentiable=True)
    assert distances.item() == 3 and gradients[0].tolist() == pytest.approx([0.6, 0, 0.8])
    assert torch.autograd.grad(distances.sum(), radius)[0].item() == -1
