"""Depth without the noise of single pixels: a plane fitted to the neighbours that a pixel has on its surface.

Shapes: H x W pixels.
"""

import numpy as np

_REACH = 3  # px, to each side
_OUTLYING = 2.5  # standard deviations of two depths, beyond which neighbours are of another surface


def smoothed(
    depth: np.ndarray,  # [H, W] float32 m along the optical axis; 0 where unknown
    labels: np.ndarray,  # [H, W] uint8
    *,
    error: float,  # standard deviation of depths, as a share of them
) -> tuple[np.ndarray, float]:
    """Depth [H, W] float32, and the share by which single pixels were off, of `error` at most.

    Inverse depth is linear in the image of a plane. Of the pixels around, those count that are of the same class and
    nearly as deep; where there are few, their mean does.
    """
    known = depth > 0
    inverse = np.divide(1.0, depth, out=np.zeros(depth.shape), where=known)
    fitted = inverse
    for _ in range(2):  # again, with the depths of the first round telling who belongs together
        fitted = _fitted(inverse, fitted, labels, known, _OUTLYING * error)
    off = (np.divide(fitted, inverse, out=np.ones(depth.shape), where=known) - 1)[known]
    own = min(float(1.4826 * np.median(np.abs(off))) if off.size else 0.0, error)
    return np.divide(1.0, fitted, out=np.zeros(depth.shape), where=known).astype(np.float32), own


def _fitted(inverse: np.ndarray, guide: np.ndarray, labels: np.ndarray, known: np.ndarray, most: float) -> np.ndarray:
    """Inverse depth [H, W] of the planes; those neighbours count whose guide is off by less than `most` of its own."""
    height, width = inverse.shape
    reach = _REACH
    sums = np.zeros((9, height, width))  # of 1, u, v, uu, uv, vv, d, ud, vd
    pad = [(reach, reach), (reach, reach)]
    d, g, own, k = (np.pad(one, pad) for one in (inverse, guide, labels, known))
    for dv in range(-reach, reach + 1):
        for du in range(-reach, reach + 1):
            rows, columns = slice(reach + dv, reach + dv + height), slice(reach + du, reach + du + width)
            there = k[rows, columns] & (own[rows, columns] == labels)
            there &= np.abs(g[rows, columns] - guide) <= most * guide
            value = np.where(there, d[rows, columns], 0.0)
            for place, factor in enumerate((1, du, dv, du * du, du * dv, dv * dv)):
                if factor:
                    sums[place] += factor * there
            sums[6] += value
            sums[7] += du * value
            sums[8] += dv * value
    n, u, v, uu, uv, vv, s, us, vs = sums
    n = np.maximum(n, 1)
    # The plane's value at the pixel, of a fit that is drawn towards a level plane where neighbours lie in a line.
    a, b, c = uu - u * u / n + 1.0, uv - u * v / n, vv - v * v / n + 1.0
    p, q = us - u * s / n, vs - v * s / n
    along, down = (p * c - q * b) / (a * c - b * b), (q * a - p * b) / (a * c - b * b)
    plane = (s - along * u - down * v) / n
    is_sane = np.abs(plane - guide) <= most * guide
    return np.where(known, np.where(is_sane, plane, inverse), 0.0)
