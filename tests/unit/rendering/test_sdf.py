import numpy as np
import pytest
import slow_rendering
import torch

from vsrd_ray.rendering.sdf import box_distance, soft_union

HALF = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)


def random_tensor(*shape, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((4, 0, 0), 3.0),  # beside a face
        ((4, 6, 0), 5.0),  # beside an edge
        ((-2, 4, -5), 3.0),  # beside a corner
        ((0, 0, 0), -1.0),  # the middle: as deep as the nearest face
        ((0.5, 0, 2.9), -0.1),
        ((1, 0, 0), 0.0),  # on a face
    ],
)
def test_distances_by_hand(point, expected):
    distance = box_distance(torch.tensor([[point]], dtype=torch.float64), HALF)
    assert distance.item() == pytest.approx(expected, abs=1.001e-3)
    assert distance.item() >= expected  # the root makes distances too long, never too short


def test_box_distance_equals_the_slow_twin_forwards_and_backwards():
    points = (3 * random_tensor(3, 20, 3)).requires_grad_()
    half_extents = random_tensor(3, 3, seed=1).abs().add(0.3).requires_grad_()
    fast = box_distance(points, half_extents)
    slow = torch.stack(
        [torch.stack([slow_rendering.box_distance(p, half_extents[n]) for p in points[n]]) for n in range(3)]
    )
    assert (fast < 0).any() and (fast > 0).any()
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-12)
    weights = random_tensor(3, 20, seed=2)
    for ours, theirs in zip(
        torch.autograd.grad((weights * fast).sum(), (points, half_extents)),
        torch.autograd.grad((weights * slow).sum(), (points, half_extents)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_gradient_exists_inside_where_no_face_is_crossed():
    point = torch.tensor([[[0.2, 0.1, 0.3]]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(box_distance(point, HALF).sum(), point)
    torch.testing.assert_close(gradient[0, 0], torch.tensor([1.0, 0, 0], dtype=torch.float64))


def test_soft_union_by_hand():
    distances = torch.tensor([[1.0, 2.0], [1.0, 5.0]], dtype=torch.float64)
    union, shares = soft_union(distances, temperature=1.0)
    far = 1 / (1 + np.exp(3))
    assert union.tolist() == pytest.approx([1.0, 2 * (1 - far) + 5 * far])
    assert shares[0].tolist() == [0.5, 0.5]
    assert shares[1].tolist() == pytest.approx([1 - far, far])


def test_soft_union_equals_the_slow_twin():
    distances = 2 * random_tensor(4, 9)
    union, shares = soft_union(distances, temperature=0.7)
    for p in range(9):
        slow_union, slow_shares = slow_rendering.soft_union(list(distances[:, p]), 0.7)
        torch.testing.assert_close(union[p], slow_union)
        torch.testing.assert_close(shares[p], torch.stack(slow_shares))


def test_a_cold_union_is_the_minimum():
    distances = random_tensor(3, 50)
    union, shares = soft_union(distances, temperature=1e-3)
    torch.testing.assert_close(union, distances.amin(dim=0), rtol=0, atol=2e-3)
    assert (shares.argmax(dim=-1) == distances.argmin(dim=0)).all()
