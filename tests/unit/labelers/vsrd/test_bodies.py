import numpy as np
import pytest
from scipy.optimize import linprog

from vsrd_ray.labelers.vsrd.bodies import FAMILIES, SOLID_SIZES, random_box_body, random_car

HALF_EXTENTS = np.array([0.87, 0.77, 2.1])
SEEDS = range(40)
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def bodies_of(family, seeds=SEEDS):
    return [family(np.random.default_rng(seed)) for seed in seeds]


def in_hull(point, vertices):
    """Whether some convex combination of the vertices is the point."""
    equal = np.concatenate([vertices.T, np.ones((1, len(vertices)))])
    return linprog(np.zeros(len(vertices)), A_eq=equal, b_eq=[*point, 1]).status == 0


def distances_of(bodies, unit_point):
    return [body.signed_distances(np.array([unit_point]) * HALF_EXTENTS, HALF_EXTENTS)[0] for body in bodies]


@each_family
def test_bodies_touch_their_box_on_every_side(family):
    for body in bodies_of(family, range(500)):
        np.testing.assert_allclose(body.vertices.min(axis=0), -1, rtol=0, atol=1e-12)
        np.testing.assert_allclose(body.vertices.max(axis=0), 1, rtol=0, atol=1e-12)


@each_family
def test_bodies_have_the_same_solids_in_the_same_order(family):
    for body in bodies_of(family):
        assert tuple(map(len, body.solids)) == SOLID_SIZES
        lower, cabin, *wheels = body.solids
        assert cabin[:, 1].min() == -1 < lower[:, 1].min()
        assert [wheel[:, 1].max() for wheel in wheels] == [1] * 4
        sides = [tuple(np.sign(wheel.mean(axis=0)[[0, 2]])) for wheel in wheels]
        assert sides == [(1, 1), (1, -1), (-1, 1), (-1, -1)]


@each_family
def test_left_and_right_are_alike(family):
    points = np.random.default_rng(0).uniform(-1.3, 1.3, (200, 3))
    for body in bodies_of(family):
        mirrored = body.signed_distances(points * (-1, 1, 1), HALF_EXTENTS)
        np.testing.assert_allclose(body.signed_distances(points, HALF_EXTENTS), mirrored, atol=1e-12)


@pytest.mark.parametrize(
    ("unit_point", "is_inside"),
    [
        ((0, 0, 0), True),
        ((0, 0.35, 0.75), True),  # under the bonnet
        ((0, -0.6, 0.9), False),  # above the bonnet
        ((0, -0.8, -0.2), True),  # under the roof
        ((0.95, -0.9, -0.2), False),  # beside the roof
        ((0, 0.9, 0), False),  # under the sill, in the air
        ((0.8, 0.9, 0.58), True),  # in a front wheel
        ((-0.8, 0.9, -0.58), True),  # in a rear wheel
        ((0.98, 0.98, 0.98), False),  # the box's corner
    ],
)
def test_what_is_inside_of_most_cars(unit_point, is_inside):
    inside = np.array(distances_of(bodies_of(random_car), unit_point)) < 0
    assert (inside == is_inside).mean() > 0.9


def test_some_cars_go_on_where_others_have_their_boot():
    above_the_boot = np.array(distances_of(bodies_of(random_car), (0, -0.5, -0.85)))
    assert (above_the_boot > 0.05).any() and (above_the_boot < -0.05).any()


def test_lorries_fill_more_of_their_box_than_cars():
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3)) * HALF_EXTENTS
    cars, boxes = (
        np.mean([body.signed_distances(points, HALF_EXTENTS) < 0 for body in bodies_of(family)])
        for family in (random_car, random_box_body)
    )
    assert 0.4 < cars < boxes - 0.05 < 0.9


@each_family
def test_inside_means_in_one_of_the_solids(family):
    points = np.random.default_rng(1).uniform(-1.1, 1.1, (60, 3))
    half_extents = np.array([0.9, 0.8, 2.0])
    for body in bodies_of(family, range(2)):
        distances = body.signed_distances(points * half_extents, half_extents)
        inside = [any(in_hull(point, solid) for solid in body.solids) for point in points]
        np.testing.assert_array_equal(distances < 0, inside)
        assert 5 < sum(inside) < 55


@each_family
def test_distances_beside_a_face_are_metres(family):
    for body in bodies_of(family):
        roof = body.vertices[body.vertices[:, 1] == -1]
        above = [[0, -1, roof[:, 2].mean()]] * HALF_EXTENTS - (0, 0.25, 0)  # the roof is flat at the top of the box
        assert body.signed_distances(above, HALF_EXTENTS)[0] == pytest.approx(0.25, abs=1e-9)


@each_family
def test_bodies_hang_on_the_generator_alone(family):
    (first,), (again,), (other,) = (bodies_of(family, [seed]) for seed in (1, 1, 2))
    assert np.array_equal(first.vertices, again.vertices)
    assert not np.allclose(first.vertices, other.vertices, atol=0.01)
