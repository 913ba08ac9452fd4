import numpy as np
import pytest
from builders import make_view

from vsrd_ray.labels.boxes.report.silhouettes import magnified, outlines, silhouette, whole

K = np.array([[100.0, 0, 80], [0, 100, 60], [0, 0, 1]])
VIEW = make_view(K=K, image_size=(160, 120))
WINDOW = whole((160, 120))
SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)


def solid(center, size):
    return SIGNS * np.array(size) / 2 + center


def test_a_solid_covers_what_it_projects_to():
    # 2 x 1 m at 10 m, where its near end is: 20 x 10 px around (80, 60)
    covered = silhouette([solid((0, 0, 12), (2, 1, 4))], VIEW, WINDOW, 1)
    rows, columns = np.nonzero(covered)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (70, 90, 55, 65)
    assert covered[55:66, 70:91].all()


def test_parts_of_pixels_are_finer():
    one = solid((0.02, 0, 10.0), (0.5, 0.5, 1e-6))  # 5 x 5 px around (80.2, 60)
    window = (70, 50, 90, 70)
    covered = silhouette([one], VIEW, window, 10)
    assert covered.shape == (210, 210)
    assert covered.sum() == pytest.approx(2500, rel=0.05)
    columns = np.flatnonzero(covered.any(axis=0))
    assert (columns.mean() + 0.5) / 10 + 69.5 == pytest.approx(80.2, abs=0.06)


def test_several_solids_are_one_silhouette():
    parts = [solid((x, 0, 10.0), (1, 1, 0.1)) for x in (-1.0, 1.0)]
    together = silhouette(parts, VIEW, WINDOW, 1)
    assert (together == silhouette(parts[:1], VIEW, WINDOW, 1) | silhouette(parts[1:], VIEW, WINDOW, 1)).all()


def test_a_solid_around_the_camera_is_cut_before_it():
    """The same as the solid whose rear end is where the camera's near plane is."""
    reaching_behind = solid((1.0, 0.0, 1.0), (1.0, 1.0, 6.0))
    before = reaching_behind.copy()
    before[:, 2] = np.maximum(before[:, 2], 0.05)
    expected = silhouette([before], VIEW, WINDOW, 1)
    assert 0 < expected.sum() < expected.size
    assert (silhouette([reaching_behind], VIEW, WINDOW, 1) == expected).all()
    assert not silhouette([solid((0, 0, -5.0), (1, 1, 1))], VIEW, WINDOW, 1).any()


def test_outlines_go_round_a_mask_in_pixels_of_the_image():
    mask = np.zeros((120, 160), dtype=bool)
    mask[20:40, 10:30] = True
    (outline,) = outlines(mask, WINDOW)
    assert {tuple(point) for point in np.reshape(outline, (-1, 2)).tolist()} == {(10, 20), (29, 20), (29, 39), (10, 39)}
    window, zoom = (5, 15, 34, 44), 4
    (finer,) = outlines(magnified(mask, window, zoom), window, zoom)
    points = np.reshape(finer, (-1, 2))
    # up to half a part from the pixels' edges
    np.testing.assert_allclose([points.min(axis=0), points.max(axis=0)], [[9.6, 19.6], [29.4, 39.4]], atol=0.11)


def test_holes_have_outlines_too():
    mask = np.zeros((120, 160), dtype=bool)
    mask[20:60, 10:60] = True
    mask[30:40, 20:40] = False
    assert len(outlines(mask, WINDOW)) == 2
