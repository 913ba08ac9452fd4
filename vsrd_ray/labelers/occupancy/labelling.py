"""From images and sweeps to the voxels of a grid.

Depth that is known is counted: a voxel is occupied if rays end in it, or surfaces between rays do, often enough. Depth
that is uncertain is freed of the noise of single pixels first, and of what views disagree by; then it is counted, or
ends are expected, by EM. LiDAR counts for itself, and completed in images. With boxes, things that moved are carried on
to the grid's time. Vehicles that are seen from the side are closed. Shapes: X x Y x Z voxels, H x W pixels.
"""

from dataclasses import dataclass, replace

import numpy as np

from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.occupancy.agreement import agreed
from vsrd_ray.labelers.occupancy.bodies import Body, owners
from vsrd_ray.labelers.occupancy.closing import closed
from vsrd_ray.labelers.occupancy.completion import aligned, completed, grounded, in_view, raised
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.labelers.occupancy.fusion import Tally, expect, named
from vsrd_ray.labelers.occupancy.images import DepthImage, Ends, PixelRays, parted, pixel_rays
from vsrd_ray.labelers.occupancy.inputs import GroupInputs, Sweep
from vsrd_ray.labelers.occupancy.smoothing import smoothed
from vsrd_ray.labels.voxels.classes import NO_LABEL, VoxelClasses
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.schema import FREE, OCCUPIED, UNSEEN, Voxels

_PRECISE = 0.02  # relative error of depth below which its ends are taken as they are
_USUAL_ERROR = 0.05  # of depth maps of which nothing tells
_SHARE = 0.01  # of what rays do in a voxel, that ends must be: what hardly reaches into it does not fill it
_ROUNDS = 4
_OCCUPIED, _ENDS = 0.03, 0.1  # occupancy and expected ends of a voxel that is occupied


@dataclass(frozen=True)
class Settings:
    """How ends of rays are dealt with."""

    error: float | None = None  # of depth maps, as a share of depth; None: as LiDAR tells
    expects: bool = False  # uncertain ends by EM
    closes: bool = True  # vehicles' roofs and floors

    @classmethod
    def of(cls, config: OccupancyConfig) -> "Settings":
        """Those of a configuration."""
        return cls(error=config.error, expects=config.ends == "expected", closes=config.closed)


def label_voxels(grid: Grid, classes: VoxelClasses, inputs: GroupInputs, settings: Settings) -> Voxels:
    """What is known of the voxels of a grid.

    Raises:
        InputError: no ray comes into the grid.
    """
    num = classes.free if classes.free > 0 else len(classes.names)
    camera, lidar = Tally(grid, num), Tally(grid, num)
    images, is_precise, errors = with_depth(inputs, classes, settings)
    occupied = np.zeros(grid.shape, dtype=bool)
    blocked = _inside(grid, inputs.movers)
    certain = [image for image, precise in zip(images, is_precise, strict=True) if precise]
    for image in certain:
        for part in parted(image):
            camera.add_image(part, blocked)
    occupied |= _filled(camera)
    vague = [image for image, precise in zip(images, is_precise, strict=True) if not precise]
    if vague:
        occupied |= _uncertain(vague, max(errors), settings, camera, blocked)
    for sweep in inputs.sweeps:
        _add_sweep(lidar, sweep, inputs, blocked)
    occupied |= lidar.hits > 0
    return _voxels(classes, inputs.T_world_grid, camera, lidar, occupied, closes=settings.closes)


def with_depth(
    inputs: GroupInputs, classes: VoxelClasses, settings: Settings
) -> tuple[list[DepthImage], list[bool], list[float]]:
    """The images with the best depth that there is, whether it is precise, and the error of what is not."""
    images, precise, errors = [], [], [0.0]
    for frame, image in zip(inputs.frames, inputs.images, strict=True):
        if image.is_measured:
            images.append(image)
            precise.append(True)
            continue
        sweep = next((one for one in inputs.sweeps if one.frame == frame), None)
        has_map = bool((image.depth > 0).any())
        depth, error = image.depth, settings.error
        if sweep is not None:
            view = in_view(sweep.points, image.T_grid_cam, image.K, image.labels.shape)
            filled = completed(view, sweep.points, image.labels, classes.flat)
            filled = grounded(replace(image, depth=filled), view, sweep.points, classes.flat)
            filled = raised(replace(image, depth=filled), classes.upright)
            if has_map:
                depth, left = aligned(depth, view)
                error = left if settings.error is None else min(settings.error, left)
            if not has_map or (error is not None and error >= _PRECISE):
                images.append(replace(image, depth=filled))
                precise.append(True)
                depth = np.where(filled > 0, 0, depth).astype(np.float32)  # the rest of the map
        if (depth > 0).any() or sweep is None:
            error = _USUAL_ERROR if error is None else error
            images.append(replace(image, depth=depth))
            precise.append(error < _PRECISE)
            errors.append(error)
    return images, precise, errors


def _inside(grid: Grid, bodies: tuple[Body, ...]) -> np.ndarray | None:
    """Voxels [X, Y, Z] bool whose centres lie in bodies; None where there are none."""
    if not bodies:
        return None
    centers = grid.low + (np.indices(grid.shape).reshape(3, -1).T + 0.5) * grid.voxel_size
    inside = np.zeros(len(centers), dtype=bool)
    for body in bodies:
        inside |= (np.abs(rigid.apply(body.T_box_grid, centers)) < body.half).all(axis=1)
    return inside.reshape(grid.shape)


def _uncertain(
    images: list[DepthImage], error: float, settings: Settings, camera: Tally, blocked: np.ndarray | None
) -> np.ndarray:
    """Voxels [X, Y, Z] bool that rays of uncertain depth end in; they are added to `camera`."""
    grid, num = camera.grid, camera.votes.shape[3]
    tally = Tally(grid, num)
    smooth, left = [], []
    for image in images:
        depth, own = smoothed(image.depth, image.labels, error=error)
        smooth.append(replace(image, depth=depth))
        left.append(own)
    mended = [part for image in agreed(smooth, error=error) for part in parted(image, error=error)]
    if settings.expects:
        mended = [image for image in mended if not image.is_moved]
        for image in mended:
            tally.add_rays(pixel_rays(image), None if image.ignored is None else blocked)
        rest = float(np.sqrt(max(error**2 - np.mean(left) ** 2, 0.0)))
        expected = Tally(grid, num)
        occupancy, ends = expect(expected, [pixel_rays(one) for one in mended], error=rest, rounds=_ROUNDS)
        occupied = (occupancy > _OCCUPIED) & (ends > _ENDS)
        tally.votes = expected.votes
    else:
        for image in mended:
            tally.add_image(image, blocked)
        occupied = _filled(tally)
    camera.passed += tally.passed
    camera.hits += tally.hits
    camera.votes += tally.votes
    return occupied & ((tally.hits > 0) | settings.expects)


def _filled(tally: Tally) -> np.ndarray:
    """Voxels [X, Y, Z] bool in which rays end often enough."""
    return tally.hits > _SHARE * (tally.hits + tally.passed)


def _add_sweep(lidar: Tally, sweep: Sweep, inputs: GroupInputs, blocked: np.ndarray | None) -> None:
    """Count a sweep, with the classes of the pixels that its points fall on; what moves, of sources, by its boxes.

    Without boxes, points on pixels of what may move count in the target's sweep alone.
    """
    labels = np.full(len(sweep.points), NO_LABEL, dtype=np.uint8)
    ignored = np.zeros(len(labels), dtype=bool)
    is_source = False
    for frame, image in zip(inputs.frames, inputs.images, strict=True):
        if frame == sweep.frame:
            view = in_view(sweep.points, image.T_grid_cam, image.K, image.labels.shape)
            labels[view.index] = image.labels[view.pixels]
            if image.ignored is not None:
                is_source = True
                ignored[view.index[image.ignored[view.pixels]]] = True
    owner = owners(sweep.points, sweep.bodies)
    loose = np.flatnonzero((owner >= 0) & (ignored | (labels == NO_LABEL)))
    for number, body in enumerate(sweep.bodies):
        mine = loose[owner[loose] == number]
        ignored[mine] = not body.stands
        if body.T_moved is not None:
            moved = rigid.apply(body.T_moved, sweep.points[mine])
            lidar.add_ends(Ends(moved, labels[mine], np.ones(len(mine))))
    kept = ~ignored
    rays = PixelRays(sweep.origin, sweep.points[kept], labels[kept], np.zeros(int(kept.sum()), dtype=bool))
    lidar.add_rays(rays, blocked if is_source or sweep.bodies else None)


def _voxels(
    classes: VoxelClasses,
    T_world_grid: np.ndarray,
    camera: Tally,
    lidar: Tally,
    occupied: np.ndarray,
    *,
    closes: bool,
) -> Voxels:
    grid = camera.grid
    masks = [(one.hits > 0) | (one.passed > 0) for one in (camera, lidar)]
    observed = masks[0] | masks[1] | occupied
    if not observed.any():
        raise InputError("no ray of any camera or LiDAR comes into the grid: check its range, and the poses")
    hits, passed = camera.hits + lidar.hits, camera.passed + lidar.passed
    share = np.divide(hits, hits + passed, out=np.zeros(grid.shape), where=hits + passed > 0)
    semantics = named(camera.votes + lidar.votes, occupied, classes)
    semantics[observed & ~occupied] = classes.free
    if closes:
        semantics = closed(semantics, observed, classes, voxel_size=grid.voxel_size)
        occupied = occupied | (observed & (semantics != classes.free))
    return Voxels(
        grid=grid,
        T_world_grid=T_world_grid,
        classes=classes.name,
        semantics=semantics,
        observed=observed.astype(np.uint8),
        mask_camera=masks[0].astype(np.uint8),
        mask_lidar=masks[1].astype(np.uint8),
        confidence=np.rint(255 * np.where(occupied, share, 1 - share) * observed).astype(np.uint8),
        state=np.where(occupied, OCCUPIED, np.where(observed, FREE, UNSEEN)).astype(np.uint8),
    )
