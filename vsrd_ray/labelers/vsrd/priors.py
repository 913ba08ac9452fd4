"""Shape priors: what vehicles of a kind look like, learned from a family of parametric bodies, or from meshes.

The principal components of a family's vertices, in the unit box. A shape is `mean + latents @ basis` with latents about
as likely as standard normal ones; whatever they are, it touches its box where all bodies of the family do.
Shapes: L latents, P vertices.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO

import numpy as np

from vsrd_ray.errors import ConfigError, one_line
from vsrd_ray.labelers.vsrd.bodies import FAMILIES, SOLID_SIZES, Body
from vsrd_ray.labelers.vsrd.meshes import read_mesh, surface_points
from vsrd_ray.labelers.vsrd.shapefit import fit_body
from vsrd_ray.storage import Location
from vsrd_ray.storage.atomic import atomic_write

_FOLDER = "shape_priors"  # beside this file
_TOLERANCE = 1e-3  # of the unit box
_MESH_POINTS = 20_000  # of which those outside are fitted


@dataclass(frozen=True)
class ShapePrior:
    """A mean body and the directions in which bodies of its kind differ."""

    mean: np.ndarray  # [P, 3] float32, unit box
    basis: np.ndarray  # [L, P, 3] float32; one standard deviation along each component

    @property
    def body(self) -> Body:
        """The mean body."""
        return Body(self.mean.astype(np.float64))


def train_prior(family: str, *, samples: int = 4000, latents: int = 8, seed: int = 0) -> ShapePrior:
    """The principal components of random bodies of a family.

    Args:
        family: a name from `FAMILIES`.
        samples: number of bodies.
        latents: number of components that are kept, the largest ones.
        seed: of the bodies.
    """
    rng = np.random.default_rng(seed)
    return _components(np.stack([FAMILIES[family](rng).vertices for _ in range(samples)]), latents)


def prior_of_meshes(
    family: str,
    files: Sequence[Location],
    *,
    samples: int = 4000,
    latents: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ShapePrior:
    """The principal components of bodies around those fitted to meshes of vehicles.

    Round each mesh, bodies vary as its family does, but by 1 / sqrt(meshes) of that: one mesh alone says nothing of how
    vehicles differ, many say it all.

    Args:
        family: a name from `FAMILIES`, whose bodies are fitted.
        files: one vehicle each; x forward, y left, z up.
        samples: number of bodies.
        latents: number of components that are kept, the largest ones.
        seed: of points on the meshes, and of the bodies.
        progress: called with the meshes that are done, and their number.

    Raises:
        InputError: a file that is no mesh of a vehicle.
    """
    usual = load_prior(family)
    fitted: list[np.ndarray] = []
    for file in files:
        points, half_extents = surface_points(read_mesh(file), count=_MESH_POINTS, seed=seed, name=str(file))
        fitted.append(fit_body(points, half_extents, mean=usual.mean, basis=usual.basis))
        if progress is not None:
            progress(len(fitted), len(files))
    rng = np.random.default_rng(seed)
    varied = np.stack([FAMILIES[family](rng).vertices for _ in range(samples)])
    shapes = np.stack(fitted)[np.arange(samples) % len(fitted)]
    return _components(shapes + (varied - varied.mean(axis=0)) / np.sqrt(len(fitted)), latents)


def _components(shapes: np.ndarray, latents: int) -> ShapePrior:
    """The mean and the largest principal components of bodies [S, P, 3]."""
    mean = shapes.mean(axis=0)
    _, scales, components = np.linalg.svd((shapes - mean).reshape(len(shapes), -1), full_matrices=False)
    components = components[:latents] * (scales[:latents, None] / np.sqrt(len(shapes)))
    signs = np.sign(np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1))
    basis = (components * signs).reshape(latents, *mean.shape)
    return ShapePrior(mean.astype(np.float32), basis.astype(np.float32))


def save_prior(prior: ShapePrior, path: Location) -> None:
    """Write a prior as .npz, whole or not at all."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, mean=prior.mean, basis=prior.basis)


def load_prior(name_or_file: str) -> ShapePrior:
    """A prior that ships with the package, by its name, or one of `save_prior`.

    Raises:
        ConfigError: there is no such prior, or the file holds none whose bodies fill the unit box.
    """
    shipped = resources.files("vsrd_ray.labelers.vsrd") / _FOLDER / f"{name_or_file}.npz"
    known = f"give {', '.join(sorted(FAMILIES))} or a file of `vsrd-ray train-prior`"
    try:
        is_shipped = shipped.is_file()
        if not is_shipped and not Path(name_or_file).is_file():
            raise ConfigError(f"no shape prior {name_or_file!r}: {known}")
        with shipped.open("rb") if is_shipped else Path(name_or_file).open("rb") as file:
            return _read(file, name_or_file)
    except (OSError, ValueError) as error:  # no permission, or a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"shape prior {name_or_file!r} cannot be read ({reason}): {known}") from error


def _read(file: IO[bytes], name: str) -> ShapePrior:
    try:
        arrays = np.load(file)
        mean, basis = (np.asarray(arrays[key]).astype(np.float32, casting="same_kind") for key in ("mean", "basis"))
    except Exception as error:  # whatever is in the file: archives and arrays can be torn in many ways
        raise ConfigError(f"{name}: not a shape prior of `vsrd-ray train-prior` ({one_line(error)})") from error
    if mean.shape != (sum(SOLID_SIZES), 3) or basis.shape[1:] != mean.shape or not len(basis):
        raise ConfigError(f"{name}: a shape prior of other bodies than these: train it again")
    if not _fills_its_box(mean) or not (np.abs(basis) <= 1 + _TOLERANCE).all():
        raise ConfigError(f"{name}: a shape prior whose bodies do not fill the unit box: train it again")
    return ShapePrior(mean, basis)


def _fills_its_box(
    mean: np.ndarray,  # [P, 3]
) -> bool:
    """Whether a mean body touches the unit box on every side, and is nowhere beyond; one with a NaN does not."""
    return bool(
        (np.abs(mean.min(axis=0) + 1) <= _TOLERANCE).all() and (np.abs(mean.max(axis=0) - 1) <= _TOLERANCE).all()
    )
