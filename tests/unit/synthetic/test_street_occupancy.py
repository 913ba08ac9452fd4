import numpy as np
import pytest
import slow_rays

from vsrd_ray.geometry import rigid
from vsrd_ray.synthetic import StreetSettings, lidar
from vsrd_ray.synthetic.meshes import column, cuboid, painted, shifted
from vsrd_ray.synthetic.occupancy import GRIDS, StreetSolids, containing, seen_by_lidar
from vsrd_ray.synthetic.solids import closed, inside, meet, triangulated
from vsrd_ray.synthetic.street import build_street

STREET = build_street(StreetSettings(frames=3, cars=6, trucks=1, moving=1, frame_spacing=4.0, lidar_noise=0.0))
SENSOR, GRID = lidar.velo(STREET.settings), GRIDS["occ3d"]
T_STREET_GRID = lidar.pose(STREET, SENSOR, 1) @ GRID.T_velo_grid


@pytest.fixture(scope="module")
def voxels():
    return StreetSolids(STREET).voxels(1, T_STREET_GRID, GRID)


def is_inside(faces: np.ndarray, point: np.ndarray) -> bool:
    """Whether a vertical ray from a point leaves a body more often than it enters one."""
    up, local = np.array([[0.0, 0.0, 1.0]]), faces - point
    exits = sum(np.isfinite(slow_rays.meet(*(local[:, i] for i in c), up)).sum() for c in ((0, 2, 1), (0, 3, 2)))
    entries = sum(np.isfinite(slow_rays.meet(*(local[:, i] for i in c), up)).sum() for c in ((0, 1, 2), (0, 2, 3)))
    return exits > entries


def volume(faces: np.ndarray, spacing: float = 0.1) -> float:
    """Volume of bodies by lines, m3."""
    found = inside(meet(closed(triangulated(painted(faces, (0, 0, 0), instance_id=1))), spacing, (60, 60)))
    return float((found.high - found.low).sum() * spacing**2)


def test_lines_find_the_volume_of_bodies() -> None:
    assert volume(cuboid([1.02, 1.02, 0.5], [3.02, 4.02, 2.0])) == pytest.approx(9.0)
    round_one = shifted(column(1.5, 2.0, sides=16), x=3.0, y=3.0)
    assert volume(round_one) == pytest.approx(2 * 8 * 1.5**2 * np.sin(np.pi / 8), 0.01)


def test_holes_are_capped_and_panes_have_no_inside() -> None:
    walls = cuboid([1.02, 1.02, 0.5], [3.02, 4.02, 2.0])[:4]
    assert volume(walls) == pytest.approx(9.0)
    assert volume(walls[:1]) == 0
    slanted = np.array([[[1.0, 1, 0], [3, 1, 0], [3, 3, 1], [1, 3, 1]]])
    assert volume(slanted) == pytest.approx(0, abs=1e-9)


def test_bodies_of_one_id_that_overlap_count_once() -> None:
    pair = np.concatenate([cuboid([1.02, 1.02, 0.5], [3.02, 4.02, 2.0]), cuboid([2.02, 1.02, 0.0], [4.02, 4.02, 1.0])])
    assert volume(pair) == pytest.approx(9.0 + 6.0 - 1.5)


def test_points_in_vehicles_lie_in_their_voxels(voxels) -> None:
    rng, checked = np.random.default_rng(0), 0
    for vehicle in STREET.vehicles:
        mesh, (center, yaw) = vehicle.mesh_at(1), vehicle.pose_at(1)
        turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        points = center + (rng.uniform(-0.5, 0.5, size=(40, 3)) * vehicle.dimensions_lwh) @ turn.T
        points = points[[is_inside(mesh.faces, point) for point in points]]
        index = containing(GRID, rigid.apply(rigid.inverse(T_STREET_GRID), points))
        ids = voxels.ids.reshape(-1)[index]
        assert (ids > 0).all()
        assert len(ids) == 0 or (ids == vehicle.instance_id).mean() > 0.9
        checked += len(ids)
    assert checked > 60


def test_fill_is_the_share_inside(voxels) -> None:
    rng, (own,) = np.random.default_rng(1), [v for v in STREET.vehicles if v.instance_id == 27001]
    chosen = rng.permutation(np.argwhere(voxels.ids == 27001))[:12]
    faces = own.mesh_at(1).faces
    for i in chosen:
        points = np.array(GRID.low) + (i + rng.uniform(size=(60, 3))) * GRID.voxel_size
        share = np.mean([is_inside(faces, point) for point in rigid.apply(T_STREET_GRID, points)])
        assert share == pytest.approx(voxels.fill[tuple(i)], abs=0.25)


def test_returns_lie_in_occupied_voxels_that_are_seen(voxels) -> None:
    sweep, (turn, _) = lidar.measure(STREET, SENSOR, 1), lidar.look(STREET, SENSOR, 1)
    points = rigid.apply(rigid.inverse(GRID.T_velo_grid), sweep.points.astype(float))
    is_vehicle = sweep.instance % 1000 > 0
    ids = voxels.ids.reshape(-1)
    assert (ids[containing(GRID, points)] > 0).mean() > 0.985
    assert (ids[containing(GRID, points[is_vehicle])] > 0).mean() > 0.99
    seen = seen_by_lidar(GRID, GRID.T_velo_grid, turn, SENSOR, reach=100.0).reshape(-1)
    assert seen[containing(GRID, points)].all()
    assert 0.02 < seen.mean() < 0.5


def test_the_ground_is_one_layer_below_the_car(voxels) -> None:
    around = voxels.ids[95:105, 99:101]
    assert (np.count_nonzero(around == 7000, axis=2) >= 1).all()
    assert (around[..., 5:] == 0).all()
