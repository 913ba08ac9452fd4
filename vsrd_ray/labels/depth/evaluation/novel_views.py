"""Rendered images against photographs: PSNR and SSIM without the outermost 5 % of the image.

LPIPS, which the papers give too, needs a network's weights and is left out.

Shapes: H x W pixels, C channels; values in [0, 1].
"""

import cv2
import numpy as np

_BORDER = 0.05  # of each side, cut off
_C1, _C2 = 0.01**2, 0.03**2
_WINDOW, _SIGMA = 11, 1.5  # px


def psnr(
    rendered: np.ndarray,  # [H, W, C]
    photograph: np.ndarray,  # [H, W, C]
) -> float:
    """Peak signal to noise ratio, dB; infinite where the images are equal."""
    error = float(np.mean((_cropped(rendered) - _cropped(photograph)) ** 2))
    return -10 * float(np.log10(error)) if error else float("inf")


def ssim(
    rendered: np.ndarray,  # [H, W, C]
    photograph: np.ndarray,  # [H, W, C]
) -> float:
    """Structural similarity, mean over pixels and channels (Wang et al., 2004: Gaussian window of 11 pixels)."""
    a, b = _cropped(rendered).astype(float), _cropped(photograph).astype(float)
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a, variance_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    return float(np.mean(likeness / ((mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2))))


def _cropped(image: np.ndarray) -> np.ndarray:
    top, left = (round(side * _BORDER) for side in image.shape[:2])
    return image[top : image.shape[0] - top, left : image.shape[1] - left]


def _blurred(image: np.ndarray) -> np.ndarray:
    blurred = cv2.GaussianBlur(image, (_WINDOW, _WINDOW), _SIGMA, borderType=cv2.BORDER_REFLECT)
    return blurred.reshape(image.shape)
