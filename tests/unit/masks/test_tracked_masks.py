from types import SimpleNamespace

import numpy as np

from vsrd_ray.data.drive import Camera
from vsrd_ray.masks.base import Mask
from vsrd_ray.masks.rle import Part
from vsrd_ray.masks.tracked import Outline, numbered, numbered_in_frame, tracked_numbers

K = np.array([[100.0, 0.0, 100.0], [0.0, 100.0, 50.0], [0.0, 0.0, 1.0]])


def standing_camera(frames):
    return Camera("front", K, (30000, 100), {frame: np.eye(4) for frame in frames})


def outline(left, *, class_name="car", is_instance=True, score=0.9):
    return Outline(class_name, is_instance, (left, 40, left + 15, 60), score)


def test_instances_are_numbered_by_class_and_stuff_and_the_unknown_stay():
    rows = [outline(20), outline(100), outline(60, class_name="person"), outline(0, is_instance=False), outline(9)]
    rows[4] = Outline(None, False, rows[4].box_xyxy, 1.0)
    numbers, num_left_out = tracked_numbers(dict.fromkeys(range(5), rows), standing_camera(range(5)))
    assert set(numbers.values()) == {(1, 2, 1, 0, -1)}
    assert num_left_out == 0


def test_masks_that_are_seen_once_are_unknown_or_nothing():
    seen = [outline(20), outline(100, score=0.9), outline(150, score=0.2)]
    numbers, _ = tracked_numbers({0: seen[:1], 1: seen, 2: seen[:1]}, standing_camera(range(3)))
    masks = [Mask("car", place, Part(0, 0, np.ones((1, 1), bool)), one.score) for place, one in enumerate(seen, 1)]
    found = numbered(masks, numbers[1])
    assert [(mask.class_name, mask.number) for mask in found] == [("car", 1), (None, None)]


def test_a_class_with_too_many_objects_keeps_those_that_are_seen_most():
    outlines = {
        100 * batch + frame: [outline(2000 * batch + 20 * place) for place in range(91)]
        for batch in range(11)
        for frame in range(3)
    }
    outlines[502].pop(7)
    numbers, num_left_out = tracked_numbers(outlines, standing_camera(outlines))
    assert num_left_out == 11 * 91 - 999 == 2
    assert [numbers[frame][7] for frame in (500, 501)] == [-1, -1]
    found = [one for row in numbers.values() for one in row]
    assert set(found) == {-1, *range(1, 1000)}


def test_an_empty_mask_is_no_detection():
    mask = SimpleNamespace(class_name="car", number=None, part=Part(3, 4, np.zeros((0, 0), bool)), score=0.9)
    assert not Outline.of(mask).is_instance
    numbers, _ = tracked_numbers({0: [], 1: [Outline.of(mask)]}, standing_camera([0, 1]))
    assert numbers == {0: (), 1: (0,)}


def test_masks_without_numbers_have_their_own_in_a_frame():
    part = Part(0, 0, np.ones((1, 1), dtype=bool))
    given = [("car", None), ("person", None), ("car", 4), ("car", None), (None, None), ("road", 0)]
    found = numbered_in_frame([Mask(name, number, part) for name, number in given])
    assert [one.number for one in found] == [5, 1, 4, 6, None, 0]
