"""Cars: rings of points lofted into a body and a cabin.

Shares: x of the length, y of the width, z of the height; x and y from -0.5 to 0.5, z from 0 (ground) to 1 (roof).
"""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.synthetic.bodies import GLASS, HEADLAMP, TAIL_LAMP, TRIM, Color, Shape, assembled, loft, wheels
from vsrd_ray.synthetic.meshes import Mesh


@dataclass(frozen=True, kw_only=True)
class CarShape(Shape):
    """A body style: where its outline bends (shares of length and height)."""

    class_name: str = "car"
    axles: tuple[float, ...] = (0.31, -0.29)
    cowl: float  # x of the windscreen's base
    roof_front: float  # x
    roof_rear: float  # x
    cabin_rear: float  # x of the rear window's base
    bonnet: float  # z of the bonnet's front edge
    belt: float  # z of the windows' lower edge
    deck: float  # z of the body's rear edge
    rear_panels: bool = False  # closed sides behind the front doors
    tumblehome: float = 0.085  # by which each side of the cabin leans in up to the roof, share of the width
    nose_width: float = 0.34  # half of the front face, share of the width
    tail_width: float = 0.40  # half of the rear face

    def mesh(self, dimensions_lwh: np.ndarray, *, paint: Color, instance_id: int) -> Mesh:
        """A car: it touches its box with its bumpers in x, its shoulders in y, its tyres and its roof in z."""
        scale = np.asarray(dimensions_lwh, dtype=np.float64)
        solids = [loft(_body_rings(self), _body_colors(paint)), loft(_cabin_rings(self), _cabin_colors(self, paint))]
        radius = float(np.clip(0.22 * scale[2], 0.29, 0.35))
        parts = [(faces * scale, colors) for faces, colors in solids]
        parts += wheels(scale, self.axles, radius=radius, breadth=0.2)
        return assembled(parts, scale[2], instance_id=instance_id)


SHAPES = (
    CarShape(
        name="sedan",
        length=(4.35, 4.95),
        width=(1.74, 1.88),
        height=(1.40, 1.50),
        cowl=0.23,
        roof_front=0.07,
        roof_rear=-0.20,
        cabin_rear=-0.36,
        bonnet=0.47,
        belt=0.63,
        deck=0.64,
    ),
    CarShape(
        name="hatchback",
        length=(3.60, 4.20),
        width=(1.60, 1.78),
        height=(1.42, 1.54),
        cowl=0.26,
        roof_front=0.09,
        roof_rear=-0.37,
        cabin_rear=-0.465,
        bonnet=0.49,
        belt=0.62,
        deck=0.60,
    ),
    CarShape(
        name="estate",
        length=(4.40, 4.90),
        width=(1.76, 1.92),
        height=(1.50, 1.72),
        cowl=0.24,
        roof_front=0.09,
        roof_rear=-0.42,
        cabin_rear=-0.475,
        bonnet=0.50,
        belt=0.62,
        deck=0.60,
    ),
    CarShape(
        name="van",
        length=(4.30, 5.00),
        width=(1.78, 1.95),
        height=(1.76, 1.90),
        cowl=0.34,
        roof_front=0.20,
        roof_rear=-0.465,
        cabin_rear=-0.485,
        bonnet=0.46,
        belt=0.56,
        deck=0.54,
        rear_panels=True,
    ),
)


def _body_rings(shape: CarShape) -> np.ndarray:
    """Left halves of five rings [5, 6, 3], shares, from the sill up: nose, corner, cowl, deck, corner, tail."""
    middle, rear = shape.cowl, shape.cabin_rear + 0.02
    rear_corner = min(-0.44, rear - 0.01)
    plan = np.array(
        [[0.5, shape.nose_width], [0.43, 0.5], [middle, 0.5], [rear, 0.5], [rear_corner, 0.5], [-0.5, shape.tail_width]]
    )
    inset = np.array([0.025, 0.0, 0.004, 0.012, 0.03])  # of nose and tail
    breadth = np.array([0.93, 0.96, 0.965, 1.0, 0.94])
    nose, belt, deck = shape.bonnet, shape.belt, shape.deck
    heights = np.array(
        [
            [0.16, 0.15, 0.14, 0.14, 0.15, 0.17],
            [0.27] * 6,
            [0.40, 0.42, 0.44, 0.44, 0.43, 0.42],
            [nose - 0.03, nose, belt - 0.09, belt - 0.09, deck - 0.07, deck - 0.08],
            [nose, nose + 0.03, belt, belt + 0.01, deck, deck - 0.02],
        ]
    )
    rings = np.empty((5, 6, 3))
    rings[..., 0] = plan[:, 0]
    rings[:, 0, 0] -= inset
    rings[:, -1, 0] += inset
    rings[..., 1] = plan[:, 1] * breadth[:, None]
    rings[..., 2] = heights
    return rings


def _cabin_rings(shape: CarShape) -> np.ndarray:
    """Left halves of five rings [5, 6, 3], shares, from the belt to the roof: windscreen, pillars, rear window."""
    rise = np.array([0.0, 0.10, 0.80, 0.95, 1.0])
    lean = np.array([0.0, 0.09, 0.78, 0.95, 1.12])
    front = shape.cowl + lean * (shape.roof_front - shape.cowl)
    rear = shape.cabin_rear + lean * (shape.roof_rear - shape.cabin_rear)
    half_width = 0.465 - shape.tumblehome * lean
    middle = (front + rear) / 2 + 0.01
    x = [front, front - 0.04, middle + 0.012, middle - 0.012, rear + 0.05, rear]
    y = [0.80 * half_width, half_width, half_width, half_width, half_width, 0.84 * half_width]
    base = shape.belt - 0.02
    z = np.broadcast_to((base + rise * (1 - base))[:, None], (5, 6))
    return np.stack([np.stack(x, axis=-1), np.stack(y, axis=-1), z], axis=-1)


def _body_colors(paint: Color) -> np.ndarray:
    """Colours [5, 7, 3] of the body's four bands and its deck; columns: five along the side, then tail and nose."""
    colors = np.broadcast_to(np.asarray(paint, dtype=np.float64), (5, 7, 3)).copy()
    colors[0] = TRIM
    colors[1, 6] = TRIM
    colors[2, 0], colors[2, 4] = HEADLAMP, TAIL_LAMP
    colors[3, 4] = TAIL_LAMP
    return colors


def _cabin_colors(shape: CarShape, paint: Color) -> np.ndarray:
    """Colours [5, 7, 3] of the cabin's four bands and its roof, in the columns of `_body_colors`."""
    colors = np.broadcast_to(np.asarray(paint, dtype=np.float64), (5, 7, 3)).copy()
    panes = [1, 5, 6] if shape.rear_panels else [1, 3, 5, 6]
    colors[1, panes] = GLASS
    return colors
