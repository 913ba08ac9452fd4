"""Maps of values are taken apart into masks."""

import numpy as np
import pytest

from vsrd_ray.masks.maps import split


def split_by_eye(values, meaning):
    """Slow and obvious: look for each value everywhere."""
    for value in sorted(set(values.ravel().tolist())):
        if (known := meaning(value)) is not None:
            rows, columns = np.nonzero(values == value)
            box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
            yield *known, columns.min(), rows.min(), values[box] == value


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize("background", [(0,), (0, 90), (), tuple(range(0, 200, 30))])
def test_a_mask_for_each_value_that_is_not_background(dtype, background):
    generator = np.random.default_rng(len(background))
    for _ in range(20):
        values = (generator.integers(0, 7, generator.integers(1, 20, 2)) * 30).astype(dtype)

        def meaning(value):
            return None if value in background else ("car", value)

        masks, expected = list(split(values, meaning)), list(split_by_eye(values, meaning))
        assert len(masks) == len(expected)
        for mask, (class_name, number, left, top, pixels) in zip(masks, expected, strict=True):
            assert (mask.class_name, mask.number, mask.part.left, mask.part.top) == (class_name, number, left, top)
            assert np.array_equal(mask.part.pixels, pixels)
