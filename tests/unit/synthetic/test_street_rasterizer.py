import numpy as np
import pytest
import slow_rasterizer
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrd_ray.synthetic.rasterizer import rasterize

K = np.array([[20.0, 0.0, 15.5], [0.0, 20.0, 9.5], [0.0, 0.0, 1.0]])
SIZE = (32, 20)


def square(depth: float, half: float = 1.0, *, x: float = 0.0) -> np.ndarray:
    """A square [4, 3] that faces the camera: counter-clockwise for one who looks along +z, x right and y down."""
    return np.array(
        [[x - half, -half, depth], [x - half, half, depth], [x + half, half, depth], [x + half, -half, depth]]
    )


def test_a_square_covers_the_pixels_whose_centres_it_hides() -> None:
    raster = rasterize(square(4.0)[None], K, SIZE)
    # +-1 m at 4 m is +-5 px about (15.5, 9.5): centres 11..20 and 5..14.
    expected = np.full((20, 32), -1)
    expected[5:15, 11:21] = 0
    assert (raster.face == expected).all()
    assert raster.inverse_depth[expected == 0] == pytest.approx(0.25)
    assert (raster.inverse_depth[expected < 0] == 0).all()


def test_the_back_of_a_face_is_not_seen() -> None:
    assert (rasterize(square(4.0)[None, ::-1], K, SIZE).face == -1).all()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("half", [0.3, 1.0, 9.0])  # tiles of several sizes, and faces larger than all tiles
def test_the_nearer_face_hides_the_farther_one(order: tuple[int, int], half: float) -> None:
    faces = np.stack([square(3.0, half), square(3.5, half, x=0.2)])[list(order)]
    raster = rasterize(faces, K, SIZE)
    covered = rasterize(square(3.0, half)[None], K, SIZE).face == 0
    assert (raster.face[covered] == order.index(0)).all()


def test_a_floor_that_passes_below_the_camera_is_cut_and_reaches_its_horizon() -> None:
    floor = np.array([[[-50.0, 1.5, -5.0], [50.0, 1.5, -5.0], [50.0, 1.5, 300.0], [-50.0, 1.5, 300.0]]])
    raster = rasterize(floor, K, SIZE)
    rows = np.arange(20)
    inverse_depth = (rows - 9.5) / 20.0 / 1.5
    assert (raster.face[:, 16] == np.where(inverse_depth > 1 / 300, 0, -1)).all()
    assert raster.inverse_depth[10:, 16] == pytest.approx(inverse_depth[10:], rel=1e-6)


def test_nothing_is_seen_of_nothing() -> None:
    raster = rasterize(np.empty((0, 4, 3)), K, SIZE)
    assert (raster.face == -1).all()
    assert raster.face.shape == (20, 32)


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_agrees_with_its_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centers = rng.uniform([-3, -2, -0.5], [3, 2, 6.0], size=(12, 1, 3))
    faces = (centers + rng.normal(0, 1, size=(12, 3, 3)) * rng.choice([0.1, 0.7, 2.0], size=(12, 1, 1)))[
        :, [0, 1, 2, 2]
    ]
    raster = rasterize(faces, K, SIZE)
    slow_face, slow_depth = slow_rasterizer.rasterize(faces, K, SIZE)
    # A centre that lies on an edge to the last bit may fall to either side.
    agree = raster.face == slow_face
    assert (~agree).sum() <= 1
    seen = agree & (slow_face >= 0)
    assert raster.inverse_depth[seen] == pytest.approx(1 / slow_depth[seen], rel=1e-4)
