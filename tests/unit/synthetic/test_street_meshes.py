import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrd_ray.synthetic.meshes import (
    blob,
    column,
    cuboid,
    face_normals,
    facing_outward,
    fan,
    joined,
    painted,
    regular_polygon,
    split_quads,
)


def volume(faces: np.ndarray) -> float:
    """Volume of a closed surface, by the divergence theorem: right only if every face looks outward."""
    return float(np.einsum("fi,fi->", face_normals(faces), faces[:, 0]) / 6)


def test_cuboid_is_closed_and_looks_outward() -> None:
    faces = cuboid([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert volume(faces) == pytest.approx(1 * 2 * 3)
    assert face_normals(faces).sum(axis=0) == pytest.approx(np.zeros(3))


def test_column_has_the_volume_of_its_prism() -> None:
    octagon = 2 * np.sqrt(2) * 0.5**2
    assert volume(column(0.5, 3.0)) == pytest.approx(3.0 * octagon)


def test_blob_is_closed_and_stays_within_its_bumps() -> None:
    faces = blob([1.0, 2.0, 0.5], np.random.default_rng(3))
    assert faces.shape == (80, 4, 3)
    assert face_normals(faces).sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    ellipsoid = 4 / 3 * np.pi * 1.0 * 2.0 * 0.5
    assert 0.78**3 * 0.8 * ellipsoid < volume(faces) < 1.1**3 * ellipsoid
    radii = np.linalg.norm(faces / [1.0, 2.0, 0.5], axis=-1)
    assert 0.78 <= radii.min() <= radii.max() <= 1.1


@given(st.integers(0, 2**6 - 1))
def test_facing_outward_mends_any_flipped_faces(flips: int) -> None:
    faces = cuboid([-1.0, -1.0, -1.0], [1.0, 2.0, 3.0])
    flipped = np.array([face[::-1] if flips >> i & 1 else face for i, face in enumerate(faces)])
    assert volume(facing_outward(flipped, np.zeros(3))) == pytest.approx(2 * 3 * 4)


def test_flipped_triangles_still_repeat_their_last_corner() -> None:
    triangles = split_quads(cuboid([-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]))[:, [0, 2, 1, 1]]
    mended = facing_outward(triangles, np.zeros(3))
    assert volume(mended) == pytest.approx(8.0)
    assert (mended[:, 2] == mended[:, 3]).all()


def test_fan_covers_a_polygon() -> None:
    polygon = np.pad(regular_polygon(12, 2.0), ((0, 0), (0, 1)))
    quads = fan(polygon)
    area = face_normals(quads)[:, 2].sum() / 2
    assert quads.shape == (5, 4, 3)
    assert area == pytest.approx(0.5 * 12 * 2.0**2 * np.sin(2 * np.pi / 12))
    assert polygon[0] == pytest.approx([0.0, -2.0, 0.0])


def test_placed_turns_and_then_moves() -> None:
    mesh = painted(cuboid([0.0, 0.0, 0.0], [2.0, 1.0, 1.0]), (1, 2, 3), instance_id=26001)
    placed = mesh.placed(np.pi / 2, np.array([10.0, 20.0, 30.0]))
    assert placed.faces.reshape(-1, 3).min(axis=0) == pytest.approx([9.0, 20.0, 30.0])
    assert placed.faces.reshape(-1, 3).max(axis=0) == pytest.approx([10.0, 22.0, 31.0])


def test_joined_keeps_labels_and_looks_with_their_faces() -> None:
    box = cuboid([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    mesh = joined([painted(box, (1, 2, 3), instance_id=7000), painted(box[:2], (4, 5, 6), instance_id=26001)])
    assert mesh.ids.tolist() == [7000] * 6 + [26001] * 2
    assert mesh.colors[5:7].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert len(mesh.faces) == len(mesh.roughness) == 8
