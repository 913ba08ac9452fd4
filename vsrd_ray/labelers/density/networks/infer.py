"""What a trained network says of posed images: densities at points, depth and its spread, and the profile.

Shapes: V views, P points, H x W pixels. Metres.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from vsrd_ray.errors import InputError
from vsrd_ray.labelers.density.networks.checkpoints import read_state, take
from vsrd_ray.labelers.density.networks.config import NetworkSettings, Role
from vsrd_ray.labelers.density.networks.model import DensityNetwork, EncodedViews
from vsrd_ray.labelers.density.networks.render import cast, points_of, z_factors
from vsrd_ray.labelers.density.training import StudentTraining, TeacherTraining
from vsrd_ray.rendering.compositing import composite, opacities, weights
from vsrd_ray.rendering.images import normalised_intrinsics, pixel_grid
from vsrd_ray.rendering.sampling import disparity_distances
from vsrd_ray.storage import Location
from vsrd_ray.training.checkpoints import load_trained, read_torch_file
from vsrd_ray.training.paths import TrainingPaths

PUBLISHED_SIZE = (640, 192)
_SAMPLES = 64  # of a ray
_AT_ONCE = 65_536  # points
# The profile: seen from above, how much of the space over the road is free (published code of BTS).
_PROFILE_X, _PROFILE_Z, _PROFILE_Y = (-9.0, 9.0), (21.0, 3.0), (0.0, 0.75)
_PROFILE_HEIGHTS, _PROFILE_MOST = 64, 8.0

# Points [P, 3] to their density [P] and whether no encoded view sees them, [P] bool.
DensityAt = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Trained:
    """A network to label with."""

    network: DensityNetwork
    role: Role
    image_size: tuple[int, int]  # (width, height) that it was trained with
    corner_rays: bool  # its depth is that of rays through a grid with the image's edges at its ends, as published
    shifted_intrinsics: bool
    digest: str  # of the weights, for provenance


@dataclass(frozen=True)
class PosedImage:
    """An image for a network."""

    image: np.ndarray  # [H, W, 3] uint8, BGR
    K: np.ndarray  # [3, 3], px of the image
    T_world_cam: np.ndarray  # [4, 4]


def load_network(
    checkpoint: Location,
    role: Role,
    *,
    settings: NetworkSettings | None = None,
    device: str = "cpu",
) -> Trained:
    """The network of a run of `vsrd-ray train`, of one of its checkpoints, or of a published checkpoint.

    Args:
        checkpoint: folder of a run, or file.
        role: whose head is wanted.
        settings: of a published checkpoint's network, which does not tell them; those of the papers by default.
        device: to put it on.

    Raises:
        InputError: no checkpoint, one of another network or width, or one without the head.
    """
    if _is_own(checkpoint):
        trained = load_trained(checkpoint)
        kinds = {"density_teacher": TeacherTraining, "density_student": StudentTraining}
        if trained.trainable not in kinds:
            raise InputError(f"{checkpoint}: trained as {trained.trainable}: give a run of density_teacher or _student")
        how = kinds[trained.trainable].model_validate(trained.settings)
        network = DensityNetwork(how.network, roles=(role,))
        take(network, trained.state, source=str(checkpoint))
        size, quirks, digest = how.groups.image_size, how.quirks, trained.digest
        corner_rays, shifted = quirks.corner_rays, quirks.shifted_intrinsics
    else:
        state = read_state(checkpoint)
        network = DensityNetwork(settings or NetworkSettings(), roles=(role,))
        take(network, state, source=str(checkpoint))
        size, corner_rays, shifted, digest = PUBLISHED_SIZE, True, True, digest_of(state)
    return Trained(network.to(device).eval().requires_grad_(False), role, size, corner_rays, shifted, digest)


@torch.no_grad()
def encode(
    trained: Trained,
    views: list[PosedImage],  # the key view first; a student looks at that one alone
) -> EncodedViews:
    """Images as the network sees them, resized to what it was trained with."""
    device = next(trained.network.parameters()).device
    some = views[:1] if trained.role == "student" else views
    resized = np.stack([_resized(view.image, trained.image_size) for view in some])
    images = torch.from_numpy(resized.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2).to(device)
    K_norm = [
        normalised_intrinsics(
            torch.from_numpy(view.K).float(),
            (view.image.shape[1], view.image.shape[0]),
            half_pixel=not trained.shifted_intrinsics,
        )
        for view in some
    ]
    poses = torch.from_numpy(np.stack([view.T_world_cam for view in some])).float().to(device)
    return EncodedViews(trained.network.encode(images), poses, torch.stack(K_norm).to(device))


def density_field(trained: Trained, views: EncodedViews) -> DensityAt:
    """A function of points [P, 3] in `world`, however many, to their density and whether no view sees them."""

    @torch.no_grad()
    def at(points: Tensor) -> tuple[Tensor, Tensor]:
        found = [trained.network.density(some, views, trained.role) for some in points.split(_AT_ONCE)]
        return torch.cat([one.density for one in found]), torch.cat([one.unseen.all(dim=1) for one in found])

    return at


@torch.no_grad()
def depth_maps(
    field: DensityAt,
    T_world_cam: Tensor,  # [4, 4] of the camera that looks
    K_norm: Tensor,  # [3, 3]
    image_size: tuple[int, int],
    *,
    near: float,
    far: float,
    corners: bool = False,
) -> tuple[Tensor, Tensor]:
    """Depth along the axis, and its standard deviation, [H, W] each; the last sample of a ray stops what is left."""
    grid = pixel_grid(image_size, corners=corners, like=K_norm)
    uv = grid.reshape(-1, 2)
    rays = cast(uv, T_world_cam[None], K_norm[None])
    ends = torch.full_like(uv[:, 0], near), torch.full_like(uv[:, 0], far)
    distances = disparity_distances(*ends, num_samples=_SAMPLES, generator=None)
    density, _ = field(points_of(rays, distances).reshape(-1, 3))
    shares = weights(opacities(density.reshape(distances.shape), distances))
    mean = composite(shares, distances)
    spread = composite(shares, (distances - mean[:, None]) ** 2).sqrt()
    scale = z_factors(uv, K_norm)
    shape = grid.shape[:2]
    return (mean * scale).reshape(shape), (spread * scale).reshape(shape)


@torch.no_grad()
def profile(
    field: DensityAt,
    T_world_eval: Tensor,  # [4, 4]; axes along the road at the camera, y down
    *,
    shape: tuple[int, int],  # rows far to near, columns left to right
    num_heights: int = _PROFILE_HEIGHTS,
) -> Tensor:
    """The share of free heights at places in front of a camera, seen from above.

    A height is free where the densities from the top down to it sum to at most 8; density counts as 1 where no view
    sees the point. (Published code of BTS.)
    """
    like = T_world_eval
    y, z, x = torch.meshgrid(
        torch.linspace(*_PROFILE_Y, num_heights).to(like),
        torch.linspace(*_PROFILE_Z, shape[0]).to(like),
        torch.linspace(*_PROFILE_X, shape[1]).to(like),
        indexing="ij",
    )
    points = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    density, unseen = field(points @ T_world_eval[:3, :3].T + T_world_eval[:3, 3])
    density = torch.where(unseen, 1.0, density).reshape(num_heights, *shape)
    return (density.cumsum(dim=0) <= _PROFILE_MOST).to(like).mean(dim=0)


def digest_of(state: dict[str, Tensor]) -> str:
    """A digest of weights, by name and bytes."""
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(name.encode())
        found.update(state[name].contiguous().numpy().tobytes())
    return found.hexdigest()[:12]


def _is_own(checkpoint: Location) -> bool:
    if checkpoint.suffix not in (".pt", ".pth"):
        return TrainingPaths(checkpoint).record.exists()
    loaded = read_torch_file(checkpoint)
    return isinstance(loaded, dict) and "trainable" in loaded


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """RGB of an image of any size: smaller by the means of areas, larger bilinearly."""
    is_smaller = size[0] <= image.shape[1] and size[1] <= image.shape[0]
    interpolation = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=interpolation)[..., ::-1]
