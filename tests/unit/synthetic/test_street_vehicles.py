import numpy as np
import pytest

from vsrd_ray.synthetic.bodies import TYRE
from vsrd_ray.synthetic.meshes import Mesh, face_normals
from vsrd_ray.synthetic.vehicles import OTHER_SHAPES, VehicleShape

SEEDS = range(5)
PAINT = (200.0, 10.0, 10.0)
SHAPE_PARAMETERS = pytest.mark.parametrize("shape", OTHER_SHAPES, ids=lambda shape: shape.name)
# Smallest and largest length, width and height of each class, metres.
SIZES = {
    "truck": ((6.0, 2.2, 2.6), (10.0, 2.55, 3.8)),
    "bus": ((10.0, 2.45, 2.9), (12.5, 2.55, 3.3)),
    "caravan": ((5.0, 2.0, 2.4), (7.5, 2.5, 2.8)),
    "trailer": ((2.5, 1.4, 0.9), (6.0, 2.5, 2.6)),
}


def vehicle(shape: VehicleShape, seed: int) -> tuple[Mesh, np.ndarray]:
    """A mesh in the frame of its box, and the dimensions."""
    dimensions = shape.random_dimensions(np.random.default_rng(seed))
    return shape.mesh(dimensions, paint=PAINT, instance_id=27001), dimensions


def test_each_class_has_a_shape() -> None:
    assert {shape.class_name for shape in OTHER_SHAPES} == set(SIZES)


@SHAPE_PARAMETERS
@pytest.mark.parametrize("seed", SEEDS)
def test_vehicles_touch_all_six_sides_of_their_boxes(shape: VehicleShape, seed: int) -> None:
    mesh, dimensions = vehicle(shape, seed)
    vertices = mesh.faces.reshape(-1, 3)
    assert vertices.max(axis=0) == pytest.approx(dimensions / 2, abs=1e-9)
    assert vertices.min(axis=0) == pytest.approx(-dimensions / 2, abs=1e-9)


@SHAPE_PARAMETERS
def test_sizes_are_those_of_real_vehicles(shape: VehicleShape) -> None:
    rng = np.random.default_rng(0)
    dimensions = np.array([shape.random_dimensions(rng) for _ in range(50)])
    smallest, largest = SIZES[shape.class_name]
    assert (dimensions >= smallest).all()
    assert (dimensions <= largest).all()


@SHAPE_PARAMETERS
@pytest.mark.parametrize("seed", SEEDS)
def test_vehicles_stand_on_their_axles_alone(shape: VehicleShape, seed: int) -> None:
    mesh, dimensions = vehicle(shape, seed)
    heights = mesh.faces[..., 2] + dimensions[2] / 2
    standing = mesh.faces[heights < 1e-9]
    assert sorted(set((standing[:, 0] / dimensions[0]).round(6))) == sorted(shape.axles)
    is_tyre = (mesh.colors == TYRE).all(axis=1)
    assert heights[~is_tyre].min() > 0.1


@SHAPE_PARAMETERS
def test_left_and_right_are_alike_and_front_and_rear_are_not(shape: VehicleShape) -> None:
    mesh, _ = vehicle(shape, 0)
    vertices = {tuple(vertex) for vertex in mesh.faces.reshape(-1, 3).round(9) + 0.0}
    assert {(x, -y + 0.0, z) for x, y, z in vertices} == vertices
    assert {(-x + 0.0, y, z) for x, y, z in vertices} != vertices


@SHAPE_PARAMETERS
@pytest.mark.parametrize("seed", SEEDS)
def test_faces_form_closed_surfaces(shape: VehicleShape, seed: int) -> None:
    mesh, dimensions = vehicle(shape, seed)
    normals = face_normals(mesh.faces)
    assert normals.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)
    assert (np.linalg.norm(normals, axis=1) > 1e-6).all()
    filled = np.einsum("fi,fi->", normals, mesh.faces[:, 0]) / 6 / dimensions.prod()
    assert 0.4 < filled < 0.95


@SHAPE_PARAMETERS
def test_every_face_bears_the_label(shape: VehicleShape) -> None:
    mesh, _ = vehicle(shape, 0)
    assert set(mesh.ids.tolist()) == {27001}


@pytest.mark.parametrize("shape", [shape for shape in OTHER_SHAPES if shape.class_name in ("caravan", "trailer")])
def test_what_cars_tow_has_a_drawbar_before_its_body(shape: VehicleShape) -> None:
    mesh, dimensions = vehicle(shape, 0)
    before = mesh.faces[mesh.faces[..., 0].min(axis=1) > 0.38 * dimensions[0]]
    assert len(before)
    assert np.abs(before[..., 1]).max() < 0.1
    assert (before[..., 2] + dimensions[2] / 2).max() < 0.75
