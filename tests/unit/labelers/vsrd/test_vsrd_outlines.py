import cv2
import numpy as np
import pytest
import slow_bodyfit

from vsrd_ray.data.classes import UNKNOWN
from vsrd_ray.data.masks import without_specks
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.labelers.vsrd.outlines import CLEARANCE_SAMPLES, DepthOrder, directions, trace_outline

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


def trace(instance_map, instance_id=CAR, *, count=4, num_points=200):
    return trace_outline(
        without_specks(instance_map == instance_id),
        instance_id=instance_id,
        order=DepthOrder.of(instance_map, CLASSES),
        units=directions(count),
        num_points=num_points,
    )


def trusted(instance_map, instance_id=CAR):
    outline = trace(instance_map, instance_id)
    return {name for name, side in zip(("right", "down", "left", "up"), outline.trusted, strict=True) if side}


EVERY_SIDE = {"right", "down", "left", "up"}


def test_directions_are_a_quarter_apart_and_turn_downwards():
    np.testing.assert_allclose(directions(16)[::4], [[1, 0], [0, 1], [-1, 0], [0, -1]], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(directions(12), axis=-1), 1)


def test_feet_by_walking_down_every_column():
    """Stuff ends where its run of pixels does, an instance where its lowest pixel is, in whatever column."""
    instance_map = np.random.default_rng(0).choice([ROAD, WALL, CAR, OTHER_CAR], size=(9, 7)).astype(np.uint16)
    instance_map[7:, :] = ROAD
    np.testing.assert_array_equal(DepthOrder.of(instance_map, CLASSES).feet, slow_bodyfit.feet(instance_map))


def test_supports_are_the_farthest_pixels_in_every_direction():
    mask = ellipse(60, 40) & ~ellipse(75, 30, 10, 10)
    outline = trace(draw((mask, CAR)), count=16)
    v, u = np.nonzero(mask)
    for support, (cos, sin) in zip(outline.supports, directions(16), strict=True):
        assert support == pytest.approx((u * cos + v * sin).max())


@pytest.mark.parametrize("mask", [ellipse(60, 40), ellipse(60, 40, 30, 6), ellipse(60, 40, 5, 25)])
def test_points_lie_half_a_pixel_beyond_the_mask_and_normals_point_outwards(mask):
    outline = trace(draw((mask, CAR)))
    points, normals = outline.points, outline.normals
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1)
    assert (((points - (60, 40)) * normals).sum(axis=-1) > 0).all()
    inside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    u, v = np.rint(points + 2.5 * normals).astype(int).T
    assert (inside[v, u] > 1).all()
    u, v = np.rint(points - 2.5 * normals).astype(int).T
    assert mask[v, u].mean() > 0.9  # a pointed end is thinner than that
    v, u = np.nonzero(mask)
    away = np.linalg.norm(points[:, None] - np.stack([u, v], axis=-1), axis=-1).min(axis=1)
    assert np.abs(away - 0.5).max() < 0.25
    assert not outline.hidden.any()


def test_normals_of_an_ellipse_are_those_of_its_equation():
    outline = trace(draw((ellipse(60, 40, 40, 30), CAR)), num_points=60)
    expected = (outline.points - (60, 40)) / np.square([40, 30])
    cosines = (outline.normals * expected).sum(axis=-1) / np.linalg.norm(expected, axis=-1)
    assert cosines.min() > np.cos(np.deg2rad(6))


def test_points_are_spread_evenly_over_the_contour():
    outline = trace(draw((ellipse(60, 40), CAR)), num_points=16)
    assert len(outline.points) == 16
    steps = np.linalg.norm(outline.points - np.roll(outline.points, 1, axis=0), axis=-1)
    assert steps.max() < 2.2 * steps.min()
    small = np.zeros((HEIGHT, WIDTH), dtype=bool)
    small[40:42, 60:63] = True
    assert len(trace(draw((small, CAR)), num_points=16).points) == 6


def test_an_outline_moves_with_its_mask():
    """The same thing elsewhere in a larger image has the same outline, there."""
    instance_map = draw((ellipse(60, 40), CAR), (ellipse(90, 48, 22, 16), OTHER_CAR), (np.s_[10:70, 50:53], POLE))
    larger = np.full((HEIGHT + 100, WIDTH + 170), ROAD, np.uint16)
    larger[40 : 40 + HEIGHT, 130 : 130 + WIDTH] = instance_map
    # Near enough to the border that the crop around the mask would leave the smaller image; so leave it in both.
    outline, moved = trace(np.pad(instance_map, 60, constant_values=ROAD), count=16), trace(larger, count=16)
    shift = np.array([130 - 60, 40 - 60])
    np.testing.assert_allclose(moved.points, outline.points + shift, atol=1e-9)
    np.testing.assert_allclose(moved.supports, outline.supports + directions(16) @ shift, atol=1e-9)
    for name in ("normals", "hidden", "trusted", "clearances"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(outline, name), err_msg=name)
    np.testing.assert_array_equal(moved.crop_xyxy, outline.crop_xyxy + np.tile(shift, 2))


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


def test_what_is_unknown_may_hide_however_far_away_its_foot_says_that_it_is_and_bounds_nothing():
    car, beside = ellipse(60, 40), np.s_[20:45, 70:100]
    for unknown, is_trusted in ((ROAD, True), (UNKNOWN, False)):
        instance_map = draw((beside, unknown), (car, CAR))
        assert ("right" in trusted(instance_map)) == is_trusted
        assert "left" in trusted(instance_map)
        outline = trace(instance_map)
        assert (outline.clearances[:, -1] > 0).any()  # beyond the crowd
        left, top, _, _ = outline.crop_xyxy
        scale = (outline.crop_xyxy[2:] - outline.crop_xyxy[:2]) / (CLEARANCE_SAMPLES - 1)
        u, v = np.rint(((85, 30) - np.array([left, top])) / scale).astype(int)
        assert (outline.clearances[v, u] == 0) == (not is_trusted)


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


def test_a_pole_in_front_hides_both_edges_along_it():
    # the pole stands on the road in front and parts the car
    instance_map = draw((ellipse(60, 40), CAR), (np.s_[10:70, 62:65], POLE))
    outline = trace(instance_map)
    beside = np.abs(outline.points[:, 0] - 63) < 2.6
    assert outline.hidden[beside].mean() > 0.8 and beside.sum() > 20
    far = np.abs(outline.points[:, 0] - 63) > 6
    assert not outline.hidden[far].any()
    assert (outline.points[:, 0] < 61).any() and (outline.points[:, 0] > 66).any()
    u, v = outline.points[~outline.hidden].T
    np.testing.assert_allclose(np.hypot((u - 60) / 20.5, (v - 40) / 12.5), 1, atol=0.12)


def test_a_pole_in_front_of_an_end_hides_it():
    instance_map = draw((ellipse(60, 40), CAR), (np.s_[10:70, 74:90], POLE))
    assert "right" not in trusted(instance_map)
    assert "left" in trusted(instance_map)


def test_points_at_the_border_are_hidden():
    outline = trace(draw((ellipse(8, 40), CAR)))
    at_border = outline.points[:, 0] < 0.5
    assert outline.hidden[at_border].all() and at_border.sum() > 10
    assert not outline.hidden[outline.points[:, 0] > 5].any()


def test_a_pole_and_a_wall_behind_hide_nothing():
    behind = draw((np.s_[0:45, :], WALL), (np.s_[5:47, 75:90], POLE), (ellipse(60, 40), CAR))
    assert trusted(behind) == EVERY_SIDE


def test_road_below_is_not_in_front():
    instance_map = draw((np.s_[:, :], ROAD), (ellipse(60, 40), CAR))
    assert "down" in trusted(instance_map)
    hedge_in_front = draw((ellipse(60, 40), CAR), (np.s_[45:70, 20:100], 21000))
    assert "down" not in trusted(hedge_in_front)


def sampled_at(outline):
    """The pixels (u, v), [G, G, 2], at which the clearances are."""
    left, top, right, bottom = outline.crop_xyxy
    steps = np.linspace(0, 1, CLEARANCE_SAMPLES)
    u, v = np.rint((right - left) * steps) + left, np.rint((bottom - top) * steps) + top
    return np.stack(np.meshgrid(u, v), axis=-1).astype(int)


@pytest.mark.parametrize("at", [(60, 40), (8, 40), (120, 60)], ids=["free", "left border", "corner"])
def test_clearances_equal_the_slow_twin(at):
    u, v = at
    instance_map = draw(
        (np.s_[0:30, :], WALL), (ellipse(u, v), CAR), (ellipse(u + 25, v + 8), OTHER_CAR), (np.s_[10:75, 66:69], POLE)
    )
    outline = trace(instance_map)
    possible = slow_bodyfit.where_it_can_be(instance_map, CAR, never_in_front=CLASSES.never_in_front, margin=2)
    crop = slow_bodyfit.in_crop(possible, outline.crop_xyxy)
    pixels = sampled_at(outline)[::9, ::9] - outline.crop_xyxy[:2]
    expected = [[slow_bodyfit.clearance(pixel, crop) for pixel in row] for row in pixels]
    np.testing.assert_allclose(outline.clearances[::9, ::9], expected, rtol=0, atol=1e-6)
    assert (np.array(expected) > 3).any() and (np.array(expected) == 0).any()


def nearest_clearance(outline, u, v):
    """The clearance at the sample that is nearest to a pixel."""
    away = np.abs(sampled_at(outline) - (u, v)).sum(axis=-1)
    return outline.clearances[np.unravel_index(away.argmin(), away.shape)]


def test_clearance_grows_with_the_distance_from_where_the_object_can_be():
    road = np.full((200, 300), ROAD, np.uint16)
    road[80:120, 100:160] = CAR
    outline = trace(road)
    assert nearest_clearance(outline, 130, 100) == nearest_clearance(outline, 101, 81) == 0
    assert abs(nearest_clearance(outline, 130, 140) - 21) <= 2
    assert abs(nearest_clearance(outline, 80, 100) - 20) <= 2

    behind_a_pole = road.copy()
    behind_a_pole[60:180, 160:190] = POLE
    outline = trace(behind_a_pole)
    assert nearest_clearance(outline, 175, 100) == 0  # the car may go on behind it
    assert abs(nearest_clearance(outline, 130, 140) - 21) <= 2


def test_clearance_ends_at_the_border_of_the_image():
    road = np.full((100, 100), ROAD, np.uint16)
    road[40:60, 0:40] = CAR
    outline = trace(road)
    assert outline.crop_xyxy[0] < 0
    assert nearest_clearance(outline, -10, 50) == 0
    assert nearest_clearance(outline, 45, 50) > 3


def test_clearance_is_the_same_wherever_it_lies_in_memory():
    random = np.random.default_rng(0)
    blobs = cv2.GaussianBlur(random.random((200, 300)), (31, 31), 8) > 0.5
    instance_map = np.where(blobs, CAR, ROAD).astype(np.uint16)
    first = trace(instance_map)
    for length in range(1, 20):
        padding = np.zeros(1000 * length)
        assert np.array_equal(first.clearances, trace(instance_map.copy()).clearances), padding.shape
