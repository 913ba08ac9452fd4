import numpy as np
import pytest
import slow_rays
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.synthetic.rays import RayFan
from vsrd_ray.synthetic.spans import expand, low_and_high
from vsrd_ray.synthetic.turns import cast_turn, directions


def random_faces(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centers = rng.uniform(-6, 6, size=(60, 1, 3))
    scale = rng.choice([0.1, 0.7, 3.0], size=(60, 1, 1))
    return (centers + scale * rng.normal(size=(60, 3, 3)))[:, [0, 1, 2, 2]]


@given(st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_a_turn_agrees_with_its_slow_twin(seed: int) -> None:
    faces = random_faces(seed)
    azimuths, elevations = np.pi - (np.arange(40) + 0.5) * np.pi / 20, np.linspace(-1.2, 0.9, 17)
    turn = cast_turn(faces, azimuths, elevations)
    face, distance = slow_rays.cast(faces, directions(azimuths, elevations).reshape(-1, 3))
    # The rasterizer cuts what is nearer than 0.1 m to a view's plane.
    far = (distance > 0.5).reshape(40, 17)
    assert (turn.face[far] == face.reshape(40, 17)[far]).all()
    assert turn.distance[far & (turn.face >= 0)] == pytest.approx(distance.reshape(40, 17)[far & (turn.face >= 0)])


def test_columns_may_come_in_any_order() -> None:
    faces, elevations = random_faces(3), np.linspace(-0.5, 0.5, 9)
    azimuths = np.linspace(-3, 9, 50)
    order = np.random.default_rng(0).permutation(50)
    straight, mixed = cast_turn(faces, azimuths, elevations), cast_turn(faces, azimuths[order], elevations)
    assert (straight.face[order] == mixed.face).all()


@given(st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_a_fan_agrees_with_its_slow_twin_but_for_slivers(seed: int) -> None:
    faces, rays = random_faces(seed), np.random.default_rng(seed).normal(size=(400, 3))
    hits = RayFan(rays, focal=60.0).cast(faces)
    face, length = slow_rays.cast(faces, rays)
    far = length * np.linalg.norm(rays, axis=1) > 0.5
    same = hits.face == face
    assert same[far].mean() > 0.985
    both = far & same & (face >= 0)
    assert hits.distance[both] == pytest.approx(length[both], rel=1e-9)


def test_runs_are_laid_end_to_end() -> None:
    numbers, owner = expand(np.array([3, 7, 0]), np.array([6, 5, 2]))
    assert numbers.tolist() == [3, 4, 5, 0, 1]
    assert owner.tolist() == [0, 0, 0, 2, 2]


def test_extents_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).normal(size=(9, 4, 2))
    low, high = low_and_high(values)
    assert (low == values.min(axis=1)).all() and (high == values.max(axis=1)).all()
