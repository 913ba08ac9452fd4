import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.synthetic.road import Road

STATIONS = np.linspace(-40.0, 140.0, 50)


def road(seed: int = 0) -> Road:
    return Road.random(np.random.default_rng(seed), start=-60.0, end=160.0)


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_roads_are_gentle(seed: int) -> None:
    curvature, slope = road(seed).curvature_at(STATIONS), road(seed).slope_at(STATIONS)
    assert 0.001 < np.abs(curvature).max() <= 1 / 80
    assert 0.005 < np.abs(slope).max() < 0.04


def test_heading_height_and_points_are_the_integrals_of_curvature_slope_and_heading() -> None:
    street, h = road(), 0.5
    turned = (street.heading_at(STATIONS + h) - street.heading_at(STATIONS - h)) / (2 * h)
    risen = (street.height_at(STATIONS + h) - street.height_at(STATIONS - h)) / (2 * h)
    moved = (street.points(STATIONS + h, 0.0) - street.points(STATIONS - h, 0.0)) / (2 * h)
    heading = street.heading_at(STATIONS)
    assert turned == pytest.approx(street.curvature_at(STATIONS), abs=1e-5)
    assert risen == pytest.approx(street.slope_at(STATIONS), abs=1e-4)
    assert moved[:, 0] == pytest.approx(np.cos(heading), abs=1e-3)
    assert moved[:, 1] == pytest.approx(np.sin(heading), abs=1e-3)


def test_the_frame_starts_at_station_zero() -> None:
    assert road().points(0.0, 0.0) == pytest.approx([0.0, 0.0, 0.0])


def test_laterals_are_metres_to_the_left() -> None:
    street = road()
    heading = float(street.heading_at(30.0))
    offset = street.points(30.0, 4.0) - street.points(30.0, 0.0)
    assert offset == pytest.approx([-4.0 * np.sin(heading), 4.0 * np.cos(heading), 0.0])


def test_dropped_finds_the_surface_below_any_point() -> None:
    street, rng = road(4), np.random.default_rng(1)
    on_road = street.points(rng.uniform(-30, 120, size=40), rng.uniform(-12, 12, size=40))
    lifted = on_road + np.stack([np.zeros(40), np.zeros(40), rng.uniform(-5, 5, size=40)], axis=-1)
    assert street.dropped(lifted) == pytest.approx(on_road, abs=2e-3)
