import cv2
import numpy as np
import pytest
from hand_made_bodies import CARS, DRIVE, build, fit

from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import wrap_angle
from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labelers.vsrd.shapes import LabelBodies

BODIES = LabelBodies(load_config("fast"))


def row(**values):
    box = {"x_world": 10.0, "y_world": 3.0, "z_world": 0.8, "length": 4.4, "width": 1.8, "height": 1.5}
    return {"class_name": "car", "yaw_world": 0.0, "shape": [0.0] * 8} | box | values


def test_body_fills_its_box():
    for shape in ([0.0] * 8, [1.0, -1.0, 0.5, 0.0, 0.0, 2.0, 0.0, 0.0]):
        vertices = np.concatenate(BODIES.solids(row(shape=shape)))
        np.testing.assert_allclose(vertices.min(axis=0), [7.8, 2.1, 0.05], atol=0.05)
        np.testing.assert_allclose(vertices.max(axis=0), [12.2, 3.9, 1.55], atol=0.05)


def test_body_turns_with_its_box():
    ahead, turned = (np.concatenate(BODIES.solids(row(yaw_world=yaw))) for yaw in (0.0, np.pi / 2))
    offsets = ahead - [10.0, 3.0, 0.8]
    np.testing.assert_allclose(turned, offsets @ [[0, 1, 0], [-1, 0, 0], [0, 0, 1]] + np.array([10.0, 3.0, 0.8]))


def test_bonnet_is_ahead_and_lower_than_the_rear():
    vertices = np.concatenate(BODIES.solids(row()))
    high = vertices[vertices[:, 2] > 1.4]
    assert high[:, 0].mean() < 10.0  # the roof stands behind the middle


@pytest.mark.parametrize("values", [{"shape": None}, {"shape": []}, {"class_name": "tram"}])
def test_rows_without_a_shape_have_no_body(values):
    assert BODIES.solids(row(**values)) == []


def test_silhouette_of_a_fit_is_the_one_that_was_fitted():
    """Projected where the optimiser put them, the solids lie on the contours that they were held against."""
    bodies, T_world_ref = fit(CARS)
    observations, _, _ = build(CARS)
    for car in range(len(CARS)):
        forward = T_world_ref[:3, :3] @ [np.sin(bodies.yaws[car].item()), 0.0, np.cos(bodies.yaws[car].item())]
        width, height, length = (2 * bodies.half_extents[car].numpy().astype(float)).tolist()
        center = rigid.apply(T_world_ref, bodies.locations.numpy().astype(float))[car]
        label = row(
            **dict(zip(("x_world", "y_world", "z_world"), center, strict=True)),
            **{"length": length, "width": width, "height": height, "shape": bodies.latents[car].tolist()},
            yaw_world=float(wrap_angle(np.arctan2(forward[1], forward[0]))),
        )
        hulls = [outline(solid, observations, car, view=0) for solid in BODIES.solids(label)]
        points = observations.points[car, 0][observations.sampled[car, 0] & ~observations.hidden[car, 0]]
        distances = [-max(cv2.pointPolygonTest(hull, point, True) for hull in hulls) for point in points.tolist()]
        assert np.abs(np.median(distances)) < 1.5  # px, at a car of more than 100 px
        assert np.abs(distances).mean() < 3.0


def outline(solid, observations, car, *, view):
    """Hull [M, 1, 2] px of a solid in a view of a car."""
    T_world_ref = rigid.levelled_at(DRIVE[0])
    points_ref = rigid.apply(rigid.inverse(T_world_ref), solid)
    points = rigid.apply(observations.T_cam_ref[car, view].numpy().astype(float), points_ref)
    pixels = points @ observations.K[car, view].numpy().astype(float).T
    return cv2.convexHull((pixels[:, :2] / pixels[:, 2:]).astype(np.float32))
