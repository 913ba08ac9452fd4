"""What density networks are trained by: colours that agree, smooth depth, and a teacher's densities.

Shapes: N patches of h x w rays, V render views, K samples.
"""

import torch
from torch import Tensor

_DSSIM_SHARE = 0.85
_C1, _C2 = 1e-4, 9e-4
# The published window of 3 x 3 pixels, a Gaussian of 1.5 pixels to four places: its sum is 0.9998.
_WINDOW = ((0.0947, 0.1183, 0.0947), (0.1183, 0.1478, 0.1183), (0.0947, 0.1183, 0.0947))
_MOST = 2.0  # the density from which on teacher and student need not agree


def dssim(
    rendered: Tensor,  # [B, C, h, w] in [0, 1]
    true: Tensor,  # [B, C, h, w]
) -> Tensor:
    """Structural dissimilarity [B, C, h, w]: (1 - SSIM) / 2 within [0, 1], with zeros around the patch."""
    channels = true.shape[1]
    kernel = true.new_tensor(_WINDOW).expand(channels, 1, 3, 3)

    def blurred(images: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(images, kernel, padding=1, groups=channels)

    mean_a, mean_b = blurred(rendered), blurred(true)
    variance_a, variance_b = blurred(rendered**2) - mean_a**2, blurred(true**2) - mean_b**2
    covariance = blurred(rendered * true) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    ssim = likeness / ((mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2))
    return ((1 - ssim).clamp(0, 1)) / 2


def color_errors(
    rendered: Tensor,  # [N, h, w, V, 3]
    true: Tensor,  # [N, h, w, 3]
) -> Tensor:
    """How much the colour by each view is off, [N, h, w, V]: 0.85 dissimilarity and 0.15 difference, channel means."""
    num_patches, height, width, num_views, _ = rendered.shape
    by_view = rendered.permute(0, 3, 4, 1, 2).reshape(-1, 3, height, width)
    truth = true.permute(0, 3, 1, 2)[:, None].expand(-1, num_views, -1, -1, -1).reshape(-1, 3, height, width)
    errors = _DSSIM_SHARE * dssim(by_view, truth) + (1 - _DSSIM_SHARE) * (by_view - truth).abs()
    return errors.mean(dim=1).reshape(num_patches, num_views, height, width).permute(0, 2, 3, 1)


def photometric(
    errors: Tensor,  # [N, h, w, V]
    invalid: Tensor,  # [N, h, w] bool
) -> Tensor:
    """The mean over rays of the least error of a ray's views, 0 for invalid rays (monodepth2's minimum)."""
    return errors.amin(dim=-1).masked_fill(invalid, 0.0).mean()


def smoothness_map(
    depth: Tensor,  # [N, h, w]
    true: Tensor,  # [N, h, w, 3]
) -> Tensor:
    """How much inverse depth changes where colours do not, [N, h, w]; 0 across the last row and column."""
    inverse = 1 / depth
    inverse = inverse / inverse.mean(dim=(1, 2), keepdim=True)
    dx = (inverse[:, :, 1:] - inverse[:, :, :-1]).abs()
    dy = (inverse[:, 1:] - inverse[:, :-1]).abs()
    edges_x = (true[:, :, 1:] - true[:, :, :-1]).abs().mean(dim=-1)
    edges_y = (true[:, 1:] - true[:, :-1]).abs().mean(dim=-1)
    pad = torch.nn.functional.pad
    return pad(dx * torch.exp(-edges_x), (0, 1)) + pad(dy * torch.exp(-edges_y), (0, 0, 0, 1))


def smoothness(
    depth: Tensor,  # [N, h, w]
    true: Tensor,  # [N, h, w, 3]
    invalid: Tensor,  # [N, h, w] bool
) -> Tensor:
    """The mean of `smoothness_map` over rays, 0 for invalid ones."""
    return smoothness_map(depth, true).masked_fill(invalid, 0.0).mean()


def distillation(
    student_logits: Tensor,  # [K]
    teacher_logits: Tensor,  # [K]
) -> Tensor:
    """The mean difference of densities up to 2; the teacher learns nothing from it (KDBTS)."""
    student, teacher = (torch.nn.functional.softplus(one).clamp(0, _MOST) for one in (student_logits, teacher_logits))
    return (student - teacher.detach()).abs().mean()
