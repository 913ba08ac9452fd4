import numpy as np
import pytest
from scipy.optimize import linprog

from vsrd_ray.labelers.vsrd.bodies import BODIES, HATCHBACK, SALOON, TYPICAL_HALF_EXTENTS

each_body = pytest.mark.parametrize("body", BODIES, ids=["saloon", "hatchback"])


def in_hull(point, vertices):
    """Whether some convex combination of the vertices is the point."""
    equal = np.concatenate([vertices.T, np.ones((1, len(vertices)))])
    return linprog(np.zeros(len(vertices)), A_eq=equal, b_eq=[*point, 1]).status == 0


@each_body
def test_bodies_touch_their_box_on_every_side(body):
    np.testing.assert_allclose(body.vertices.min(axis=0), -1)
    np.testing.assert_allclose(body.vertices.max(axis=0), 1)


@each_body
def test_left_and_right_are_alike(body):
    points = np.random.default_rng(0).uniform(-1.3, 1.3, (200, 3))
    mirrored = body.signed_distances(points * (-1, 1, 1), TYPICAL_HALF_EXTENTS)
    np.testing.assert_allclose(body.signed_distances(points, TYPICAL_HALF_EXTENTS), mirrored, atol=1e-12)


@each_body
@pytest.mark.parametrize(
    ("unit_point", "is_inside"),
    [
        ((0, 0, 0), True),
        ((0, 0.3, 0.75), True),  # under the bonnet
        ((0, -0.5, 0.8), False),  # above the bonnet
        ((0, -0.9, -0.2), True),  # under the roof
        ((0.95, -0.9, -0.2), False),  # beside the roof
        ((0, 0.9, 0), False),  # under the sill, in the air
        ((0.8, 0.9, 0.58), True),  # in a front wheel
        ((-0.8, 0.9, -0.58), True),  # in a rear wheel
        ((0.98, 0.98, 0.98), False),  # the box's corner
    ],
)
def test_what_is_inside(body, unit_point, is_inside):
    distance = body.signed_distances(np.array([unit_point]) * TYPICAL_HALF_EXTENTS, TYPICAL_HALF_EXTENTS)
    assert (distance[0] < 0) == is_inside


def test_a_hatchback_goes_on_where_a_saloon_has_its_boot():
    above_boot = np.array([[0, -0.5, -0.85]]) * TYPICAL_HALF_EXTENTS
    assert SALOON.signed_distances(above_boot, TYPICAL_HALF_EXTENTS)[0] > 0.05
    assert HATCHBACK.signed_distances(above_boot, TYPICAL_HALF_EXTENTS)[0] < -0.05


@each_body
def test_inside_means_in_one_of_the_solids(body):
    points = np.random.default_rng(1).uniform(-1.1, 1.1, (60, 3))
    half_extents = np.array([0.9, 0.8, 2.0])
    distances = body.signed_distances(points * half_extents, half_extents)
    inside = [any(in_hull(point, solid) for solid in body.solids) for point in points]
    np.testing.assert_array_equal(distances < 0, inside)
    assert 5 < sum(inside) < 55


@each_body
def test_distances_beside_a_face_are_metres(body):
    # the roof is flat at the top of the box
    above = np.array([[0, -1, -0.2]]) * TYPICAL_HALF_EXTENTS - (0, 0.25, 0)
    assert body.signed_distances(above, TYPICAL_HALF_EXTENTS)[0] == pytest.approx(0.25, abs=1e-9)
