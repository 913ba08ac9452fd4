import cv2
import numpy as np
import pytest

from vsrd_ray.geometry.boxes import CORNER_SIGNS_RDF
from vsrd_ray.geometry.outlines import outline_areas

K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
SIZE = (640, 480)


def box(center, half=(1.0, 0.75, 2.0), yaw=0.0):
    cos, sin = np.cos(yaw), np.sin(yaw)
    return CORNER_SIGNS_RDF * half @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]) + center


def painted_area(corners, scale=8):
    """The obvious twin: paint the hull of many points on the box's surface that lie before the camera."""
    steps = np.linspace(0, 1, 80)
    u, v = (grid.ravel() for grid in np.meshgrid(steps, steps))
    faces = [[0, 1, 3], [4, 5, 7], [0, 1, 4], [1, 2, 5], [2, 3, 6], [3, 0, 7]]
    canvas = np.zeros((SIZE[1] * scale, SIZE[0] * scale), np.uint8)
    points = np.concatenate(
        [corners[a] + np.outer(u, corners[b] - corners[a]) + np.outer(v, corners[c] - corners[a]) for a, b, c in faces]
    )
    points = points[points[:, 2] > 0.05] @ K.T
    pixels = (points[:, :2] / points[:, 2:] + 0.5) * scale - 0.5
    hull = cv2.convexHull(pixels.astype(np.float32)).astype(np.int32)
    return cv2.fillConvexPoly(canvas, hull, 1).sum() / scale**2


def test_box_seen_end_on_by_hand():
    # the near end is 2 m wide and 1.5 m high at 8 m: 125 x 93.75 px
    assert outline_areas(box((0, 0, 10)), K, SIZE) == pytest.approx(125 * 93.75)


@pytest.mark.parametrize(
    ("center", "yaw"),
    [((2, 1, 10), 0.5), ((-6, 1, 9), 1.2), ((4, 0, 4), 0.7), ((0, 1, 40), 2.0), ((1.5, 1.4, 1.5), 0.4)],
)
def test_equals_a_painted_hull(center, yaw):
    corners = box(center, yaw=yaw)
    assert outline_areas(corners, K, SIZE) == pytest.approx(painted_area(corners), rel=0.02, abs=45)


def test_behind_beside_and_around_the_camera():
    corners = np.stack([box((0, 0, -10)), box((500, 0, 10)), box((0, 0, 0))])
    np.testing.assert_allclose(outline_areas(corners, K, SIZE), [0, 0, 640 * 480])


def test_batch_axes():
    corners = np.stack([box((0, 0, z)) for z in (8, 10, 12, 14, 16, 18)])
    areas = outline_areas(corners.reshape(2, 3, 8, 3), K, SIZE)
    assert areas.shape == (2, 3)
    np.testing.assert_array_equal(areas.ravel(), [outline_areas(one, K, SIZE) for one in corners])
