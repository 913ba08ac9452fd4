"""Whether numbers can be the size and the matrix of a pinhole camera on a vehicle: what is said where not."""

import numpy as np

# Beyond these, a matrix is not one of a camera on a vehicle. Focal lengths are in widths of the image: at 0.1 it
# would see 157 degrees, at 20 less than 3.
_MIN_FOCAL, _MAX_FOCAL, _MAX_ASPECT, _MAX_SKEW = 0.1, 20.0, 2.0, 0.1
_MAX_SHIFT = 20.0  # metres from camera 0
_MAX_SIDE = 65_535  # pixels


def why_no_size(width: float, height: float) -> str | None:
    """What is wrong with an image size, and the fix; None where nothing is."""
    for value in (width, height):
        if not value.is_integer() or not 1 <= value <= _MAX_SIDE:
            return f"expected a width and a height in whole pixels, got {width:g} {height:g}"
    return None


def why_no_camera(P: np.ndarray, width: float, height: float) -> str | None:  # noqa: PLR0911 - a reason each
    """What keeps P [3, 4] from being K (I | t) of a pinhole camera with such images, and the fix; None for nothing."""
    (fx, skew, cx), (low, fy, cy), last = P[:, :3]
    if not np.allclose(last, (0, 0, 1), atol=1e-6):
        if last[2] > 0 and not last[:2].any():
            return f"its third row ends with {last[2]:g} in place of 1: divide the matrix by it"
        return f"its third row is {' '.join(f'{value:g}' for value in last)}, expected 0 0 1"
    if fx <= 0 or fy <= 0:
        return f"its focal lengths are {fx:g} and {fy:g}, expected numbers above 0"
    if fx < _MIN_FOCAL * width or fy < _MIN_FOCAL * width:
        return (
            f"focal lengths of {fx:g} and {fy:g} px are too small for images of {width:.0f} px: "
            "give pixels, not millimetres or parts of the image"
        )
    if max(fx, fy) > _MAX_FOCAL * width:
        return f"focal lengths of {fx:g} and {fy:g} px are too large for images of {width:.0f} px: use the images' own"
    if max(fx, fy) > _MAX_ASPECT * min(fx, fy):
        return f"focal lengths of {fx:g} and {fy:g} px belong to no camera: they differ by a few percent at most"
    if low or abs(skew) > _MAX_SKEW * fx:
        return f"it is skewed ({skew:g} and {low:g} beside the focal lengths), expected 0"
    if not (0 < cx < width and 0 < cy < height):
        return (
            f"its principal point ({cx:g}, {cy:g}) lies outside images of {width:.0f} x {height:.0f} px: "
            "use the calibration of the images as they are, cropped and resized"
        )
    baseline = P[:, 3] / (fx, fy, 1.0)
    if np.abs(baseline).max() > _MAX_SHIFT:
        return f"its last column shifts the camera by {np.abs(baseline).max():g} m: P[0, 3] is -fx times the baseline"
    return None
