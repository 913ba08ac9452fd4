import numpy as np
import pytest
import slow_rendering
import torch

from vsrd_ray.labelers.vsrd.parameters import rotations_about_y
from vsrd_ray.rendering.rays import cast_rays, intersect_boxes

K = torch.tensor([[100.0, 0, 50], [0, 80, 30], [0, 0, 1]], dtype=torch.float64)


def random_poses(count, seed=0):
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0]
    poses[:, :3, 3] = rng.normal(size=(count, 3))
    return torch.as_tensor(poses)


def test_rays_by_hand():
    T_ref_cam = torch.eye(4, dtype=torch.float64)
    T_ref_cam[:3, 3] = torch.tensor([1.0, 2, 3])
    origins, directions = cast_rays(torch.tensor([[50.0, 30], [150, 30], [50, 110]]).double(), K, T_ref_cam)
    assert origins.tolist() == [[1, 2, 3]] * 3
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(directions, [[0, 0, 1], [half, 0, half], [0, half, half]], atol=1e-12)


def test_a_camera_for_each_ray_equals_the_slow_twin():
    pixels = torch.as_tensor(np.random.default_rng(0).uniform(0, 100, (7, 2)))
    poses = random_poses(7)
    origins, directions = cast_rays(pixels, K.expand(7, 3, 3), poses)
    for r in range(7):
        origin, direction = slow_rendering.cast_ray(pixels[r].tolist(), K.tolist(), poses[r].tolist())
        assert origins[r].tolist() == pytest.approx(origin)
        assert directions[r].tolist() == pytest.approx(direction)


@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2)])
def test_batch_axes_of_pixels_broadcast(batch):
    origins, directions = cast_rays(torch.zeros(*batch, 2).double(), K, random_poses(1)[0])
    assert origins.shape == directions.shape == (*batch, 3)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(batch).double())


def unit_boxes(*locations):
    locations = torch.tensor(locations, dtype=torch.float64)
    half_extents = torch.tensor([1.0, 1, 2], dtype=torch.float64).expand_as(locations)
    return locations, half_extents, torch.eye(3, dtype=torch.float64).expand(len(locations), 3, 3)


def test_intersections_by_hand():
    origins = torch.tensor([[0.0, 0, 0], [0, 0, 0], [0, 0, 10], [0, 1.5, 0]], dtype=torch.float64)
    directions = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 1]], dtype=torch.float64)
    enter, leave = intersect_boxes(origins, directions, *unit_boxes([0, 0, 10]))
    assert (enter[0].item(), leave[0].item()) == (8, 12)
    assert enter[1] > leave[1]  # looks past
    assert (enter[2].item(), leave[2].item()) == (0, 2)  # starts inside
    assert enter[3] > leave[3]  # parallel to the faces, above them


def test_a_box_behind_is_missed():
    ahead = torch.tensor([[0.0, 0, 1]], dtype=torch.float64)
    enter, leave = intersect_boxes(torch.zeros_like(ahead), ahead, *unit_boxes([0, 0, -10]))
    assert enter.item() > leave.item()


def test_intersections_equal_dense_marching():
    rng = np.random.default_rng(3)
    origins, aims = torch.as_tensor(rng.uniform(-4, 4, (25, 3))), torch.as_tensor(rng.uniform(-2, 2, (25, 3)))
    directions = torch.nn.functional.normalize(aims - origins, dim=-1)
    locations = torch.as_tensor(rng.uniform(-2, 2, (3, 3)))
    half_extents = torch.as_tensor(rng.uniform(0.8, 2.5, (3, 3)))
    R_ref_obj = rotations_about_y(torch.as_tensor(rng.normal(size=(3, 2))))
    enter, leave = intersect_boxes(origins, directions, locations, half_extents, R_ref_obj)
    step, hits = 0.02, 0
    for r in range(25):
        for n in range(3):
            box = slow_rendering.Box(*(array.numpy() for array in (locations[n], half_extents[n], R_ref_obj[n])))
            marched = slow_rendering.march_through_box(
                origins[r].numpy(), directions[r].numpy(), box, step=step, longest=12.0
            )
            if marched is None:
                assert leave[r, n] - enter[r, n] < step  # missed, or cut at less than a step
            else:
                hits += 1
                assert (enter[r, n].item(), leave[r, n].item()) == pytest.approx(marched, abs=step)
    assert 20 < hits < 70
