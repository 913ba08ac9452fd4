import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_points import slow_components

from vsrd_ray.labelers.points.clustering import Points, components


def points_of(seed, num, spread, kinds):
    rng = np.random.default_rng(seed)
    middles = rng.uniform(-spread, spread, (4, 3))
    xyz = middles[rng.integers(0, 4, num)] + rng.normal(0, spread / 8, (num, 3))
    return Points(
        xyz=xyz,
        margin=rng.choice([1.0, 0.65], num),
        block=rng.integers(0, kinds, num),
        scope=rng.integers(0, kinds, num),
        part=rng.integers(0, kinds, num),
    )


@given(
    seed=st.integers(0, 2**20),
    num=st.integers(1, 90),
    spread=st.sampled_from([2.0, 8.0, 60.0]),
    kinds=st.integers(1, 3),
)
@settings(max_examples=60)
def test_voxels_and_trees_link_what_all_pairs_link(seed, num, spread, kinds):
    points = points_of(seed, num, spread, kinds)
    expected = slow_components(points.xyz, points.margin, points.block, points.scope, points.part)
    np.testing.assert_array_equal(components(points), expected)


def test_far_points_are_linked_by_the_range_of_the_farther_one():
    """The nearer one alone would not reach: .04 * 50 < 2.05 < .04 * 52.05."""
    xyz = np.array([[50.0, 0, 0], [52.05, 0, 0]])
    one = np.zeros(2, dtype=int)
    assert components(Points(xyz, np.ones(2), one, one, one)).tolist() == [0, 0]


@pytest.mark.parametrize("num", [0, 1])
def test_few_points_are_components(num):
    none = np.zeros(num, dtype=int)
    assert components(Points(np.zeros((num, 3)), np.ones(num), none, none, none)).tolist() == [0] * num


def test_a_dense_sweep_is_clustered_without_all_pairs():
    """20,000 points have 200 million pairs, which no worker has the memory for."""
    rng = np.random.default_rng(0)
    car = np.repeat(np.arange(20), 1000)
    xyz = np.column_stack([car % 5 * 6.0 + rng.uniform(0, 4, len(car)), car // 5 * 3.5, rng.uniform(0, 1.5, len(car))])
    one = np.zeros(len(car), dtype=int)
    np.testing.assert_array_equal(components(Points(xyz, np.ones(len(car)), one, one, one)), car)
