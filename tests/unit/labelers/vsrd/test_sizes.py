import numpy as np

from vsrd_ray.labelers.vsrd.config import BoxSettings
from vsrd_ray.labelers.vsrd.sizes import are_too_small
from vsrd_ray.synthetic.cars import SHAPES

CAR, TRUCK = BoxSettings().sizes["car"], BoxSettings().sizes["truck"]


def too_small(*lengths_widths_heights, size=CAR):
    half = np.array(lengths_widths_heights)[:, [1, 2, 0]] / 2
    return are_too_small(half, [size] * len(half)).tolist()


def test_parts_of_cars_are_too_small_and_small_cars_are_not():
    assert too_small((2.46, 1.41, 1.34), (3.65, 1.2, 1.15)) == [True, True]
    assert too_small((2.5, 1.56, 1.55), (3.4, 1.48, 1.7), (2.7, 1.62, 1.49)) == [False, False, False]


def test_large_vehicles_are_never_too_small():
    assert too_small((5.9, 2.0, 2.6), (4.8, 2.0, 2.05)) == [False, False]


def test_classes_have_sizes_of_their_own():
    assert too_small((4.2, 1.7, 1.5)) == [False] and too_small((4.2, 1.7, 1.5), size=TRUCK) == [True]
    assert are_too_small(np.empty((0, 3)), []).tolist() == []


def test_no_car_of_built_in_streets_is_too_small():
    shortest = [(shape.length[0], shape.width[0], shape.height[0]) for shape in SHAPES]
    assert too_small(*shortest) == [False] * len(SHAPES)
