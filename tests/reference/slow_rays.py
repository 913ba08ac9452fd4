"""Slow and obvious twin of the street's ray casters: every ray against every face (Möller and Trumbore, 1997)."""

import numpy as np


def cast(faces, rays):
    """Face [R] and length [R] at which rays [R, 3] from the origin enter a face [F, 4, 3] first; -1 and inf: none."""
    lengths = np.minimum(*(meet(*(faces[:, i] for i in corners), rays) for corners in ((0, 1, 2), (0, 2, 3))))
    nearest = lengths.min(axis=1)
    return np.where(np.isfinite(nearest), lengths.argmin(axis=1), -1), nearest


def meet(a, b, c, rays):
    """Lengths [R, F] of rays up to triangles whose outside they meet; infinite where they meet none."""
    ab, ac = b - a, c - a
    q = np.cross(-a, ab)
    # The determinant is positive where the ray comes from the side on which corners are counter-clockwise.
    determinant = -rays @ np.cross(ab, ac).T
    with np.errstate(divide="ignore", invalid="ignore"):
        u = -np.einsum("fi,rfi->rf", a, np.cross(rays[:, None], ac)) / determinant
        v = rays @ q.T / determinant
        length = np.einsum("fi,fi->f", ac, q) / determinant
        is_met = (determinant > 0) & (u >= 0) & (v >= 0) & (u + v <= 1) & (length > 0)
    return np.where(is_met, length, np.inf)
