import numpy as np
import pytest

from vsrd_ray.visualization import birdseye


def test_all_points_fit_and_the_direction_points_right():
    points = np.array([[1000.0, 2000.0], [1000.0, 2050.0], [990.0, 2020.0]])
    plan = birdseye.fit_plan(points, (500, 200), right=np.array([0.0, 1.0]), margin=2.0)
    pixels = plan.to_pixels(points)
    assert (pixels >= 0).all() and (pixels <= [500, 200]).all()
    assert pixels[1, 0] > pixels[0, 0] and pixels[1, 1] == pytest.approx(pixels[0, 1])
    # looking along +y seen from above, smaller x lies to the left: upwards in the picture
    assert pixels[2, 1] < pixels[0, 1]
    assert np.linalg.norm(pixels[1] - pixels[0]) == pytest.approx(50 * plan.scale)


def test_grid_lines_lie_at_round_distances():
    plan = birdseye.fit_plan(np.array([[0.0, 0], [40, 20]]), (800, 400), right=np.array([1.0, 0.0]), margin=0.0)
    empty = plan.image.copy()
    birdseye.draw_grid(plan)
    row = (plan.image != empty).any(axis=-1)[53]  # between two horizontal lines
    # 20 px a metre: a line each 5 m, that is each 100 px
    assert set(np.round(np.nonzero(row)[0] / 100).astype(int)) >= set(range(8))
    assert row.sum() < 40


def test_footprints_camera_and_scale_are_drawn_in_place():
    plan = birdseye.fit_plan(np.array([[0.0, -10], [40, 10]]), (800, 400), right=np.array([1.0, 0.0]), margin=0.0)
    footprint = np.array([[[22.0, 1.0], [22, -1], [18, -1], [18, 1]]])
    birdseye.draw_footprints(plan, footprint, [(0, 0, 255)])
    assert tuple(plan.image[200, 370]) != tuple(plan.image[100, 400])  # inside, behind the heading mark
    before = plan.image.copy()
    birdseye.draw_camera(plan, np.array([5.0, 0]), np.array([1.0, 0]), view_angle=1.0, reach=5.0)
    columns = np.nonzero((plan.image != before).any(axis=(0, 2)))[0]
    assert 90 <= columns.min() <= 100 and 195 <= columns.max() <= 205
    before = plan.image.copy()
    birdseye.draw_scale(plan)
    assert np.nonzero((plan.image != before).any(axis=(0, 2)))[0].min() > 650


def test_view_angle_of_a_right_angle():
    K = np.array([[320.0, 0, 320], [0, 320, 240], [0, 0, 1]])
    assert birdseye.horizontal_view(K, (640, 480)) == pytest.approx(np.pi / 2)
