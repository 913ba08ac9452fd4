import numpy as np
import pytest
import slow_iou
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.geometry.boxes import CORNER_SIGNS_RDF
from vsrd_ray.geometry.iou import box_iou_3d, official_iou

CAR = np.array([4.0, 2.0, 1.5])


def random_boxes(seed, count):
    rng = np.random.default_rng(seed)
    return rng.uniform(-3, 3, (count, 3)), rng.uniform(0.5, 5, (count, 3)), rng.uniform(-7, 7, count)


def test_cases_by_hand():
    zero, up = np.zeros(3), np.array([0, 0, 0.75])
    # the same box; one half a length ahead; one half a height above; one turned by 90 degrees; one far away
    centers = np.stack([zero, [2, 0, 0], up, zero, [100, 0, 0]])
    yaws = np.array([0, 0, 0, np.pi / 2, 0])
    iou_3d, iou_bev = box_iou_3d(centers, CAR, yaws, zero, CAR, 0.0)
    np.testing.assert_allclose(iou_3d, [1, 1 / 3, 1 / 3, 4 / 12, 0], atol=1e-12)
    np.testing.assert_allclose(iou_bev, [1, 1 / 3, 1, 4 / 12, 0], atol=1e-12)


def test_octagon_of_two_squares():
    square = np.array([2.0, 2.0, 1.0])
    _, iou_bev = box_iou_3d(np.zeros(3), square, np.pi / 4, np.zeros(3), square, 0.0)
    octagon = 8 * (np.sqrt(2) - 1)
    assert iou_bev == pytest.approx(octagon / (8 - octagon), abs=1e-12)


def test_one_inside_the_other_and_boxes_without_extent():
    half = CAR / 2
    iou_3d, iou_bev = box_iou_3d(
        np.zeros(3), np.stack([half, 0 * CAR]), 0.3, np.zeros(3), np.stack([CAR, 0 * CAR]), 0.3
    )
    np.testing.assert_allclose(iou_3d, [1 / 8, 0], atol=1e-12)
    np.testing.assert_allclose(iou_bev, [1 / 4, 0], atol=1e-12)


def test_equals_the_slow_twin():
    a, b = random_boxes(0, 400), random_boxes(1, 400)
    pairs = zip(zip(*a, strict=True), zip(*b, strict=True), strict=True)
    expected = [slow_iou.box_iou(pair_a, pair_b) for pair_a, pair_b in pairs]
    np.testing.assert_allclose(np.stack(box_iou_3d(*a, *b), axis=-1), expected, atol=1e-12)


def test_kilometres_from_the_origin_nothing_changes():
    a, b = random_boxes(2, 500), random_boxes(3, 500)
    far = np.array([2345.6, -3801.2, 115.3])
    near_3d, near_bev = box_iou_3d(*a, *b)
    far_3d, far_bev = box_iou_3d(a[0] + far, *a[1:], b[0] + far, *b[1:])
    np.testing.assert_allclose(far_3d, near_3d, atol=1e-9)
    np.testing.assert_allclose(far_bev, near_bev, atol=1e-9)
    assert near_3d.max() > 0.3  # the boxes do overlap


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.floats(-10, 10), st.floats(-np.pi, np.pi))
def test_symmetric_bounded_and_the_same_in_any_frame(seed, shift, turn):
    (ca, da, ya), (cb, db, yb) = random_boxes(seed, 4), random_boxes(seed + 1, 4)
    iou = box_iou_3d(ca, da, ya, cb, db, yb)
    R = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    moved = box_iou_3d(ca @ R.T + shift, da, ya + turn, cb @ R.T + shift, db, yb + turn)
    np.testing.assert_allclose(iou, box_iou_3d(cb, db, yb, ca, da, ya), atol=1e-12)
    np.testing.assert_allclose(iou, moved, atol=1e-10)
    assert np.all(np.array(iou) >= 0) and np.all(np.array(iou) <= 1)


@pytest.mark.parametrize("turn", [0.0, np.pi / 2, np.pi, 0.1234, -2.5])
def test_a_box_with_itself_is_one_however_it_is_turned(turn):
    sizes = np.array([CAR, CAR])
    iou_3d, iou_bev = box_iou_3d(np.zeros((2, 3)), sizes, turn, np.zeros((2, 3)), sizes, turn + np.array([0, np.pi]))
    np.testing.assert_allclose([iou_3d, iou_bev], 1, atol=1e-12)


def test_batch_axes_broadcast():
    iou_3d, iou_bev = box_iou_3d(np.zeros((5, 1, 3)), CAR, 0.0, np.zeros((4, 3)), CAR, np.zeros((5, 4)))
    assert iou_3d.shape == iou_bev.shape == (5, 4)
    scalar, _ = box_iou_3d(np.zeros(3), CAR, 0.0, np.zeros(3), CAR, 0.0)
    assert scalar.shape == () and scalar == pytest.approx(1)
    assert box_iou_3d(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))[
        0
    ].shape == (0,)


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
