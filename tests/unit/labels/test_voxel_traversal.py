"""Walks of rays through voxels, against a slow twin that cuts rays at planes."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="walks through voxels are compiled by numba")

from slow_traversal import slow_count, slow_first

from vsrd_ray.labels.voxels.traversal import Rays, count, expected_ends, first_occupied, posterior

SHAPE = (7, 5, 4)


@pytest.fixture(scope="module")
def rays():
    rng = np.random.default_rng(3)
    directions = rng.standard_normal((300, 3))
    directions[::7, rng.integers(0, 3)] = 0.0
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    origins = rng.uniform(-3, 9, (300, 3))
    ranges = np.where(rng.random(300) < 0.2, np.inf, rng.uniform(0.5, 15, 300))
    return Rays(origins, directions, ranges)


def test_counts(rays):
    found = count(rays, SHAPE)
    passed, hits = slow_count(rays.origins, rays.directions, rays.ranges, SHAPE)
    np.testing.assert_allclose(found.passed, passed, atol=1e-9)
    np.testing.assert_array_equal(found.hits, hits)
    assert hits.sum() > 10


def test_weights(rays):
    weights = np.linspace(0, 2, len(rays.ranges))
    one = count(rays, SHAPE, weights)
    parts = [count(Rays(rays.origins[p], rays.directions[p], rays.ranges[p]), SHAPE) for p in np.arange(300)[:, None]]
    np.testing.assert_allclose(one.hits, sum(w * p.hits for w, p in zip(weights, parts, strict=True)), atol=1e-12)


def test_first_hits(rays):
    occupied = np.random.default_rng(4).random(SHAPE) < 0.2
    found = first_occupied(rays, occupied)
    expected = [slow_first(o, d, occupied) for o, d in zip(rays.origins, rays.directions, strict=True)]
    np.testing.assert_array_equal(found.places, expected)
    hit = found.places >= 0
    middle = rays.origins[hit] + ((found.entered + found.left) / 2)[hit, None] * rays.directions[hit]
    voxels = np.floor(middle).astype(int)
    np.testing.assert_array_equal(np.ravel_multi_index(tuple(voxels.T), SHAPE), found.places[hit])


def test_expected_ends_of_one_ray():
    """Along x the walk is known: lengths of 1, densities by Simpson's rule."""
    occupancy = np.full((6, 1, 1), 0.2)
    ray = Rays(np.array([[0.0, 0.5, 0.5]]), np.array([[1.0, 0, 0]]), np.array([2.6]))
    factor = np.ones((6, 1, 1, 2), dtype=np.float32)
    sigma = 0.5
    found = expected_ends(ray, np.array([sigma]), np.array([1]), occupancy, factor, outliers=1e-3)

    def normal(t):
        return np.exp(-0.5 * ((t - 2.6) / sigma) ** 2) / sigma / np.sqrt(2 * np.pi)

    starts = np.arange(5.0)  # up to 2.6 + 3 sigma = 4.1
    density = (normal(starts) + 4 * normal(starts + 0.5) + normal(starts + 1)) / 6
    ends, arrivals, _ = posterior(np.full((1, 5), 0.2), np.ones((1, 5)), density[None], outliers=1e-3)
    np.testing.assert_allclose(found.ends[:5, 0, 0], ends[0], rtol=1e-9)
    np.testing.assert_allclose(found.arrivals[:5, 0, 0], arrivals[0], rtol=1e-9)
    np.testing.assert_allclose(found.votes[:5, 0, 0, 1], ends[0], rtol=1e-5)
    assert found.ends[5, 0, 0] == 0


def test_a_ray_that_may_end_behind_the_grid_is_not_forced_to_end_in_it():
    occupancy, factor = np.full((4, 1, 1), 0.02), np.ones((4, 1, 1, 1), dtype=np.float32)
    ray = Rays(np.array([[0.0, 0.5, 0.5]]), np.array([[1.0, 0, 0]]), np.array([6.0]))
    found = expected_ends(ray, np.array([1.5]), np.array([0]), occupancy, factor, outliers=1e-4)
    assert found.ends.sum() < 0.3
