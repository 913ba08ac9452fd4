import numpy as np
import pytest

from vsrd_ray.synthetic.bodies import GLASS, TYRE
from vsrd_ray.synthetic.cars import SHAPES, CarShape
from vsrd_ray.synthetic.measured import measured_car
from vsrd_ray.synthetic.meshes import face_normals
from vsrd_ray.synthetic.settings import StreetSettings
from vsrd_ray.synthetic.street import build_street

PAINT = (200.0, 10.0, 10.0)
MEASURED = [measured_car(np.random.default_rng(seed)) for seed in range(6)]
SHAPE_PARAMETERS = pytest.mark.parametrize("shape", [*SHAPES, *MEASURED], ids=lambda shape: shape.name)


def car(shape: CarShape, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices as shares of the box [P, 3] (-.5 to .5), the faces' colours and the dimensions."""
    dimensions = shape.random_dimensions(np.random.default_rng(seed))
    mesh = shape.mesh(dimensions, paint=PAINT, instance_id=26001)
    return mesh.faces / dimensions, mesh.colors, dimensions


@SHAPE_PARAMETERS
@pytest.mark.parametrize("seed", range(5))
def test_cars_touch_all_six_sides_of_their_boxes(shape: CarShape, seed: int) -> None:
    dimensions = shape.random_dimensions(np.random.default_rng(seed))
    vertices = shape.mesh(dimensions, paint=PAINT, instance_id=26001).faces.reshape(-1, 3)
    assert vertices.max(axis=0) == pytest.approx(dimensions / 2, abs=1e-9)
    assert vertices.min(axis=0) == pytest.approx(-dimensions / 2, abs=1e-9)


@SHAPE_PARAMETERS
def test_sizes_are_those_of_real_cars(shape: CarShape) -> None:
    rng = np.random.default_rng(0)
    dimensions = np.array([shape.random_dimensions(rng) for _ in range(50)])
    assert (dimensions >= [3.45, 1.6, 1.4]).all()
    assert (dimensions <= [5.05, 2.0, 1.9]).all()


@SHAPE_PARAMETERS
def test_cars_are_no_boxes(shape: CarShape) -> None:
    faces, _, _ = car(shape)
    distances = np.abs(np.abs(faces.reshape(-1, 3)) - 0.5).max(axis=-1)
    assert distances.min() > 0.05  # no vertex comes near a corner of the box
    roof = faces.reshape(-1, 3)[faces.reshape(-1, 3)[:, 2] > 0.49]
    assert np.ptp(roof[:, 0]) < 0.75
    assert np.ptp(roof[:, 1]) < 0.8


@SHAPE_PARAMETERS
def test_only_tyres_come_below_the_sill(shape: CarShape) -> None:
    faces, colors, dimensions = car(shape)
    clearance = (faces[..., 2].min(axis=1) + 0.5) * dimensions[2]
    is_wheel = (colors == TYRE).all(axis=1)
    assert clearance[is_wheel].min() == pytest.approx(0.0, abs=1e-9)
    low = clearance < 0.15
    assert (np.abs(faces[low].mean(axis=1)[:, 0]) > 0.2).all()  # below the sill there are only the wheels
    assert clearance[~is_wheel & ~low].min() > 0.15


@SHAPE_PARAMETERS
def test_left_and_right_are_alike_and_front_and_rear_are_not(shape: CarShape) -> None:
    faces, _, _ = car(shape)
    vertices = {tuple(vertex) for vertex in faces.reshape(-1, 3).round(9) + 0.0}
    assert {(x, -y + 0.0, z) for x, y, z in vertices} == vertices
    assert {(-x + 0.0, y, z) for x, y, z in vertices} != vertices


@SHAPE_PARAMETERS
def test_faces_form_closed_surfaces(shape: CarShape) -> None:
    dimensions = np.array([4.0, 1.8, 1.5])
    faces = shape.mesh(dimensions, paint=PAINT, instance_id=26001).faces
    normals = face_normals(faces)
    assert normals.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)
    assert (np.linalg.norm(normals, axis=1) > 1e-6).all()
    filled = np.einsum("fi,fi->", normals, faces[:, 0]) / 6 / dimensions.prod()
    assert 0.5 < filled < 0.85


def test_vans_have_closed_rear_sides() -> None:
    panes = {shape.name: int((car(shape)[1] == GLASS).all(axis=1).sum()) for shape in SHAPES}
    assert panes["van"] < panes["estate"] == panes["sedan"] == panes["hatchback"]


def test_measured_cars_are_of_all_kinds_and_differ_within_them() -> None:
    rng = np.random.default_rng(0)
    cars = [measured_car(rng) for _ in range(60)]
    assert {shape.name for shape in cars} == {"hatchback", "sedan", "off-roader", "van"}
    assert len({shape.cowl for shape in cars}) == len(cars)
    for shape in cars:
        assert shape.cowl > shape.roof_front > shape.roof_rear > shape.cabin_rear > -0.5


def test_streets_take_measured_cars_by_their_settings() -> None:
    usual, measured = (
        build_street(StreetSettings(seed=1, frames=2, cars=6, shapes=shapes)).vehicles
        for shapes in ("usual", "measured")
    )
    boxes = [np.array([vehicle.dimensions_lwh for vehicle in street]) for street in (usual, measured)]
    assert boxes[0].shape == boxes[1].shape and not np.allclose(*boxes)
    assert StreetSettings(seed=1).shapes == "usual"
