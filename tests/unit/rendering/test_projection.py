import numpy as np
import pytest
import slow_projection
import torch

from vsrd_ray.geometry.boxes import CORNER_SIGNS_RDF
from vsrd_ray.geometry.cameras import MIN_DEPTH
from vsrd_ray.rendering.projection import clip_boxes, project_boxes, project_points

K = np.array([[500.0, 0, 320], [0, 450, 240], [0, 0, 1]])
SIZE = (640, 480)


def box_corners(center, half=(1.0, 0.75, 2.0), yaw=0.0):
    cos, sin = np.cos(yaw), np.sin(yaw)
    return CORNER_SIGNS_RDF * half @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]) + center


def projected(corners):
    return project_boxes(torch.as_tensor(corners), torch.as_tensor(K))


def test_points_by_hand():
    points = torch.tensor([[0.0, 0, 5], [1, 2, 10], [1, 1, -3]]).double()
    pixels = project_points(points, torch.as_tensor(K))
    assert pixels[:2].tolist() == [[320, 240], [370, 330]]
    # behind the camera: as if at the smallest depth
    assert pixels[2].tolist() == pytest.approx([(500 - 3 * 320) / MIN_DEPTH, (450 - 3 * 240) / MIN_DEPTH])


def test_a_box_seen_end_on_by_hand():
    # the near end is 2 m wide and 1.5 m high at 8 m
    expected = [320 - 62.5, 240 - 0.75 * 450 / 8, 320 + 62.5, 240 + 0.75 * 450 / 8]
    assert projected(box_corners((0, 0, 10))).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_boxes_in_front_equal_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    corners = box_corners((*rng.uniform(-5, 5, 2), rng.uniform(4, 40)), yaw=rng.uniform(-3, 3))
    assert corners[:, 2].min() > 0
    np.testing.assert_allclose(projected(corners), slow_projection.project_box(corners, K), atol=1e-9)


@pytest.mark.parametrize(
    ("center", "yaw"), [((1.5, 1, 1), 0.3), ((-2, 1.4, 0.5), 1.2), ((3, -1, 1.2), -0.5), ((-1.2, 0, 1.9), 0.0)]
)
def test_boxes_across_the_camera_plane_equal_the_slow_twin_inside_the_image(center, yaw):
    corners = box_corners(center, yaw=yaw)
    assert corners[:, 2].min() < 0 < corners[:, 2].max()
    slow = torch.as_tensor(slow_projection.project_box(corners, K))
    ours, expected = clip_boxes(projected(corners), SIZE), clip_boxes(slow, SIZE)
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert 0 < (expected[2:] - expected[:2]).prod() < 640 * 480


def test_a_box_behind_is_zero_and_one_around_the_camera_fills_the_image():
    boxes = clip_boxes(projected(np.stack([box_corners((0, 0, -10)), box_corners((0, 0, 0))])), SIZE)
    assert boxes.tolist() == [[0, 0, 0, 0], [0, 0, 640, 480]]


def test_batch_axes_and_intrinsics_broadcast():
    corners = torch.as_tensor(np.stack([box_corners((0, 0, z)) for z in (8, 10, 12, 14, 16, 18)]).reshape(2, 3, 8, 3))
    wide = torch.as_tensor(np.stack([K, K * [[2], [2], [1]]]))
    boxes = project_boxes(corners, wide[:, None])
    assert boxes.shape == (2, 3, 4)
    torch.testing.assert_close(boxes[0], projected(corners[0].numpy()))
    torch.testing.assert_close(boxes[1], 2 * projected(corners[1].numpy()))


def test_projection_is_differentiable_where_an_edge_is_cut():
    shift = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    corners = torch.as_tensor(box_corners((-2, 1.4, 0.5), yaw=1.2)) + shift
    (gradient,) = torch.autograd.grad(project_boxes(corners, torch.as_tensor(K)).clamp(-1e4, 1e4).sum(), shift)
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_clipping_by_hand():
    boxes = torch.tensor([[-10.0, 5, 700, 500], [10, 20, 30, 40]])
    assert clip_boxes(boxes, SIZE).tolist() == [[0, 5, 640, 480], [10, 20, 30, 40]]
