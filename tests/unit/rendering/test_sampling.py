import numpy as np
import pytest
import slow_rendering
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.rendering.sampling import importance_distances, stratified_distances

NEAR, FAR = torch.tensor([0.0, 10.0]), torch.tensor([8.0, 12.0])


def test_middles_of_the_bins_by_hand():
    distances = stratified_distances(NEAR, FAR, num_samples=4, generator=None)
    assert distances.tolist() == [[1, 3, 5, 7], [10.25, 10.75, 11.25, 11.75]]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40))
def test_one_random_sample_in_every_bin(seed, num_samples):
    generator = torch.Generator().manual_seed(seed)
    distances = stratified_distances(NEAR, FAR, num_samples=num_samples, generator=generator)
    bins = (distances - NEAR[:, None]) / (FAR - NEAR)[:, None] * num_samples
    steps = torch.arange(num_samples)
    assert (bins >= steps - 1e-3).all() and (bins <= steps + 1 + 1e-3).all()


def test_random_samples_hang_on_the_generator_alone():
    def draw(seed):
        return stratified_distances(NEAR, FAR, num_samples=5, generator=torch.Generator().manual_seed(seed))

    first = draw(3)
    torch.rand(7)
    assert torch.equal(first, draw(3))
    assert (first != draw(4)).all()


def test_importance_by_hand():
    # a tenth of the weight in the first bin, none in the second, the rest in the third
    bins, weights, quantiles = (
        torch.tensor([values], dtype=torch.float64) for values in ([0, 1, 2, 4], [1, 0, 9], [0.05, 0.1, 0.55])
    )
    distances = importance_distances(bins, weights, quantiles=quantiles)
    assert distances[0].tolist() == pytest.approx([0.5, 1.0, 3.0], abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_importance_equals_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    bins = np.sort(rng.uniform(0, 100, (3, 9)), axis=-1)
    weights = rng.uniform(0, 1, (3, 8)) * (rng.random((3, 8)) < 0.7) + 1e-9
    quantiles = rng.uniform(0, 0.999, (3, 12))
    fast = importance_distances(*map(torch.as_tensor, (bins, weights)), quantiles=torch.as_tensor(quantiles))
    slow = [
        [slow_rendering.importance_distance(bins[r], weights[r], quantile) for quantile in quantiles[r]]
        for r in range(3)
    ]
    np.testing.assert_allclose(fast, slow, atol=1e-9)


def test_importance_samples_follow_the_weights():
    rng = np.random.default_rng(0)
    bins = torch.linspace(0, 5, 6).double()[None]
    weights = torch.tensor([[1.0, 4, 0, 3, 2]]).double()
    distances = importance_distances(bins, weights, quantiles=torch.as_tensor(rng.random((1, 20000))))
    shares = np.histogram(distances, bins=bins[0])[0] / 20000
    np.testing.assert_allclose(shares, weights[0] / 10, atol=0.02)


def test_a_ray_without_any_weight_stays_in_range():
    bins = torch.linspace(2, 3, 5).double()[None]
    distances = importance_distances(bins, torch.zeros(1, 4).double(), quantiles=torch.tensor([[0, 0.5, 1.0]]).double())
    assert torch.isfinite(distances).all()
