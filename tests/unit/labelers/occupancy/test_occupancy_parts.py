"""Parts of the labeler of occupancy: surfaces between pixels, LiDAR in images, noise of pixels, what is refused."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba", reason="walks through voxels are compiled by numba")

from vsrd_ray.errors import InputError
from vsrd_ray.labelers.occupancy.agreement import agreed
from vsrd_ray.labelers.occupancy.completion import aligned, completed, grounded, in_view, raised
from vsrd_ray.labelers.occupancy.images import DepthImage, ends_between, majority, pixel_rays
from vsrd_ray.labelers.occupancy.inputs import GroupInputs, Sweep, uncurled
from vsrd_ray.labelers.occupancy.labelling import Settings, label_voxels
from vsrd_ray.labelers.occupancy.smoothing import smoothed
from vsrd_ray.labels.voxels.classes import NO_LABEL, OCC3D, SKY, SSCBENCH
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.schema import FREE, OCCUPIED, UNSEEN

K = np.array([[40.0, 0, 19.5], [0, 40.0, 14.5], [0, 0, 1]])
ROAD, CAR = 11, 4
# A camera 1.5 m above the road that looks along x.
T_GRID_CAM = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
GRID = Grid.of((-2.0, -8.0, -0.4, 22.0, 8.0, 3.6), 0.4)


def street_image(wall=20.0, K=K):
    """A road, and a wall across it; above both the sky."""
    v, _ = np.mgrid[: round(2 * K[1, 2] + 1), : round(2 * K[0, 2] + 1)]
    down = (v - K[1, 2]) / K[1, 1]
    with np.errstate(divide="ignore"):
        road = np.where(down > 0, 1.5 / down, np.inf)
    up = -down * wall
    depth = np.where(road < wall, road, np.where(up < 1.5, wall, 0))
    labels = np.where(road < wall, ROAD, np.where(up < 1.5, 15, SKY)).astype(np.uint8)
    return DepthImage(depth.astype(np.float32), labels, K, T_GRID_CAM)


def test_surfaces_between_pixels_lie_on_the_surfaces():
    ends = ends_between(street_image())
    on_road, on_wall = ends.labels == ROAD, ends.labels == 15
    assert on_road.sum() > 100 and on_wall.sum() > 100
    np.testing.assert_allclose(ends.points[on_road, 2], 0, atol=1e-3)
    np.testing.assert_allclose(ends.points[on_wall, 0], 20, atol=1e-3)
    assert ends.weights.sum() == pytest.approx(np.round(ends.weights.sum()), abs=1e-6)  # one a quad


def test_nothing_lies_between_a_near_thing_and_what_is_behind():
    image = street_image()
    image.depth[10:20, 15:25], image.labels[10:20, 15:25] = 5.0, 15
    ends = ends_between(image)
    assert not ((ends.points[:, 0] > 5.1) & (ends.points[:, 0] < 19) & (ends.points[:, 2] > 0.2)).any()


def test_ignored_pixels_give_neither_ends_nor_passes():
    image = street_image()
    ignored = np.zeros(image.depth.shape, dtype=bool)
    ignored[:, :20] = True
    rays = pixel_rays(DepthImage(image.depth, image.labels, K, T_GRID_CAM, ignored))
    assert len(rays.ends) == (~ignored).sum()
    assert (rays.ends[:, 1] < 0).all()  # right of the middle


def test_the_voxels_of_a_street():
    image = street_image(wall=20.2)
    voxels = label_voxels(GRID, OCC3D, GroupInputs(np.eye(4), (0,), (image,), ()), Settings(error=0.0))
    x, y, z = GRID.indices(np.array([[10.0, 0, 0.0], [10.0, 0, 1.4], [20.2, 0, 1.0], [-1.0, 0, 1.0]])).T
    assert voxels.semantics[x, y, z].tolist() == [ROAD, OCC3D.free, 15, 255]
    assert voxels.state[x, y, z].tolist() == [OCCUPIED, FREE, OCCUPIED, UNSEEN]
    assert voxels.observed[x, y, z].tolist() == [1, 1, 1, 0]
    assert not voxels.mask_lidar.any()


@pytest.mark.parametrize("expects", [False, True])
def test_noisy_depth_still_gives_the_wall(expects):
    image = street_image(wall=10.0)
    off = np.exp(0.05 * np.random.default_rng(0).standard_normal(image.depth.shape))
    noisy = DepthImage((image.depth * off).astype(np.float32), image.labels, K, T_GRID_CAM)
    inputs = GroupInputs(np.eye(4), (0,), (noisy,), ())
    voxels = label_voxels(GRID, OCC3D, inputs, Settings(error=0.05, expects=expects))
    wall = voxels.semantics[:, 17:23, 4] == 15
    assert wall.any(axis=0).all()
    assert set(np.argwhere(wall)[:, 0].tolist()) <= set(range(27, 34))  # 10 m is in the 30th
    again = label_voxels(GRID, OCC3D, inputs, Settings(error=0.05, expects=expects))
    np.testing.assert_array_equal(voxels.semantics, again.semantics)


def test_smoothing_takes_the_noise_of_pixels_and_keeps_edges():
    image = street_image()
    off = np.exp(0.05 * np.random.default_rng(1).standard_normal(image.depth.shape))
    depth, own = smoothed((image.depth * off).astype(np.float32), image.labels, error=0.05)
    known = image.depth > 0
    ratio = np.log(depth[known] / image.depth[known])
    assert ratio.std() < 0.03 < own < 0.051
    assert (depth[~known] == 0).all()


def test_points_behind_others_are_not_seen():
    near = np.array([[5.0, y, 1.5] for y in np.linspace(-0.4, 0.4, 9)])
    far = near * [3.0, 1.0, 1.0]
    view = in_view(np.concatenate([far, near]), T_GRID_CAM, K, (30, 40))
    assert set(view.index.tolist()) & set(range(9)) <= {0, 8, 1, 7, 2, 6, 3, 5} and 4 not in view.index
    assert set(range(9, 18)) & set(view.index.tolist())


def test_completed_depth_lies_on_the_plane_of_its_points():
    image = street_image()
    v, u = (one.ravel() for one in np.mgrid[17:30:4, 0:40:5])
    points = image.points(u, v, image.depth[v, u])
    view = in_view(points, T_GRID_CAM, K, image.depth.shape)
    depth = completed(view, points, image.labels, OCC3D.flat)
    filled = depth > 0
    assert filled.sum() > 3 * len(points)
    np.testing.assert_allclose(depth[filled], image.depth[filled], rtol=1e-4)


def test_walls_rise_above_the_highest_points_and_nothing_else_does():
    image = street_image()
    known = DepthImage(np.where(image.labels == SKY, 0, image.depth), image.labels, K, T_GRID_CAM)
    known.depth[:15] = 0
    wall = image.labels == 15
    depth = raised(known, (15,))
    assert (wall & (known.depth == 0)).sum() > 40
    np.testing.assert_allclose(depth[wall], image.depth[wall], rtol=1e-4)
    np.testing.assert_array_equal(depth[~wall], known.depth[~wall])
    known.depth[known.labels == 15] = 0
    known.depth[12] = 20.0  # a known pixel above, so that nothing is above the highest
    np.testing.assert_array_equal(raised(known, (15,)), known.depth)


def test_ground_goes_on_behind_its_points_but_not_far():
    image = street_image(wall=200.0)
    v, u = (one.ravel() for one in np.mgrid[18:30:3, 0:40:5])
    points = image.points(u, v, image.depth[v, u])
    points[:, 2] += 0.02 * points[:, 0]  # it rises
    view = in_view(points, T_GRID_CAM, K, image.depth.shape)
    empty = DepthImage(np.zeros_like(image.depth), image.labels, K, T_GRID_CAM)
    depth = grounded(empty, view, points, OCC3D.flat)
    rows, columns = np.nonzero(depth)
    found = image.points(columns, rows, depth[rows, columns])
    assert set(image.labels[rows, columns].tolist()) == {ROAD}
    assert points[:, 0].max() + 1 < found[:, 0].max() < points[:, 0].max() + 8
    between = found[:, 0] < points[:, 0].max()
    np.testing.assert_allclose(found[between, 2], 0.02 * found[between, 0], atol=0.08)


def test_sweeps_that_turn_are_set_right():
    """A wall at 10 m ahead is seen from where the LiDAR was at each moment, a metre a turn."""
    poses = {0: np.eye(4), 1: np.eye(4)}
    poses[1][0, 3] = 1.0
    azimuth = np.linspace(-1.0, 1.0, 21)
    ahead = 10.0 + azimuth / (2 * np.pi)  # seen late, it is nearer: counter-clockwise, right is early
    xyz = np.stack([ahead, ahead * np.tan(azimuth), np.zeros(21)], axis=1)
    for frame in (0, 1):  # of the last frame, by the motion before it
        np.testing.assert_allclose(uncurled(xyz, poses, frame)[:, 0], 10.0, atol=1e-9)
    np.testing.assert_array_equal(uncurled(xyz, {0: poses[0]}, 0), xyz)


def test_dense_depth_takes_the_scale_of_points():
    image = street_image()
    v, u = (one.ravel() for one in np.mgrid[17:30:2, 0:40:2])
    view = in_view(image.points(u, v, image.depth[v, u]), T_GRID_CAM, K, image.depth.shape)
    depth, left = aligned(image.depth * np.float32(1.2), view)
    known = (image.depth > 0) & (image.depth < 15)
    np.testing.assert_allclose(depth[known], image.depth[known], rtol=0.01)
    assert left < 0.01


def test_moving_things_of_other_frames_leave_no_trace():
    image = street_image()
    image.labels[12:20, 15:25], image.depth[12:20, 15:25] = CAR, 8.0
    gone = DepthImage(image.depth, image.labels, K, T_GRID_CAM, image.labels == CAR)
    empty = street_image()
    for frames, images, has_car in (((0,), (image,), True), ((0, 1), (empty, gone), False)):
        voxels = label_voxels(GRID, OCC3D, GroupInputs(np.eye(4), frames, images, ()), Settings(error=0.0))
        assert (voxels.semantics == CAR).any() == has_car


def test_points_without_a_class_are_occupied_and_unknown():
    points = np.array([[5.0, 1.0, 1.0], [6.0, -1.0, 1.0]])
    sweep = Sweep(0, np.array([0.0, 0.0, 1.7]), points)
    voxels = label_voxels(GRID, SSCBENCH, GroupInputs(np.eye(4), (), (), (sweep,)), Settings())
    places = tuple(GRID.indices(points).T)
    assert (voxels.state[places] == OCCUPIED).all() and (voxels.semantics[places] == 255).all()
    assert (voxels.mask_lidar[places] == 1).all() and not voxels.mask_camera.any()


def test_a_grid_that_no_ray_comes_into():
    far = Grid.of((100.0, 100.0, 0.0, 110.0, 110.0, 4.0), 0.4)
    with pytest.raises(InputError, match="no ray of any camera or LiDAR comes into the grid"):
        label_voxels(far, OCC3D, GroupInputs(np.eye(4), (0,), (street_image(),), ()), Settings(error=0.0))


def test_majority():
    labels = np.full((5, 5), ROAD, dtype=np.uint8)
    labels[2, 2], labels[0, 0] = CAR, NO_LABEL
    np.testing.assert_array_equal(majority(labels), np.full((5, 5), ROAD))


def moved_on(metres):
    """The street seen from farther on."""
    pose = T_GRID_CAM.copy()
    pose[0, 3] = metres
    return replace(
        street_image(20.0 - metres, np.array([[120.0, 0, 59.5], [0, 120.0, 44.5], [0, 0, 1]])), T_grid_cam=pose
    )


def off_by(images, agreed_images):
    """Factors of depth that are left, logarithms, by image."""
    return [
        np.log(found.depth[image.depth > 0] / image.depth[image.depth > 0])
        for image, found in zip(images, agreed_images, strict=True)
    ]


def test_views_that_disagree_are_set_right():
    images = [moved_on(metres) for metres in (0.0, 1.5, 3.0, 4.5)]
    u = np.linspace(-1, 1, 120)
    factors = (0.05, -0.03, 0.03 * u, -0.04 * u)
    wrong = [
        replace(image, depth=(image.depth * np.exp(factor)).astype(np.float32))
        for image, factor in zip(images, factors, strict=True)
    ]
    found = agreed(wrong, error=0.05)
    before, after = (np.concatenate(off_by(images, some)) for some in (wrong, found))
    assert after.std() < 0.4 * before.std() and abs(after.mean()) < 0.02
    assert all((one.depth > 0).sum() == (image.depth > 0).sum() for one, image in zip(found, images, strict=True))
    np.testing.assert_array_equal(found[0].depth, agreed(wrong, error=0.05)[0].depth)


def test_views_that_agree_or_see_nothing_in_common_stay_as_they_are():
    same = [moved_on(metres) for metres in (0.0, 2.0)]
    away = replace(same[0], labels=np.full_like(same[0].labels, NO_LABEL))
    for images in (same, [same[0], away], same[:1]):
        np.testing.assert_allclose(np.concatenate(off_by(images, agreed(images, error=0.05))), 0, atol=3e-3)
