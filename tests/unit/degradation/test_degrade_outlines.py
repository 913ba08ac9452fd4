"""What is done to the outline of one mask."""

import numpy as np
import pytest
from scipy import ndimage

from vsrd_ray.degradation.outlines import (
    break_outline,
    distance_inside,
    in_blocks,
    margin_of,
    ragged,
    through_grid,
    with_shadow,
)
from vsrd_ray.degradation.settings import DegradeSettings


def box_mask(shape: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


def disc(radius: float, side: int = 101) -> np.ndarray:
    v, u = np.mgrid[:side, :side] - side // 2
    return u**2 + v**2 <= radius**2


def broken(mask: np.ndarray, **settings: object) -> np.ndarray:
    return break_outline(mask, DegradeSettings(**settings), np.random.default_rng(0), origin_uv=(0, 0))  # pyright: ignore


def test_nothing_is_done_by_default():
    mask = disc(20)
    assert np.array_equal(broken(mask), mask)


@pytest.mark.parametrize("px", [1, 2, 3, 4, 5])
def test_a_disc_grows_and_shrinks_by_the_pixels_that_are_asked_for(px):
    assert abs(np.sqrt(broken(disc(30), erode=px).sum() / np.pi) - (30 - px)) < 0.5
    assert abs(np.sqrt(broken(disc(30), dilate=px).sum() / np.pi) - (30 + px)) < 0.5
    box = box_mask((60, 80), slice(20, 40), slice(20, 60))
    assert np.array_equal(broken(box, erode=px), box_mask((60, 80), slice(20 + px, 40 - px), slice(20 + px, 60 - px)))


def test_the_border_of_the_image_is_no_outline():
    mask = box_mask((40, 60), slice(10, 40), slice(0, 30))
    assert np.array_equal(broken(mask, erode=2), box_mask((40, 60), slice(12, 40), slice(0, 28)))
    full = np.ones((20, 20), dtype=bool)
    assert broken(full, erode=5).all() and broken(full, ragged=4.0).all()


def test_a_shadow_lowers_the_foot_by_a_share_of_the_height():
    mask = box_mask((60, 80), slice(10, 30), slice(20, 60))
    assert np.array_equal(with_shadow(mask, 0.1), box_mask((60, 80), slice(10, 32), slice(20, 60)))
    assert np.array_equal(with_shadow(mask, 0.0), mask)
    heights = {int(broken(disc(30), shadow=(0.1, 0.1)).any(axis=1).sum()) for _ in range(3)}
    assert heights == {61 + 6}


@pytest.mark.parametrize("amplitude", [1.0, 2.0])
def test_ragged_outlines_are_off_by_the_amplitude(amplitude):
    shape = (80, 4000)
    mask = box_mask(shape, slice(40, 80), slice(0, 4000))  # one long horizontal edge
    noise = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    heights = ragged(mask, amplitude, noise).sum(axis=0) - 40.0
    assert abs(heights.mean()) < 0.3
    assert 0.8 * amplitude < heights.std() < 1.2 * np.hypot(amplitude, 0.3)
    shifts = heights - heights.mean()
    alike = [(shifts[lag:] * shifts[: len(shifts) - lag]).mean() / shifts.var() for lag in (1, 40)]
    assert alike[0] > 0.7 and abs(alike[1]) < 0.2  # correlated along the outline, not for ever


def test_ragged_outlines_keep_the_area():
    noise = np.random.default_rng(2).standard_normal((101, 101), dtype=np.float32)
    assert abs(ragged(disc(35), 1.0, noise).sum() / disc(35).sum() - 1) < 0.05


def test_a_mask_head_keeps_what_its_cells_can_tell():
    assert np.array_equal(through_grid(disc(8), 28), disc(8))  # smaller than the grid
    large = disc(45)
    coarse = through_grid(large, 28)
    assert abs(coarse.sum() / large.sum() - 1) < 0.02
    comb = large.copy()
    comb[:, ::5] = False  # slits of one pixel, in cells of 3
    assert through_grid(comb, 14).sum() > 1.15 * comb.sum()
    one = box_mask((30, 90), slice(10, 12), slice(5, 85))  # lower than the grid, and wider
    assert np.array_equal(through_grid(one, 28), one)
    assert not through_grid(np.zeros((9, 9), dtype=bool), 28).any()


@pytest.mark.parametrize("origin_uv", [(0, 0), (3, 13)])
def test_blocks_are_those_of_the_image(origin_uv):
    u, v = origin_uv
    whole = disc(30)
    blocks = in_blocks(whole, 8, origin_uv=origin_uv)
    placed = np.zeros((128, 128), dtype=bool)
    placed[v : v + 101, u : u + 101] = blocks
    cells = placed[:120, :120].reshape(15, 8, 15, 8).mean(axis=(1, 3))
    assert set(np.unique(cells)) == {0.0, 1.0}
    assert abs(blocks.sum() / whole.sum() - 1) < 0.1


def test_a_margin_holds_whatever_a_mask_grows_by():
    settings = DegradeSettings(shadow=(0.1, 0.3), dilate=5, ragged=4.0, blocks=16, mask_head=28)
    for seed in range(20):
        radius = 12
        margin = margin_of(settings, 2 * radius + 1)
        mask = disc(radius, side=2 * (radius + margin) + 1)
        found = break_outline(mask, settings, np.random.default_rng(seed), origin_uv=(5, 7))
        assert not np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]]).any()


def test_distances_are_those_of_the_slow_transform():
    mask = np.random.default_rng(3).random((40, 50)) < 0.8
    assert np.allclose(distance_inside(mask), ndimage.distance_transform_edt(mask), atol=1e-4)
