import cv2
import numpy as np
import pytest

from vsrd_ray.synthetic.outlines import roughened


def two_cars() -> np.ndarray:
    instance_map = np.full((120, 200), 7000, dtype=np.uint16)
    instance_map[30:90, 20:100] = 26001
    instance_map[40:100, 90:170] = 26002
    return instance_map


def test_without_noise_nothing_changes() -> None:
    assert (roughened(two_cars(), 0.0, np.random.default_rng(0)) == two_cars()).all()


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_outlines_move_by_about_the_noise_and_no_farther_than_its_bound(noise: float) -> None:
    clean = two_cars()
    rough = roughened(clean, noise, np.random.default_rng(1))
    assert rough.dtype == np.uint16
    assert set(np.unique(rough)) == {7000, 26001, 26002}
    changed = rough != clean
    assert changed.any()
    reach = 2 * int(np.ceil(4.5 * noise + 1)) + 1
    for label in (7000, 26001, 26002):
        grown = cv2.dilate((clean == label).astype(np.uint8), np.ones((reach, reach), dtype=np.uint8))
        assert grown[rough == label].all()
    outline = 2 * (60 + 80) + 2 * (60 + 80) - 60
    assert 0.2 * noise < changed.sum() / outline < 1.6 * noise


def test_equal_generators_make_equal_outlines() -> None:
    first, again, other = (roughened(two_cars(), 1.0, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).any()
