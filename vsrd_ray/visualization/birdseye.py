"""Streets seen from above.

Shapes: N boxes, P points. Plan coordinates are metres in a horizontal plane: the world's x and y, or a camera's
surroundings. Pictures are BGR uint8.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from vsrd_ray.visualization.drawing import (
    GREY,
    INK,
    PAPER,
    Color,
    blend_polygon,
    draw_line,
    draw_polygon,
    draw_text,
    text_width,
)

_GRID: Color = (230, 229, 226)
_GRID_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # metres between lines
_GRID_MIN_PIXELS = 55  # between two lines
_FRONT_SHARE = 0.3  # share of a box's length that its heading mark takes


@dataclass(frozen=True)
class Plan:
    """A picture of a horizontal plane: pixels = scale * A (p - origin) + centre of the picture."""

    image: np.ndarray  # [H, W, 3]
    origin: np.ndarray  # [2] metres, at the centre of the picture
    axes: np.ndarray  # [2, 2] rows: the picture's right and down in plan coordinates
    scale: float  # pixels per metre

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Pixels [..., 2] of plan points [..., 2]."""
        height, width = self.image.shape[:2]
        return self.scale * ((points - self.origin) @ self.axes.T) + np.array([width, height]) / 2


def fit_plan(points: np.ndarray, size: tuple[int, int], *, right: np.ndarray, margin: float = 4.0) -> Plan:
    """An empty plan that holds all points.

    Args:
        points: [P, 2] plan coordinates, x right of y where one looks down on the world.
        size: (width, height) pixels.
        right: [2] direction that points to the right in the picture.
        margin: metres around the points.
    """
    right = right / np.linalg.norm(right)
    axes = np.array([right, [right[1], -right[0]]])
    local = points @ axes.T
    low, high = local.min(axis=0) - margin, local.max(axis=0) + margin
    scale = float(np.min(np.array(size) / (high - low)))
    return Plan(_grid_paper(size), origin=(low + high) / 2 @ axes, axes=axes, scale=scale)


def draw_grid(plan: Plan) -> None:
    """Draw grid lines at round distances, square to the picture."""
    step = _grid_step(plan)
    height, width = plan.image.shape[:2]
    reach = math.hypot(width, height) / 2 / plan.scale
    center = np.round(plan.axes @ plan.origin / step) * step @ plan.axes
    for offset in np.arange(-math.ceil(reach / step), math.ceil(reach / step) + 1) * step:
        for along, across in (plan.axes, plan.axes[::-1]):
            middle = center + offset * across
            start, end = plan.to_pixels(np.stack([middle - 2 * reach * along, middle + 2 * reach * along]))
            draw_line(plan.image, start, end, color=_GRID)


def draw_scale(plan: Plan) -> None:
    """Draw a bar that tells the distance between grid lines."""
    step = _grid_step(plan)
    height, width = plan.image.shape[:2]
    length, label = step * plan.scale, f"{step} m"
    right, y = width - 20.0, height - 18.0
    draw_line(plan.image, np.array([right - length, y]), np.array([right, y]), color=INK, thickness=2)
    draw_text(plan.image, label, (right - length / 2 - text_width(label) / 2, y - 8))


def draw_footprints(
    plan: Plan,
    footprints: np.ndarray,  # [N, 4, 2] plan coordinates: front left, front right, rear right, rear left
    colors: list[Color],
    *,
    filled: bool = True,
    thickness: int = 2,
) -> None:
    """Draw boxes from above, with a mark behind the front edge."""
    for footprint, color in zip(plan.to_pixels(footprints), colors, strict=True):
        if filled:
            blend_polygon(plan.image, footprint, color=color, opacity=0.35)
        draw_polygon(plan.image, footprint, color=color, thickness=thickness)
        left, right = footprint[[0, 1]] + _FRONT_SHARE * (footprint[[3, 2]] - footprint[[0, 1]])
        draw_polygon(
            plan.image, np.stack([left, footprint[:2].mean(axis=0), right]), color=color, thickness=1, closed=False
        )


def draw_camera(
    plan: Plan,
    position: np.ndarray,  # [2] plan coordinates
    heading: np.ndarray,  # [2] direction of view
    *,
    view_angle: float,  # radians, the whole horizontal angle
    reach: float = 12.0,  # metres
) -> None:
    """Draw where the camera stands and what it has in view."""
    heading = heading / np.linalg.norm(heading)
    side = np.array([-heading[1], heading[0]]) * math.tan(view_angle / 2)
    wedge = plan.to_pixels(
        np.stack([position, position + reach * (heading + side), position + reach * (heading - side)])
    )
    blend_polygon(plan.image, wedge, color=GREY, opacity=0.2)
    for corner in wedge[1:]:
        draw_line(plan.image, wedge[0], corner, color=GREY)
    x, y = np.round(wedge[0]).astype(int).tolist()
    cv2.circle(plan.image, (x, y), 5, INK, -1, cv2.LINE_AA)


def draw_path(plan: Plan, points: np.ndarray) -> None:
    """Draw the way of the camera through plan points [P, 2]."""
    draw_polygon(plan.image, plan.to_pixels(points), color=GREY, thickness=2, closed=False)


def horizontal_view(K: np.ndarray, image_size: tuple[int, int]) -> float:
    """The whole horizontal angle of view, radians."""
    return 2 * float(np.arctan(image_size[0] / 2 / K[0, 0]))


def _grid_paper(size: tuple[int, int]) -> np.ndarray:
    width, height = size
    return np.full((height, width, 3), PAPER, dtype=np.uint8)


def _grid_step(plan: Plan) -> int:
    return next((step for step in _GRID_STEPS if step * plan.scale >= _GRID_MIN_PIXELS), _GRID_STEPS[-1])
