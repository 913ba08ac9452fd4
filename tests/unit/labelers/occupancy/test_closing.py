"""Vehicles get the roofs and floors that rays graze; nothing else does."""

import numpy as np
import pytest

from vsrd_ray.labelers.occupancy.closing import closed
from vsrd_ray.labels.voxels.classes import OCC3D, SSCBENCH, UNKNOWN

CAR, TRUCK, MANMADE, FREE = (OCC3D.names.index(name) for name in ("car", "truck", "manmade", "free"))
SIZE = 0.4  # m


@pytest.fixture
def street():
    """A car from (5, 6, 2) to (15, 10, 5), whose front (x = 5) and right side (y = 6) are seen, from outside."""
    semantics = np.full((24, 20, 9), FREE, dtype=np.uint8)
    semantics[5:16, 6:11, 2:6] = UNKNOWN
    semantics[5, 6:11, 2:6] = CAR
    semantics[5:16, 6, 2:6] = CAR
    semantics[16:, 6:11, 2:6] = UNKNOWN  # hidden behind it
    return semantics


def run(semantics, classes=OCC3D, voxel_size=SIZE):
    before = semantics.copy()
    found = closed(semantics, semantics != UNKNOWN, classes, voxel_size=voxel_size)
    assert (semantics == before).all()
    return found, np.argwhere(found != before)


def test_a_car_that_is_seen_whole_from_the_side_stays_as_it_is(street):
    _, changed = run(street)
    assert not len(changed)


def test_a_roof_that_rays_graze_is_closed(street):
    street[6:15, 7:11, 5] = FREE  # rays pass over the roof, which reaches into this layer
    street[15, 7:11, 5] = FREE
    found, changed = run(street)
    assert (found[5:16, 6:11, 5] == CAR).all()
    assert len(changed) == 10 * 4
    street[5, :, 5], street[:, 6, 5] = FREE, FREE  # nothing of the layer is seen: nothing tells that there is a roof
    assert not len(run(street)[1])


def test_a_floor_is_closed_under_what_nobody_sees(street):
    street[6:16, 7:11, 2] = FREE  # seen between the wheels
    found, changed = run(street)
    assert (found[5:16, 6:11, 2] == CAR).all() and len(changed) == 10 * 4


def test_what_rays_pass_above_and_below_is_air(street):
    street[6:15, 7:11, 3:6] = FREE  # an open car: its inside has been seen, down to the layer of the floor
    _, changed = run(street)
    assert set(changed[:, 2].tolist()) == {3}  # next to the unseen floor alone


def test_a_car_of_which_one_side_is_seen_says_nothing_of_its_width(street):
    street[5, 7:11] = FREE
    street[6:15, 7:11, 5] = FREE
    assert not len(run(street)[1])


def test_cars_that_touch_are_wider_than_any(street):
    street[6:15, 7:11, 5] = FREE
    street[5:16, 11:16, 2:6] = UNKNOWN
    street[5, 11:16, 2:6] = CAR  # 4 m between the outermost voxels
    assert not len(run(street)[1])


@pytest.mark.parametrize("degrees", [10, 20, 30, 45, 60, 85])
def test_a_car_that_stands_askew_is_closed_along_its_own_axes(degrees):
    u, v = np.meshgrid(np.arange(-5, 5.1, 0.25), np.arange(-2, 2.1, 0.25), indexing="ij")
    angle = np.radians(degrees)

    def voxels(u, v):
        x, y = 12 + u * np.cos(angle) - v * np.sin(angle), 10 + u * np.sin(angle) + v * np.cos(angle)
        return np.unique(np.rint(np.stack([x, y], axis=-1).reshape(-1, 2)).astype(int), axis=0)

    whole, front, side = voxels(u, v), voxels(u[:1], v[:1]), voxels(u[:, :1], v[:, :1])
    semantics = np.full((24, 20, 9), FREE, dtype=np.uint8)
    semantics[whole[:, 0], whole[:, 1], 3] = UNKNOWN
    for some in (front, side):
        for layer in (3, 4):
            semantics[some[:, 0], some[:, 1], layer] = CAR
    found, changed = run(semantics)
    assert set(changed[:, 2].tolist()) == {4}
    roof = set(map(tuple, np.argwhere(found[..., 4] == CAR).tolist()))
    assert roof <= set(map(tuple, whole.tolist()))
    x, y = np.indices((24, 20)) - np.array([12, 10])[:, None, None]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    inner = np.argwhere((np.abs(along) <= 4.5) & (np.abs(across) <= 1.5))
    assert roof >= set(map(tuple, inner.tolist())) and len(inner) > 20


def test_only_vehicles_are_closed(street):
    street[6:15, 7:11, 5] = FREE
    street[street == CAR] = MANMADE
    assert not len(run(street)[1])
    street[street == MANMADE] = TRUCK
    assert (run(street)[0][7:12, 8, 5] == TRUCK).all()


def test_classes_of_vehicles_are_named_in_both_tables():
    assert [OCC3D.names[one] for one in OCC3D.vehicles] == ["bus", "car", "construction_vehicle", "trailer", "truck"]
    assert [SSCBENCH.names[one] for one in SSCBENCH.vehicles] == ["car", "truck", "other-vehicle"]
    for table in (OCC3D, SSCBENCH):
        assert set(table.vehicles) < set(table.moving)
