"""Points in posed images: where they project, and what is seen there.

Image coordinates are normalised: -1 and 1 are the image's edges, so intrinsics do not depend on the resolution.
Shapes: P points, V views, C channels, H x W pixels. Frames: `world` any in which all views are posed, `cam` (x right,
y down, z ahead). Metres.
"""

import torch
from torch import Tensor

MIN_DEPTH = 1e-3  # metres; nearer points are not in the image


def normalised_intrinsics(
    K: Tensor,  # [..., 3, 3] px; a pixel (u, v) names its centre
    image_size: tuple[int, int],  # (width, height)
    *,
    half_pixel: bool = True,
) -> Tensor:
    """Intrinsics [..., 3, 3] with image edges at -1 and 1: 2 fx / W, (2 cx + 1) / W - 1.

    Without `half_pixel` the principal point is 2 cx / W - 1, as published: half a pixel of the image to the left.
    """
    width, height = image_size
    shift = 1.0 if half_pixel else 0.0
    into = K.new_tensor([[2 / width, 0, shift / width - 1], [0, 2 / height, shift / height - 1], [0, 0, 1]])
    return into @ K


def pixel_grid(
    image_size: tuple[int, int],  # (width, height)
    *,
    corners: bool = False,
    like: Tensor,
) -> Tensor:
    """Normalised coordinates [H, W, 2] of an image's pixels: pixel i at (2 i + 1) / W - 1.

    With `corners` the first and last pixels lie on the edges, as published: half a pixel off where images are sampled.
    """
    axes = [_axis(size, like=like) * (1 if corners else 1 - 1 / size) for size in image_size]
    v, u = torch.meshgrid(axes[1], axes[0], indexing="ij")
    return torch.stack([u, v], dim=-1)


def project(
    points: Tensor,  # [P, 3] in `world`
    T_world_cam: Tensor,  # [V, 4, 4]
    K_norm: Tensor,  # [V, 3, 3]
) -> tuple[Tensor, Tensor, Tensor]:
    """Image points [P, V, 2], depths [P, V] along the axes, and whether a view does not see the point, [P, V].

    Depths below 1 mm count as that; such a point is not seen, nor is one outside the image.
    """
    T_cam_world = torch.inverse(T_world_cam)
    into = K_norm @ T_cam_world[:, :3]
    image = torch.einsum("vij,pj->pvi", into[..., :3], points) + into[..., 3]
    depth = image[..., 2]
    uv = image[..., :2] / depth.clamp(min=MIN_DEPTH)[..., None]
    unseen = (depth <= MIN_DEPTH) | (uv.abs() > 1).any(dim=-1)
    return uv, depth, unseen


def sample(
    images: Tensor,  # [V, C, H, W]
    uv: Tensor,  # [P, V, 2]
) -> Tensor:
    """Values [P, V, C] at image points: bilinear, and the border's outside of the image."""
    grid = uv.transpose(0, 1)[:, :, None]  # [V, P, 1, 2]
    values = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return values[..., 0].permute(2, 0, 1)


def _axis(size: int, *, like: Tensor) -> Tensor:
    return torch.linspace(-1, 1, size, dtype=like.dtype, device=like.device)
