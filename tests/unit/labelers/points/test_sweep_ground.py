import numpy as np
import pytest

from vsrd_ray.labelers.points.ground import fit_ground

RINGS = np.linspace(4.0, 60.0, 40)


def road(slope=0.0, crown=0.0, seed=0):
    """Rings of ground points around a sensor 1.8 m up, with 2 cm of noise."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    x, y = (np.outer(RINGS, part(angle)).ravel() for part in (np.cos, np.sin))
    z = slope * x + crown * y**2 - 1.8 + rng.normal(0, 0.02, len(x))
    return np.stack([x, y, z], axis=1)


def block(center, size, step=0.15):
    """Points on the sides of a box that stands on z = -1.8."""
    axes = [np.arange(-half, half + 1e-9, step) for half in np.array(size[:2]) / 2]
    z = np.arange(0.02, size[2], step)
    x, y, z = (values.ravel() for values in np.meshgrid(*axes, z))
    on_side = (np.abs(x) > size[0] / 2 - step) | (np.abs(y) > size[1] / 2 - step)
    return np.stack([x, y, z], axis=1)[on_side] + np.array([*center, -1.8])


@pytest.mark.parametrize(("slope", "crown"), [(0, 0), (0.08, 0), (0, 0.002)])
def test_a_road_is_ground_on_the_level_on_a_slope_and_with_a_crown(slope, crown):
    points = road(slope, crown)
    near = np.linalg.norm(points[:, :2], axis=1) < 40
    assert (np.abs(fit_ground(points).clearance(points[near])) < 0.15).mean() > 0.99


def test_a_row_of_trucks_and_people_does_not_lift_the_ground():
    """Boxes as long as several nodes are apart, whose cells hold no ground at all."""
    objects = np.concatenate(
        [*(block((8.0, y), (2.5, 14.0, 3.5)) for y in (-16, 0, 16)), block((-6.0, 0), (0.5, 0.5, 1.7))]
    )
    hidden = road()
    hidden = hidden[~((hidden[:, 0] > 6.75) & (hidden[:, 0] < 20) & (np.abs(hidden[:, 1]) < 30))]
    ground = fit_ground(np.concatenate([hidden, objects]))
    standing = objects[objects[:, 2] > -1.8 + 0.3]
    assert (ground.clearance(standing) > 0.2).all()
    assert (np.abs(ground.clearance(hidden)) < 0.2).mean() > 0.98


def test_stray_points_below_the_road_do_not_lower_it():
    rng = np.random.default_rng(1)
    stray = np.column_stack([rng.uniform(-30, 30, (60, 2)), np.full(60, -4.0)])
    points = road()
    near = np.linalg.norm(points[:, :2], axis=1) < 40
    assert (np.abs(fit_ground(np.concatenate([points, stray])).clearance(points[near])) < 0.2).mean() > 0.99


def test_a_sweep_without_points_has_no_ground():
    assert (fit_ground(np.zeros((0, 3))).clearance(np.zeros((2, 3))) > 1000).all()
