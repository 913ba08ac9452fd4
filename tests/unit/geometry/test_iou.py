from dataclasses import replace

import numpy as np
import pytest
import slow_iou
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.geometry.boxes import CORNER_SIGNS_RDF, UprightBoxes
from vsrd_ray.geometry.iou import official_iou

CAR = np.array([4.0, 2.0, 1.5])


def boxes(centers=(0.0, 0.0, 0.0), sizes=CAR, yaws=0.0):
    """Boxes of the batch axes that the three have together."""
    batch = np.broadcast_shapes(np.shape(centers)[:-1], np.shape(sizes)[:-1], np.shape(yaws))
    return UprightBoxes(
        np.broadcast_to(centers, (*batch, 3)), np.broadcast_to(sizes, (*batch, 3)), np.broadcast_to(yaws, batch)
    )


def random_boxes(seed, count):
    rng = np.random.default_rng(seed)
    return UprightBoxes(rng.uniform(-3, 3, (count, 3)), rng.uniform(0.5, 5, (count, 3)), rng.uniform(-7, 7, count))


def test_cases_by_hand():
    # the same box; one half a length ahead; one half a height above; one turned by 90 degrees; one far away
    centers = [[0, 0, 0], [2, 0, 0], [0, 0, 0.75], [0, 0, 0], [100, 0, 0]]
    iou_3d, iou_bev = boxes(centers, yaws=[0, 0, 0, np.pi / 2, 0]).iou(boxes())
    np.testing.assert_allclose(iou_3d, [1, 1 / 3, 1 / 3, 4 / 12, 0], atol=1e-12)
    np.testing.assert_allclose(iou_bev, [1, 1 / 3, 1, 4 / 12, 0], atol=1e-12)


def test_octagon_of_two_squares():
    square = np.array([2.0, 2.0, 1.0])
    _, iou_bev = boxes(sizes=square, yaws=np.pi / 4).iou(boxes(sizes=square))
    octagon = 8 * (np.sqrt(2) - 1)
    assert iou_bev == pytest.approx(octagon / (8 - octagon), abs=1e-12)


def test_one_inside_the_other_and_boxes_without_extent():
    inner, outer = boxes(sizes=[CAR / 2, 0 * CAR], yaws=0.3), boxes(sizes=[CAR, 0 * CAR], yaws=0.3)
    iou_3d, iou_bev = inner.iou(outer)
    np.testing.assert_allclose(iou_3d, [1 / 8, 0], atol=1e-12)
    np.testing.assert_allclose(iou_bev, [1 / 4, 0], atol=1e-12)


def test_equals_the_slow_twin(monkeypatch):
    monkeypatch.setattr("vsrd_ray.geometry.iou._CHUNK", 150)
    a, b = random_boxes(0, 400), random_boxes(1, 400)
    expected = [
        slow_iou.box_iou(*((box.centers, box.dimensions_lwh, float(box.yaws)) for box in pair))
        for pair in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(np.stack(a.iou(b), axis=-1), expected, atol=1e-12)


def test_kilometres_from_the_origin_nothing_changes():
    a, b = random_boxes(2, 500), random_boxes(3, 500)
    far = np.array([2345.6, -3801.2, 115.3])
    far_a, far_b = (replace(some, centers=some.centers + far) for some in (a, b))
    near_3d, near_bev = a.iou(b)
    far_3d, far_bev = far_a.iou(far_b)
    np.testing.assert_allclose(far_3d, near_3d, atol=1e-9)
    np.testing.assert_allclose(far_bev, near_bev, atol=1e-9)
    assert near_3d.max() > 0.3  # the boxes do overlap


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.floats(-10, 10), st.floats(-np.pi, np.pi))
def test_symmetric_bounded_and_the_same_in_any_frame(seed, shift, turn):
    a, b = random_boxes(seed, 4), random_boxes(seed + 1, 4)
    R = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    moved_a, moved_b = (replace(some, centers=some.centers @ R.T + shift, yaws=some.yaws + turn) for some in (a, b))
    iou = a.iou(b)
    np.testing.assert_allclose(iou, b.iou(a), atol=1e-12)
    np.testing.assert_allclose(iou, moved_a.iou(moved_b), atol=1e-10)
    assert np.all(np.array(iou) >= 0) and np.all(np.array(iou) <= 1)


@pytest.mark.parametrize("turn", [0.0, np.pi / 2, np.pi, 0.1234, -2.5])
def test_a_box_with_itself_is_one_however_it_is_turned(turn):
    iou_3d, iou_bev = boxes(yaws=turn).iou(boxes(yaws=[turn, turn + np.pi]))
    np.testing.assert_allclose([iou_3d, iou_bev], 1, atol=1e-12)


def test_batch_axes_broadcast():
    iou_3d, iou_bev = boxes(np.zeros((5, 1, 3))).iou(boxes(np.zeros((4, 3))))
    assert iou_3d.shape == iou_bev.shape == (5, 4)
    one, _ = boxes().iou(boxes())
    assert one.shape == () and one == pytest.approx(1)
    none, _ = boxes(np.zeros((0, 3))).iou(boxes())
    assert none.shape == (0,)


def test_official_equals_the_published_implementation(shared):
    golden = np.load(shared / "reference" / "vsrd_golden.npz")
    iou_3d, iou_bev = official_iou(golden["iou_boxes_a"], golden["iou_boxes_b"])
    np.testing.assert_allclose(iou_3d, golden["official_iou_3d"], atol=1e-9)
    np.testing.assert_allclose(iou_bev, golden["official_iou_bev"], atol=1e-9)


def test_official_grows_with_the_distance_and_is_zero_apart():
    def at(x, y, z):
        return CORNER_SIGNS_RDF * [0.9, 0.75, 2.1] + np.array([x, y, z])

    near, _ = official_iou(at(2, 1, 10), at(2.3, 1.1, 10.4))
    distant, _ = official_iou(at(2, 1, 60), at(2.3, 1.1, 60.4))
    assert distant > near + 0.005
    iou_3d, iou_bev = official_iou(np.stack([at(0, 0, 9)] * 2), np.stack([at(50, 0, 9), at(0.3, 0.1, 9.4)]))
    assert iou_3d.shape == (2,) and iou_3d[0] == iou_bev[0] == 0 and iou_3d[1] > 0.3
