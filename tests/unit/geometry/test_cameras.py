import numpy as np
import pytest
import slow_projection
import torch

from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.geometry.cameras import box_areas, box_iou, clip_boxes, project_boxes, shared_areas
from vsrd_ray.rendering import projection

K = np.array([[500.0, 0, 320], [0, 450, 240], [0, 0, 1]])
SIZE = (640, 480)
RDF = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])  # from x forward, y left, z up


def corners(seed, *, depths, shape=()):
    """Corners [..., 8, 3] of cars before a camera, or about it."""
    rng = np.random.default_rng(seed)
    centers = np.stack([rng.uniform(*depths, shape), rng.uniform(-6, 6, shape), rng.uniform(-2, 1, shape)], axis=-1)
    sizes = rng.uniform([3, 1.5, 1.3], [5, 2, 2], (*shape, 3))
    return UprightBoxes(centers, sizes, rng.uniform(-3, 3, shape)).corners() @ RDF.T


@pytest.mark.parametrize("seed", range(5))
def test_boxes_in_front_equal_the_slow_twin(seed):
    box = corners(seed, depths=(6, 40))
    assert box[:, 2].min() > 0
    np.testing.assert_allclose(project_boxes(box, K), slow_projection.project_box(box, K), atol=1e-9)


@pytest.mark.parametrize("depths", [(6, 40), (-3, 3), (-40, -6), (-20, 20)])
def test_boxes_equal_those_of_tensors(depths):
    """Also about the camera, where edges are cut, and behind it."""
    boxes = corners(7, depths=depths, shape=(4, 50))
    wide = np.stack([K, K * [[2], [2], [1]], K, K])
    expected = projection.project_boxes(torch.from_numpy(boxes), torch.from_numpy(wide)[:, None]).numpy()
    ours = project_boxes(boxes, wide[:, None])
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(
        clip_boxes(expected, SIZE), projection.clip_boxes(torch.from_numpy(expected), SIZE).numpy()
    )
    assert (ours == 0).all() == (depths == (-40, -6))


def test_clipping_and_iou_by_hand():
    boxes = np.array([[-10.0, 5, 700, 500], [10, 20, 30, 40]])
    assert clip_boxes(boxes, SIZE).tolist() == [[0, 5, 640, 480], [10, 20, 30, 40]]
    a = np.array([[0.0, 0, 2, 2]])
    b = np.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6], [1, 1, 1, 1]])
    assert box_iou(a, b).tolist() == pytest.approx([1, 1 / 7, 0, 0])
    assert shared_areas(a, b).tolist() == [4, 1, 0, 0] and box_areas(b).tolist() == [4, 4, 1, 0]
    empty = np.zeros((1, 4))
    assert box_iou(empty, empty).tolist() == [0]
    unknown = np.full((1, 4), np.nan)
    assert np.isnan(box_iou(np.concatenate([a, unknown]), unknown)).all()
