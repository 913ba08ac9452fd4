import math

import numpy as np
import pytest
import slow_losses
import torch

from vsrd_ray.labelers.vsrd.losses import (
    distance_iou,
    distance_iou_loss,
    eikonal_loss,
    projection_loss,
    silhouette_loss,
)


def random_boxes(seed, *batch):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 20, (*batch, 2))
    return torch.as_tensor(np.concatenate([low, low + rng.uniform(1, 20, (*batch, 2))], axis=-1))


def random_views(seed, *batch):
    return torch.as_tensor(np.random.default_rng(seed).random(batch) < 0.6)


def test_silhouette_by_hand():
    labels, masks = torch.tensor([[0.5, 0.25, 1.0, 0.0]]).double(), torch.tensor([[1.0, 0.5, 1, 1]]).double()
    expected = [math.log(2), -(math.log(0.25) + math.log(0.75)) / 2, -math.log(1 - 1e-6), -math.log(1e-6)]
    assert silhouette_loss(labels, masks)[0].tolist() == pytest.approx(expected)


def test_eikonal_by_hand():
    gradients = torch.tensor([[[3.0, 0, 4], [0, 1, 0]], [[0, 0, 2], [0, 0.5, 0]]])
    assert eikonal_loss(gradients).item() == pytest.approx((16 + 0 + 1 + 0.25) / 4)


def test_no_sections_are_no_eikonal_loss():
    """With bounds, rays can pass every box: the loss must be 0 then, with a gradient, and not a mean of nothing."""
    gradients = torch.zeros(0, 7, 3, requires_grad=True)
    loss = eikonal_loss(gradients)
    loss.backward()
    assert loss.item() == 0


def test_projection_by_hand():
    boxes = torch.tensor([[[10.0, 10, 20, 20]]])
    mask_boxes = torch.tensor([[[10.5, 13, 20, 99]]])
    seen = torch.ones(1, 1, dtype=torch.bool)
    assert projection_loss(boxes, mask_boxes, seen).item() == pytest.approx((0.125 + 2.5 + 0 + 78.5) / 4)
    assert projection_loss(boxes, mask_boxes, ~seen).item() == 0
    assert distance_iou_loss(boxes, mask_boxes, ~seen).item() == 0


def test_distance_iou_by_hand():
    a = torch.tensor([0.0, 0, 2, 2])
    same, beside, apart = a, torch.tensor([2.0, 0, 4, 2]), torch.tensor([1.0, 1, 3, 3])
    assert distance_iou(a, same).item() == pytest.approx(1)
    assert distance_iou(a, beside).item() == pytest.approx(0 - 4 / 20)
    assert distance_iou(a, apart).item() == pytest.approx(1 / 7 - 2 / 18)


@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2)])
def test_distance_iou_equals_the_slow_twin(batch):
    a, b = random_boxes(0, *batch), random_boxes(1, *batch)
    fast = distance_iou(a, b)
    assert fast.shape == batch
    for ours, one, other in zip(fast.reshape(-1), a.reshape(-1, 4), b.reshape(-1, 4), strict=True):
        assert ours.item() == pytest.approx(slow_losses.distance_iou(one, other).item(), abs=1e-12)


@pytest.mark.parametrize(
    ("fast", "slow"),
    [
        (projection_loss, slow_losses.projection_loss),
        (distance_iou_loss, slow_losses.distance_iou_loss),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_losses_equal_their_slow_twins_forwards_and_backwards(fast, slow, seed):
    boxes, mask_boxes = random_boxes(seed, 4, 3).requires_grad_(), random_boxes(seed + 10, 4, 3)
    visible = random_views(seed, 4, 3)
    visible[0, 0] = False
    ours, theirs = fast(boxes, mask_boxes, visible), slow(boxes, mask_boxes, visible)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    (gradient,), (expected,) = torch.autograd.grad(ours, boxes), torch.autograd.grad(theirs, boxes)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)
    assert (gradient[0, 0] == 0).all() and gradient.abs().max() > 0


@pytest.mark.parametrize("loss", [projection_loss, distance_iou_loss])
def test_boxes_that_are_not_seen_are_not_pulled(loss):
    boxes, mask_boxes = random_boxes(5, 2, 2).requires_grad_(), random_boxes(6, 2, 2)
    visible = torch.tensor([[True, False], [True, True]])
    (gradient,) = torch.autograd.grad(loss(boxes, mask_boxes, visible), boxes)
    assert (gradient[~visible] == 0).all()
    assert (gradient[visible] != 0).all()


def test_distance_iou_of_equal_boxes_has_a_gradient():
    """Boxes without any extent, too, as those behind the camera have none."""
    boxes = torch.tensor([[[0.0, 0, 0, 0], [1, 1, 3, 3]]], requires_grad=True)
    loss = distance_iou_loss(boxes, boxes.detach().clone(), torch.ones(1, 2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(loss, boxes)
    assert torch.isfinite(gradient).all()
