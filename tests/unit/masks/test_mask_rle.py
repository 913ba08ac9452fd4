"""COCO's runs: read as pycocotools writes them, and refused where they are broken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from vsrd_ray.masks.rle import decode, parse_counts


def full(part, size):
    mask = np.zeros(size, bool)
    height, width = part.pixels.shape
    mask[part.top : part.top + height, part.left : part.left + width] = part.pixels
    return mask


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 70), st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]))
def test_every_mask_comes_back_from_pycocotools_text(seed, height, width, share):
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < share
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    part = decode(encoded["counts"], (height, width))
    np.testing.assert_array_equal(full(part, mask.shape), mask)
    assert part.pixels.size == 0 or (part.pixels.any(axis=1)[[0, -1]].all() and part.pixels.any(axis=0)[[0, -1]].all())
    runs = parse_counts(encoded["counts"])
    np.testing.assert_array_equal(full(decode(runs.tolist(), (height, width)), mask.shape), mask)


def test_runs_longer_than_two_letters_and_differences_below_0():
    mask = np.zeros((375, 1242), bool)
    mask[:, 700:] = True
    mask[5, 900] = False
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    np.testing.assert_array_equal(full(decode(encoded["counts"].decode(), mask.shape), mask.shape), mask)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (b"", "letters that"),
        (b"\xff", "letters that"),
        (b"o", "cut off"),
        (b"oooooooo0", "longer than any image"),
        (b"4", "runs of 4 px in all for 3 x 2 px"),
        ([3, 4], "runs of 7 px"),
        ([7, -1], "negative"),
        ([1.5, 4.5], "no whole numbers"),
        ([[6]], "no whole numbers"),
    ],
)
def test_broken_runs_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        decode(counts, (2, 3))
