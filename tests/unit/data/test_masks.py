import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import slow_masks
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from vsrd_ray.data.masks import (
    decode_rle,
    encode_rle,
    largest_soft_mask,
    mask_box,
    refine_mask,
    signed_distance,
    soft_mask,
    soft_mask_crop,
    without_specks,
)

METHODS = ("exact", "transform")
seeds = st.integers(0, 2**32 - 1)


def blobs(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    """Random smooth blobs, usually several, some with holes, some cut by the border; at least one pixel."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(height, width)), sigma=rng.uniform(0.5, 5))
    return smooth >= np.quantile(smooth, rng.uniform(0.5, 0.98))


def test_golden_soft_mask(shared: Path) -> None:
    golden = np.load(shared / "reference" / "vsrd_golden.npz")
    refined = refine_mask(golden["mask"].astype(bool))
    np.testing.assert_allclose(soft_mask(refined, 10.0, "exact"), golden["soft_mask"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(soft_mask(refined, 10.0, "transform"), golden["soft_mask"], rtol=0, atol=0.03)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_exact_distance_is_that_of_cv2(seed: int) -> None:
    refined = refine_mask(blobs(seed))
    # The published tools put pixels on the outline up to 1e-6 px off it.
    np.testing.assert_allclose(
        signed_distance(refined, "exact"), slow_masks.polygon_distance(refined), rtol=0, atol=1e-6
    )


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_transform_is_never_nearer_and_at_most_three_tenths_of_a_pixel_farther(seed: int) -> None:
    mask = blobs(seed)
    error = np.abs(signed_distance(mask, "transform")) - np.abs(signed_distance(mask, "exact"))
    assert error.min() >= -1e-6
    assert error.max() <= 1 - np.sqrt(0.5) + 1e-6
    soft_error = np.abs(soft_mask(mask, 10.0, "transform") - soft_mask(mask, 10.0, "exact"))
    assert soft_error.max() <= 0.03


@pytest.mark.parametrize("method", METHODS)
def test_distances_by_hand(method: str) -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 2:7] = True
    distance = signed_distance(mask, method)
    assert distance[4, 4] == pytest.approx(2)
    assert distance[4, 0] == pytest.approx(-2)
    assert distance[0, 0] == pytest.approx(-np.sqrt(8))
    assert distance[2, 4] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_hole_is_outside(method: str) -> None:
    mask = np.ones((15, 15), dtype=bool)
    mask[5:10, 5:10] = False
    distance = signed_distance(mask, method)
    assert distance[7, 7] == pytest.approx(-3)
    assert signed_distance(refine_mask(mask), method)[7, 7] == pytest.approx(7)


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_mask_has_no_distance_and_no_softness(method: str) -> None:
    mask = np.zeros((5, 6), dtype=bool)
    assert (signed_distance(mask, method) == -np.inf).all()
    assert (soft_mask(mask, 10.0, method) == 0).all()
    assert soft_mask_crop(mask, 10.0, method) is None


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_refinement_equals_the_slow_twin(seed: int) -> None:
    mask = blobs(seed)
    refined = refine_mask(mask)
    np.testing.assert_array_equal(refined, slow_masks.refine(mask))
    np.testing.assert_array_equal(refine_mask(refined), refined)


def test_refinement_by_hand() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[2:12, 2:12] = True
    mask[5:8, 5:8] = False  # a hole
    mask[15:18, 20:24] = True  # a small part
    expected = np.zeros_like(mask)
    expected[2:12, 2:12] = True
    np.testing.assert_array_equal(refine_mask(mask), expected)
    assert not refine_mask(np.zeros((4, 5), dtype=bool)).any()


def parted_mask() -> np.ndarray:
    """100 px in one part with a hole, 36 px in another, one pixel in a third."""
    mask = np.zeros((20, 30), dtype=bool)
    mask[2:12, 2:12] = True
    mask[5:8, 5:8] = False
    mask[2:8, 14:20] = True
    mask[18, 28] = True
    return mask


def test_without_specks_keeps_what_a_pole_cuts_off() -> None:
    expected = parted_mask()
    expected[5:8, 5:8] = True
    expected[18, 28] = False
    np.testing.assert_array_equal(without_specks(parted_mask()), expected)
    # The parts' contours enclose 81 and 25 px^2.
    np.testing.assert_array_equal(without_specks(parted_mask(), min_share=0.35), refine_mask(parted_mask()))
    np.testing.assert_array_equal(without_specks(parted_mask(), min_share=0.25), expected)
    expected[18, 28] = True
    np.testing.assert_array_equal(without_specks(parted_mask(), min_share=0.0), expected)


def test_masks_of_nothing_but_specks_stay() -> None:
    assert not without_specks(np.zeros((4, 5), dtype=bool)).any()
    line = np.zeros((9, 9), dtype=bool)
    line[4, 2:7] = line[0, 0] = True  # contours without any area
    np.testing.assert_array_equal(without_specks(line), line)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_without_specks_lies_between_refinement_and_filling(seed: int) -> None:
    mask = blobs(seed)
    kept = without_specks(mask)
    assert (kept >= refine_mask(mask)).all()
    filled = ndimage.binary_fill_holes(mask)
    assert (kept <= filled).all()
    np.testing.assert_array_equal(without_specks(kept), kept)
    np.testing.assert_array_equal(without_specks(mask, min_share=0.0), filled)


def test_mask_box_includes_the_last_pixel() -> None:
    mask = np.zeros((10, 12), dtype=bool)
    assert mask_box(mask) is None
    mask[3, 4] = mask[7, 11] = True
    assert mask_box(mask) == (4, 3, 11, 7)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_rle_survives_json(seed: int) -> None:
    mask = blobs(seed)
    rle = json.loads(json.dumps(encode_rle(mask)))
    assert rle["size"] == [40, 60]
    np.testing.assert_array_equal(decode_rle(rle), mask)


@pytest.mark.parametrize("method", METHODS)
def test_soft_masks_end_where_they_are_below_a_millionth(method: str) -> None:
    mask = np.zeros((120, 90), dtype=bool)
    mask[50:60, 30:50] = True
    soft = soft_mask(mask, 2.0, method)
    full = slow_masks.soft(signed_distance(mask, method), 2.0)
    expected = np.where(full < 1e-6, 0, full)
    assert 0 < (expected == 0).mean() < 1
    np.testing.assert_allclose(soft, expected, rtol=0, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(METHODS))
def test_crops_hold_all_that_is_not_zero(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    masks = [refine_mask(blobs(seed + n)) & blobs(seed + n + 7) for n in range(3)]
    full = [soft_mask(mask, 1.0, method) for mask in masks]
    crops = [soft_mask_crop(mask, 1.0, method) for mask in masks]
    points = rng.integers(0, [60, 40], size=(2, 50, 2))
    for crop, expected in zip(crops, full, strict=True):
        if crop is None:
            assert (expected == 0).all()
            continue
        assert crop.values.dtype == np.float32
        np.testing.assert_allclose(crop.at(points), expected[points[..., 1], points[..., 0]], rtol=0, atol=1e-7)
        assert (crop.at(np.array([[-1, 0], [0, -1], [60, 0], [0, 40]])) == 0).all()
    largest = largest_soft_mask(crops, (60, 40))
    np.testing.assert_allclose(largest, np.max(full, axis=0), rtol=0, atol=1e-7)


def test_no_soft_masks_have_no_largest() -> None:
    assert (largest_soft_mask([None], (6, 5)) == np.zeros((5, 6), np.float32)).all()


def test_a_mask_that_fills_the_image() -> None:
    distance = signed_distance(np.ones((7, 9), dtype=bool), "exact")
    assert distance[3, 4] == pytest.approx(3)
    assert distance[0, 0] == pytest.approx(0, abs=1e-6)


def test_one_pixel_and_one_line() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[4, 4] = True
    assert signed_distance(refine_mask(mask), "exact")[4, 8] == -4
    cv2_line = np.zeros((9, 9), np.uint8)
    cv2.line(cv2_line, (1, 1), (7, 7), 1)
    line = refine_mask(cv2_line.astype(bool))
    assert signed_distance(line, "exact")[4, 5] == pytest.approx(-np.sqrt(0.5))
    assert signed_distance(line, "transform")[4, 5] == pytest.approx(-1)
