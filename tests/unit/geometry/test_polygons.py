import numpy as np

from vsrd_ray.geometry import polygons

SQUARE = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])


def test_area_ignores_winding_and_repeated_vertices():
    triangle = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    np.testing.assert_allclose(polygons.area(np.stack([SQUARE, SQUARE[::-1], triangle])), [4, 4, 1])


def test_clip_cuts_keeps_and_empties_in_one_batch():
    squares = np.stack([SQUARE, SQUARE + 5, SQUARE - 5, SQUARE])
    clipped = polygons.clip(squares, squares[..., 0] - 1.5)  # keep x >= 1.5
    np.testing.assert_allclose(polygons.area(clipped), [1, 4, 0, 1])
    assert clipped.shape == (4, 4, 2)


def test_clip_of_a_corner_adds_a_vertex():
    clipped = polygons.clip(SQUARE[None], 3 - SQUARE[None].sum(axis=-1))  # keep x + y <= 3
    assert clipped.shape == (1, 5, 2)
    np.testing.assert_allclose(polygons.area(clipped), [3.5])


def test_a_vertex_on_the_line_is_kept():
    clipped = polygons.clip(SQUARE[None], SQUARE[None, :, 0] - 2.0)
    np.testing.assert_allclose(polygons.area(clipped), [0])
    assert np.all(clipped[..., 0] == 2)


def test_no_polygons():
    assert polygons.area(polygons.clip(np.zeros((0, 4, 2)), np.zeros((0, 4)))).shape == (0,)
