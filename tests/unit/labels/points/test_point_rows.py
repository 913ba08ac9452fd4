import numpy as np
import pytest

from vsrd_ray.errors import InputError
from vsrd_ray.labels.points.classes import NAMES, NO_INSTANCE, NONE, class_named
from vsrd_ray.labels.points.schema import packed, unpacked


def test_rows_hold_what_points_are():
    classes, instances = np.array([0, NONE, 9, 7]), np.array([0, NO_INSTANCE, 1, 65534])
    in_view = np.array([True, False, False, True])
    row = {"frame": 3, **packed(classes, instances, in_view)}
    assert len(row["classes"]) == 4
    assert len(row["instances"]) == 8
    for found, given in zip(unpacked(row), (classes, instances, in_view), strict=True):
        np.testing.assert_array_equal(found, given)


def test_more_instances_than_16_bits_number_are_refused():
    with pytest.raises(ValueError, match="65536 instances in one sweep"):
        packed(np.zeros(1), np.array([65535]), np.ones(1, dtype=bool))


@pytest.mark.parametrize("change", [{"num_points": 5}, {"classes": b"\x0b\x00\x00\x00"}, {"instances": b"\x00\x00"}])
def test_rows_of_other_lengths_or_classes_are_refused(change):
    row = {"frame": 3, **packed(np.zeros(4), np.zeros(4), np.ones(4, dtype=bool)), **change}
    with pytest.raises(InputError, match="points of frame 3: no labels of"):
        unpacked(row)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("car", "car"), ("caravan", "car"), ("rider", "pedestrian"), ("traffic cone", "traffic_cone"), ("road", None)],
)
def test_classes_of_datasets_are_found_by_their_names(name, expected):
    place = class_named(name)
    assert (None if place is None else NAMES[place]) == expected
