import math

import numpy as np
import pytest
import torch

from vsrd_ray.labelers.vsrd.config import BoxSettings
from vsrd_ray.labelers.vsrd.parameters import Boxes, BoxParameters, BoxRanges, rotations_about_y

SETTINGS = BoxSettings()


def ranges_of(count, name="car"):
    return BoxRanges.of(SETTINGS, [name] * count, like=torch.zeros(1, dtype=torch.float64))


def random_parameters(seed=0, batch=()):
    rng = np.random.default_rng(seed)
    return BoxParameters(*(torch.as_tensor(rng.normal(size=(*batch, 4, size))) for size in (3, 3, 2)))


def test_the_flat_start_is_fifty_metres_ahead():
    boxes = BoxParameters.flat(2, like=torch.zeros(1, dtype=torch.float64)).decode(ranges_of(2))
    np.testing.assert_allclose(boxes.locations, [[0, 0.675, 50]] * 2, atol=1e-12)
    np.testing.assert_allclose(boxes.half_extents, [[0.875, 0.875, 2]] * 2, atol=1e-12)
    np.testing.assert_allclose(boxes.R_ref_obj, [np.eye(3)] * 2, atol=1e-12)


def test_decode_by_hand():
    third = math.log(1 / 2)  # sigmoid of it is 1 / 3
    parameters = BoxParameters(*(torch.tensor([values]).double() for values in ([third] * 3, [third] * 3, [3.0, 4])))
    boxes = parameters.decode(ranges_of(1))
    np.testing.assert_allclose(boxes.locations[0], [-50 / 3, -4.325 + 10 / 3, 100 / 3], atol=1e-5)
    np.testing.assert_allclose(boxes.half_extents[0], [0.75 + 0.25 / 3, 0.75 + 0.25 / 3, 1.5 + 1 / 3], atol=1e-6)
    np.testing.assert_allclose(boxes.R_ref_obj[0], [[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]], atol=1e-12)


def test_yaw_turns_forward_towards_the_right():
    R = rotations_about_y(torch.tensor([math.cos(0.3), math.sin(0.3)]))
    assert (R @ torch.tensor([0.0, 0, 1])).tolist() == pytest.approx([math.sin(0.3), 0, math.cos(0.3)])


@pytest.mark.parametrize("batch", [(), (1,), (3, 1)])
def test_encode_is_the_inverse_of_decode(batch):
    ranges = ranges_of(4)
    boxes = random_parameters(batch=batch).decode(ranges)
    yaws = torch.atan2(boxes.R_ref_obj[..., 0, 2], boxes.R_ref_obj[..., 2, 2])
    encoded = BoxParameters.encode(ranges, locations=boxes.locations, half_extents=boxes.half_extents, yaws=yaws)
    again = encoded.decode(ranges)
    assert again.locations.shape == (*batch, 4, 3)
    torch.testing.assert_close(again.locations, boxes.locations)
    torch.testing.assert_close(again.half_extents, boxes.half_extents)
    torch.testing.assert_close(again.R_ref_obj, boxes.R_ref_obj)


def test_what_is_out_of_range_is_brought_just_inside():
    outside = {"locations": torch.tensor([[-80.0, 0, 300]]), "half_extents": torch.tensor([[0.1, 5, 2]])}
    parameters = BoxParameters.encode(ranges_of(1), **outside, yaws=torch.zeros(1))
    boxes = parameters.decode(ranges_of(1))
    np.testing.assert_allclose(boxes.locations, [[-49.9, 0, 99.9]], atol=1e-3)
    np.testing.assert_allclose(boxes.half_extents, [[0.75025, 0.99975, 2]], atol=1e-4)
    assert all(torch.isfinite(raw).all() for raw in parameters.tensors())


def test_sizes_hang_on_the_class():
    names = ["bus", "car", "trailer"]
    middle = BoxParameters.flat(3, like=torch.zeros(1)).decode(BoxRanges.of(SETTINGS, names, like=torch.zeros(1)))
    for half_extents, name in zip(middle.half_extents, names, strict=True):
        size = SETTINGS.sizes[name]
        np.testing.assert_allclose(half_extents, np.mean([size.half_extents_min, size.half_extents_max], axis=0))


def test_corners_and_local_coordinates_agree():
    boxes = random_parameters(1).decode(ranges_of(4))
    corners = boxes.corners()
    for n in range(4):
        one = Boxes(boxes.locations[n : n + 1], boxes.half_extents[n : n + 1], boxes.R_ref_obj[n : n + 1])
        torch.testing.assert_close(one.to_local(corners[n])[0].abs(), boxes.half_extents[n].expand(8, 3))


def test_corners_by_hand():
    boxes = Boxes(torch.tensor([[0.0, 1, 10]]), torch.tensor([[1.0, 0.5, 2]]), torch.eye(3)[None])
    corners = boxes.corners()[0]
    assert corners[0].tolist() == [-1, 0.5, 12]  # front left at the top
    assert corners[6].tolist() == [1, 1.5, 8]  # rear right at the bottom
