import cv2
import numpy as np
import pytest

from vsrd_ray.labelers.vsrd.outlines import (
    _contour,
    directions,
    foot_rows,
    may_hide_map,
    measure_clearance,
    trace_outline,
)

ROAD, WALL, POLE, CAR, OTHER_CAR = 7000, 12000, 17000, 26001, 26002
HEIGHT, WIDTH = 80, 140


def ellipse(u, v, half_width=20, half_height=12):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(mask, (u, v), (half_width, half_height), 0, 0, 360, 1, -1)
    return mask.astype(bool)


def draw(*layers):
    """An instance map: road, and over it (mask or slices, id) one after the other."""
    instance_map = np.full((HEIGHT, WIDTH), ROAD, np.uint16)
    for where, instance_id in layers:
        instance_map[where] = instance_id
    return instance_map


def trace(instance_map, instance_id=CAR, mask=None, count=4):
    mask = instance_map == instance_id if mask is None else mask
    may_hide = may_hide_map(mask, instance_id=instance_id, instance_map=instance_map, feet=foot_rows(instance_map))
    return trace_outline(mask, may_hide, directions(count))


def trusted(instance_map, instance_id=CAR, mask=None):
    outline = trace(instance_map, instance_id, mask)
    return {name for name, side in zip(("right", "down", "left", "up"), outline.trusted, strict=True) if side}


EVERY_SIDE = {"right", "down", "left", "up"}


def test_directions_are_a_quarter_apart_and_turn_downwards():
    np.testing.assert_allclose(directions(16)[::4], [[1, 0], [0, 1], [-1, 0], [0, -1]], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(directions(12), axis=-1), 1)


def test_feet_by_walking_down_every_column():
    """Stuff ends where its run of pixels does, an instance where its lowest pixel is, in whatever column."""
    instance_map = np.random.default_rng(0).choice([ROAD, WALL, CAR, OTHER_CAR], size=(9, 7)).astype(np.uint16)
    instance_map[7:, :] = ROAD
    feet = foot_rows(instance_map)
    for v, u in np.ndindex(*instance_map.shape):
        own = instance_map[v, u]
        row = v
        while row < 9 and instance_map[row, u] == own:
            row += 1
        if own in (CAR, OTHER_CAR):
            row = np.nonzero(instance_map == own)[0].max() + 1
        assert feet[v, u] == row


def test_supports_are_the_farthest_pixels_in_every_direction():
    mask = ellipse(60, 40) & ~ellipse(75, 30, 10, 10)
    outline = trace(draw((mask, CAR)), count=16)
    v, u = np.nonzero(mask)
    for support, (cos, sin) in zip(outline.supports, directions(16), strict=True):
        assert support == pytest.approx((u * cos + v * sin).max())


@pytest.mark.parametrize("mask", [ellipse(60, 40), ellipse(60, 40, 30, 6), ellipse(60, 40, 5, 25)])
def test_normals_point_outwards(mask):
    points, normals = _contour(mask)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1)
    assert (((points - (60, 40)) * normals).sum(axis=-1) > 0).all()
    u, v = np.rint(points + 3 * normals).astype(int).T
    assert not mask[v, u].any()
    u, v = np.rint(points - 2 * normals).astype(int).T
    assert mask[v, u].mean() > 0.9  # a pointed end is thinner than that


def test_a_mask_on_the_road_is_trusted_all_around():
    assert trusted(draw((ellipse(60, 40), CAR))) == EVERY_SIDE


@pytest.mark.parametrize(
    ("center", "cut", "opposite"),
    [((15, 40), "left", "right"), ((124, 40), "right", "left"), ((60, 8), "up", "down"), ((60, 71), "down", "up")],
)
def test_the_border_of_the_image_is_no_side_of_the_object(center, cut, opposite):
    sides = trusted(draw((ellipse(*center), CAR)))
    assert cut not in sides
    assert opposite in sides


def test_what_is_cut_through_its_middle_may_go_on_upwards_and_downwards_too():
    assert trusted(draw((ellipse(0, 40), CAR))) == {"right"}


def test_a_nearer_instance_hides_and_a_farther_one_does_not():
    # the other car's foot is lower in the image, so it stands in front of the first one's right side
    nearer = ellipse(90, 48, 22, 16)
    instance_map = draw((ellipse(60, 40), CAR), (nearer, OTHER_CAR))
    assert "right" not in trusted(instance_map)
    assert "left" in trusted(instance_map)
    assert trusted(instance_map, OTHER_CAR) == EVERY_SIDE


def test_of_two_instances_on_one_level_either_may_be_the_nearer():
    instance_map = draw((ellipse(60, 40), CAR), (ellipse(95, 40), OTHER_CAR))
    assert "right" not in trusted(instance_map)
    assert "left" not in trusted(instance_map, OTHER_CAR)


def test_a_pole_in_front_hides_what_it_cuts_off():
    # the pole stands on the road in front and parts the car; refinement has kept the left part
    instance_map = draw((ellipse(60, 40), CAR), (np.s_[10:70, 76:78], POLE))
    left_part = (instance_map == CAR) & (np.arange(WIDTH) < 76)
    sides = trusted(instance_map, mask=left_part)
    assert "right" not in sides
    assert "left" in sides


def test_a_pole_and_a_wall_behind_hide_nothing():
    behind = draw((np.s_[0:45, :], WALL), (np.s_[5:47, 75:90], POLE), (ellipse(60, 40), CAR))
    assert trusted(behind) == EVERY_SIDE


def test_road_below_is_not_in_front():
    instance_map = draw((np.s_[:, :], ROAD), (ellipse(60, 40), CAR))
    assert "down" in trusted(instance_map)
    hedge_in_front = draw((ellipse(60, 40), CAR), (np.s_[45:70, 20:100], 21000))
    assert "down" not in trusted(hedge_in_front)


def clearance_of(instance_map):
    """The clearance around car 26001, and its value at a pixel by the nearest sample."""
    mask = instance_map == 26001
    may_hide = may_hide_map(mask, instance_id=26001, instance_map=instance_map, feet=foot_rows(instance_map))
    clearance = measure_clearance(mask, may_hide)
    x1, y1, x2, y2 = clearance.window_xyxy
    size = len(clearance.distances) - 1

    def at(u, v):
        return clearance.distances[round((v - y1) / (y2 - y1) * size), round((u - x1) / (x2 - x1) * size)]

    return clearance, at


def test_clearance_grows_with_the_distance_from_where_the_object_can_be():
    road = np.full((200, 300), 7000, np.uint16)
    road[80:120, 100:160] = 26001
    _, at = clearance_of(road)
    assert at(130, 100) == at(101, 81) == 0
    assert abs(at(130, 140) - 21) <= 2 and abs(at(80, 100) - 20) <= 2

    behind_a_pole = road.copy()
    behind_a_pole[60:180, 160:190] = 17000
    _, at = clearance_of(behind_a_pole)
    assert at(175, 100) == 0  # the car may go on behind it
    assert abs(at(130, 140) - 21) <= 2


def test_clearance_ends_at_the_border_of_the_image():
    road = np.full((100, 100), 7000, np.uint16)
    road[40:60, 0:40] = 26001
    clearance, at = clearance_of(road)
    assert clearance.window_xyxy[0] < 0
    assert at(-10, 50) == 0
    assert at(45, 50) > 3


def test_clearance_is_the_same_wherever_it_lies_in_memory():
    random = np.random.default_rng(0)
    instance_map = np.where(cv2.GaussianBlur(random.random((200, 300)), (31, 31), 8) > 0.5, 26001, 7000).astype(
        np.uint16
    )
    first, _ = clearance_of(instance_map)
    for length in range(1, 20):
        padding = np.zeros(1000 * length)
        again, _ = clearance_of(instance_map.copy())
        assert np.array_equal(first.distances, again.distances), padding.shape
