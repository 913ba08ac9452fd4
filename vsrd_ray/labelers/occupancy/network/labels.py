"""Voxels by a trained network.

Shapes: V views, H x W pixels, X x Y x Z voxels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vsrd_ray.data.drive import IMAGES
from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.labelers.occupancy.network.model import OccupancyNetwork, Predicted
from vsrd_ray.labelers.occupancy.network.samples import View, seen, views_of
from vsrd_ray.labelers.occupancy.placing import grid_of
from vsrd_ray.labelers.occupancy.training import OccupancyNetworkTraining
from vsrd_ray.labels.voxels.classes import VoxelClasses, table_named
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.schema import FREE, OCCUPIED, UNSEEN, Voxels
from vsrd_ray.labels.voxels.traversal import Rays, count, first_occupied
from vsrd_ray.storage import Location
from vsrd_ray.training.checkpoints import load_state, load_trained
from vsrd_ray.training.pieces import resized

_STRIDE = 2  # px from one ray to the next that tells what views see of the voxels
_INSIDE = 1e-6  # of a voxel, behind its face


@dataclass(frozen=True)
class Trained:
    """A network to label with."""

    network: OccupancyNetwork
    settings: OccupancyNetworkTraining


@dataclass(frozen=True)
class SeenGroup:
    """A group's images as the network sees them, and where the grid lies."""

    T_world_grid: np.ndarray  # [4, 4]
    images: np.ndarray  # [V, H, W, 3] uint8, BGR
    views: tuple[View, ...]


def network_of(settings: OccupancyNetworkTraining) -> OccupancyNetwork:
    """A network before its training."""
    num_classes = len(table_named(settings.labels.table).occupied)
    return OccupancyNetwork(settings.network, grid_of(settings.labels), num_classes)


def load_network(run_or_file: Location, config: OccupancyConfig, device: str) -> Trained:
    """The network of a run of `vsrd-ray train`, for labelling.

    Raises:
        InputError: no checkpoint, one of another trainable, or one that was trained for another grid.
    """
    trained = load_trained(run_or_file)
    if trained.trainable != "occupancy_network":
        raise InputError(f"{run_or_file}: trained as {trained.trainable}: give a run of occupancy_network")
    settings = OccupancyNetworkTraining.model_validate(trained.settings)
    for name in ("grid", "range", "voxel_size", "table"):
        own, wanted = getattr(settings.labels, name), getattr(config, name)
        if own != wanted:
            option = "classes" if name == "table" else name
            raise InputError(f"{run_or_file}: trained for {option} {own}, not {wanted}: set {option}={own}")
    network = network_of(settings)
    load_state(network, trained.state, source=run_or_file)
    return Trained(network.to(device).eval().requires_grad_(False), settings)


def read_images(group: FrameGroup, size: tuple[int, int], T_world_grid: np.ndarray) -> SeenGroup:
    """A group's images at the (width, height) px that the network sees.

    Raises:
        InputError: there are none.
    """
    views = views_of(group.drive, group.plan, T_world_grid, size)
    if not views:
        raise InputError(f"frame {group.plan.target_frame}: no camera has an image and a pose")
    images = [resized(group.read(IMAGES, view.camera, view.frame), size) for view in views]
    return SeenGroup(T_world_grid, np.stack(images), tuple(views))


@torch.no_grad()
def network_voxels(trained: Trained, group: SeenGroup, threshold: float) -> Voxels:
    """The voxels that the network sees in a group's images.

    A voxel is occupied where its opacity along one side exceeds the threshold; free where rays of the images pass on
    their way to the first occupied one; else unseen.
    """
    labels = trained.settings.labels
    grid, classes = grid_of(labels), table_named(labels.table)
    device = next(trained.network.parameters()).device
    given = {
        name: torch.from_numpy(np.ascontiguousarray(value)).to(device)
        for name, value in seen(list(group.images), group.views).items()
    }
    found = trained.network(given["images"].float() / 127.5 - 1, given["K"], given["T_grid_cam"])
    opacity = (1 - torch.exp(-found.density * grid.voxel_size)).cpu().numpy()
    occupied = opacity > threshold
    visible = _visible(grid, group.views, trained.settings.network.image_size, occupied)
    observed = occupied | visible
    semantics = np.full(grid.shape, 255, dtype=np.uint8)
    semantics[observed] = classes.free
    semantics[occupied] = _named(found, classes)[occupied]
    return Voxels(
        grid=grid,
        T_world_grid=group.T_world_grid,
        classes=classes.name,
        semantics=semantics,
        observed=observed.astype(np.uint8),
        mask_camera=visible.astype(np.uint8),
        confidence=np.rint(255 * np.where(occupied, opacity, 1 - opacity) * observed).astype(np.uint8),
        density=found.density.cpu().numpy().astype(np.float16),
        state=np.where(occupied, OCCUPIED, np.where(observed, FREE, UNSEEN)).astype(np.uint8),
    )


def from_above(found: Predicted, settings: OccupancyNetworkTraining) -> np.ndarray:
    """The highest voxel that is rather occupied than not in each column, ahead up: [X, Y, 3] uint8 BGR."""
    grid, classes = grid_of(settings.labels), table_named(settings.labels.table)
    occupied = (1 - torch.exp(-found.density * grid.voxel_size)).cpu().numpy() > settings.labels.threshold
    top = grid.shape[2] - 1 - np.argmax(occupied[:, :, ::-1], axis=2)
    numbers = np.take_along_axis(_named(found, classes), top[..., None], axis=2)[..., 0]
    is_any = np.asarray(occupied.any(axis=2))
    colors = np.where(is_any[..., None], classes.colors[numbers], 255).astype(np.uint8)
    return np.ascontiguousarray(colors[::-1, ::-1, ::-1])


def _named(found: Predicted, classes: VoxelClasses) -> np.ndarray:
    return np.array(classes.occupied, dtype=np.uint8)[found.logits.argmax(dim=0).cpu().numpy()]


def _visible(grid: Grid, views: Sequence[View], size: tuple[int, int], occupied: np.ndarray) -> np.ndarray:
    """Which voxels [X, Y, Z] bool rays of pixels cross up to and with the first occupied one."""
    visible = np.zeros(grid.shape, dtype=bool)
    v, u = (one.ravel() for one in np.mgrid[: size[1] : _STRIDE, : size[0] : _STRIDE])
    for view in views:
        pixels = np.stack([u, v, np.ones_like(u)]).astype(np.float64)
        ahead = (view.T_grid_cam[:3, :3] @ np.linalg.inv(view.K) @ pixels).T
        origin = view.T_grid_cam[:3, 3]
        rays = Rays.between(grid, origin, origin + ahead)
        hits = first_occupied(rays, occupied)
        ends = np.where(hits.places >= 0, hits.entered + _INSIDE, np.inf)
        counts = count(Rays(rays.origins, rays.directions, ends), grid.shape)
        visible |= (counts.passed > 0) | (counts.hits > 0)
    return visible
