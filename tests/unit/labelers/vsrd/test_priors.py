import numpy as np
import pytest

from vsrd_ray.errors import ConfigError
from vsrd_ray.labelers.vsrd.bodies import FAMILIES, SOLID_SIZES
from vsrd_ray.labelers.vsrd.priors import ShapePrior, load_prior, save_prior, train_prior

each_family = pytest.mark.parametrize("family", FAMILIES)


def shapes_of(prior, latents):
    """Vertices [S, P, 3] of shapes with latents [S, L]."""
    return prior.mean + np.einsum("sl,lpi->spi", latents, prior.basis)


@each_family
def test_what_ships_is_what_training_gives(family):
    shipped, trained = load_prior(family), train_prior(family)
    assert shipped.mean.dtype == shipped.basis.dtype == np.float32
    np.testing.assert_allclose(shipped.mean, trained.mean, rtol=0, atol=1e-5)
    np.testing.assert_allclose(shipped.basis, trained.basis, rtol=0, atol=1e-5)


@each_family
def test_components_are_those_of_the_covariance(family):
    """The basis, as columns B, has B^T B diagonal and descending, and C B = B B^T B for the covariance C."""
    prior = train_prior(family, samples=300, latents=5, seed=3)
    rng = np.random.default_rng(3)
    shapes = np.stack([FAMILIES[family](rng).vertices.ravel() for _ in range(300)])
    np.testing.assert_allclose(prior.mean.ravel(), shapes.mean(axis=0), rtol=0, atol=1e-6)
    columns = prior.basis.reshape(5, -1).T.astype(np.float64)
    gram = columns.T @ columns
    np.testing.assert_allclose(gram, np.diag(gram.diagonal()), rtol=0, atol=1e-5)
    assert (np.diff(gram.diagonal()) < 0).all()
    np.testing.assert_allclose(np.cov(shapes.T, ddof=0) @ columns, columns @ gram, rtol=0, atol=1e-5)


@each_family
def test_a_family_is_nearly_spanned_by_its_prior(family):
    """Bodies that the training has not seen are off the best shape by 3 % of the box in the mean."""
    prior, rng = load_prior(family), np.random.default_rng(1000)
    bodies = np.stack([FAMILIES[family](rng).vertices for _ in range(200)])
    basis = prior.basis.reshape(len(prior.basis), -1)
    latents, *_ = np.linalg.lstsq(basis.T, (bodies - prior.mean).reshape(200, -1).T)
    off = np.abs(shapes_of(prior, latents.T) - bodies).mean()
    spread = np.abs(prior.mean - bodies).mean()
    assert off < 0.03 and off < 0.6 * spread
    # Latents are about standard normal ones.
    np.testing.assert_allclose(latents.std(axis=1), 1, rtol=0, atol=0.2)
    assert np.abs(latents).max() < 6


@each_family
def test_whatever_the_latents_shapes_reach_every_side_of_their_box(family):
    prior = load_prior(family)
    latents = np.random.default_rng(0).uniform(-3, 3, (1000, len(prior.basis)))
    shapes = shapes_of(prior, latents)
    assert shapes.min(axis=1).max() < -1 + 1e-5
    assert shapes.max(axis=1).min() > 1 - 1e-5


@each_family
def test_likely_shapes_hardly_reach_out_of_their_box(family):
    """Linear shapes can: by less than 15 % of half the box in 19 of 20 shapes, and not at all over the roof."""
    prior = load_prior(family)
    latents = np.random.default_rng(0).normal(size=(2000, len(prior.basis)))
    beyond = np.abs(shapes_of(prior, latents)).max(axis=1) - 1  # [S, 3]
    assert np.quantile(beyond, 0.95, axis=0).max() < 0.15
    assert np.quantile(beyond, 0.5, axis=0).max() < 1e-5
    assert beyond[:, 1].max() < 0.1


def test_a_saved_prior_comes_back(tmp_path):
    prior = train_prior("car", samples=30, latents=3)
    path = tmp_path / "mine.npz"
    save_prior(prior, path)
    again = load_prior(str(path))
    assert np.array_equal(again.mean, prior.mean) and np.array_equal(again.basis, prior.basis)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.npz"]
    np.testing.assert_allclose(again.body.vertices, prior.mean)
    assert again.body.vertices.dtype == np.float64


def test_an_unknown_prior_lists_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"no shape prior 'carr': give box, car or a file of `vsrd-ray train-prior`"):
        load_prior("carr")
    with pytest.raises(ConfigError, match="no shape prior"):
        load_prior(str(tmp_path / "not_there.npz"))


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_archive_is_refused(content, tmp_path):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.npz: not a shape prior of `vsrd-ray train-prior`"):
        load_prior(str(path))


def test_other_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    with pytest.raises(ConfigError, match=r"other\.npz: not a shape prior .*basis"):
        load_prior(str(tmp_path / "other.npz"))
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ConfigError, match=r"one\.npy: not a shape prior"):
        load_prior(str(tmp_path / "one.npy"))


@pytest.mark.parametrize("sizes", [((5, 3), (2, 5, 3)), ((sum(SOLID_SIZES), 3), (2, 7, 3))])
def test_a_prior_of_other_bodies_is_refused(sizes, tmp_path):
    path = tmp_path / "old.npz"
    save_prior(ShapePrior(*(np.zeros(size, dtype=np.float32) for size in sizes)), path)
    with pytest.raises(ConfigError, match=r"old\.npz: a shape prior of other bodies than these: train it again"):
        load_prior(str(path))
