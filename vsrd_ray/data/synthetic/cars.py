"""Bodies of cars: rings of points lofted into a body and a cabin, and wheels; they touch all six sides of their box.

Shares: x of the length, y of the width, z of the height; x and y from -0.5 to 0.5, z from 0 (ground) to 1 (roof).
"""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.synthetic.meshes import (
    Mesh,
    facing_outward,
    joined,
    painted,
    prism,
    regular_polygon,
    shifted,
    split_quads,
)

GLASS, TYRE, RIM = (38, 46, 54), (26, 26, 28), (128, 130, 134)
HEADLAMP, TAIL_LAMP, TRIM = (214, 218, 220), (150, 26, 24), (34, 34, 36)


@dataclass(frozen=True)
class CarShape:
    """A body style: ranges of its size, and where its outline bends (shares of length and height)."""

    name: str
    length: tuple[float, float]  # m
    width: tuple[float, float]  # m
    height: tuple[float, float]  # m
    cowl: float  # x of the windscreen's base
    roof_front: float  # x
    roof_rear: float  # x
    cabin_rear: float  # x of the rear window's base
    bonnet: float  # z of the bonnet's front edge
    belt: float  # z of the windows' lower edge
    deck: float  # z of the body's rear edge
    rear_panels: bool = False  # closed sides behind the front doors

    def random_dimensions(self, rng: np.random.Generator) -> np.ndarray:
        """Length, width and height [3], metres."""
        return np.array([rng.uniform(*side) for side in (self.length, self.width, self.height)])


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


def car_mesh(
    shape: CarShape,
    dimensions_lwh: np.ndarray,  # [3] metres
    *,
    paint: tuple[float, float, float],  # RGB 0..255
    instance_id: int,  # semantic id * 1000 + instance id
) -> Mesh:
    """A car in the frame of its box (x forward, y left, z up, origin at the box's centre), metres.

    Its vertices' bounding box is the box: bumpers in x, shoulders in y, tyres and roof in z.
    """
    body = _loft(_body_rings(shape), _body_colors(paint))
    cabin = _loft(_cabin_rings(shape), _cabin_colors(shape, paint))
    scale = np.asarray(dimensions_lwh, dtype=np.float64)
    parts = [painted(faces * scale, colors, instance_id=instance_id) for faces, colors in (body, cabin)]
    car = joined([*parts, _wheels(scale, instance_id)])
    return car.placed(0.0, np.array([0.0, 0.0, -scale[2] / 2]))


def _body_rings(shape: CarShape) -> np.ndarray:
    """Left halves of five rings [5, 6, 3], shares, from the sill up: nose, corner, cowl, deck, corner, tail."""
    middle, rear = shape.cowl, shape.cabin_rear + 0.02
    rear_corner = min(-0.44, rear - 0.01)
    plan = np.array([[0.5, 0.34], [0.43, 0.5], [middle, 0.5], [rear, 0.5], [rear_corner, 0.5], [-0.5, 0.40]])
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
    half_width = 0.465 - 0.085 * lean
    middle = (front + rear) / 2 + 0.01
    x = [front, front - 0.04, middle + 0.012, middle - 0.012, rear + 0.05, rear]
    y = [0.80 * half_width, half_width, half_width, half_width, half_width, 0.84 * half_width]
    base = shape.belt - 0.02
    z = np.broadcast_to((base + rise * (1 - base))[:, None], (5, 6))
    return np.stack([np.stack(x, axis=-1), np.stack(y, axis=-1), z], axis=-1)


def _body_colors(paint: tuple[float, float, float]) -> np.ndarray:
    """Colours [5, 7, 3] of the body's four bands and its deck; columns: five along the side, then tail and nose."""
    colors = np.broadcast_to(np.asarray(paint, dtype=np.float64), (5, 7, 3)).copy()
    colors[0] = TRIM
    colors[1, 6] = TRIM
    colors[2, 0], colors[2, 4] = HEADLAMP, TAIL_LAMP
    colors[3, 4] = TAIL_LAMP
    return colors


def _cabin_colors(shape: CarShape, paint: tuple[float, float, float]) -> np.ndarray:
    """Colours [5, 7, 3] of the cabin's four bands and its roof, in the columns of `_body_colors`."""
    colors = np.broadcast_to(np.asarray(paint, dtype=np.float64), (5, 7, 3)).copy()
    panes = [1, 5, 6] if shape.rear_panels else [1, 3, 5, 6]
    colors[1, panes] = GLASS
    return colors


def _loft(
    half_rings: np.ndarray,  # [R, P, 3] left halves from front to rear, from the bottom up
    colors: np.ndarray,  # [R, P + 1, 3] of R - 1 bands and the deck; P - 1 columns along the side, then rear and front
) -> tuple[np.ndarray, np.ndarray]:
    """Faces [F, 4, 3] and colours [F, 3] of the mirrored solid through the rings, closed at the bottom and the top."""
    columns = half_rings.shape[1]
    right = half_rings * [1, -1, 1]
    loops = np.concatenate([half_rings, right[:, ::-1]], axis=1)
    following = np.roll(loops, -1, axis=1)
    quads = np.stack([loops[:-1], following[:-1], following[1:], loops[1:]], axis=2)
    along = [*range(columns - 1), columns - 1, *range(columns - 2, -1, -1), columns]
    sides = split_quads(quads.reshape(-1, 4, 3))
    side_colors = colors[:-1][:, along].reshape(-1, 3).repeat(2, axis=0)
    decks = [np.stack([half_rings[r, :-1], half_rings[r, 1:], right[r, 1:], right[r, :-1]], axis=1) for r in (0, -1)]
    faces = np.concatenate([sides, *decks])
    deck_colors = [np.broadcast_to(TRIM, (columns - 1, 3)), colors[-1, : columns - 1]]
    return facing_outward(faces, loops.mean(axis=(0, 1))), np.concatenate([side_colors, *deck_colors])


def _wheels(dimensions_lwh: np.ndarray, instance_id: int) -> Mesh:
    """Four wheels that stand on the ground, metres, origin on the ground below the car's centre."""
    length, width, height = dimensions_lwh
    radius = float(np.clip(0.22 * height, 0.29, 0.35))
    parts = []
    for x in (0.31 * length, -0.29 * length):
        for side in (1, -1):
            tyre = _disc(radius, 0.490 * width * side, 0.490 * width * side - 0.2 * side, x=x, z=radius)
            rim = _disc(0.58 * radius, 0.495 * width * side, 0.470 * width * side, x=x, z=radius)
            parts += [
                painted(tyre, TYRE, instance_id=instance_id),
                painted(rim, RIM, instance_id=instance_id),
            ]
    return joined(parts)


def _disc(radius: float, outer: float, inner: float, *, x: float, z: float) -> np.ndarray:
    """Faces of a wheel about the axis through (x, z), between two values of y, metres."""
    circle = regular_polygon(12, radius)
    flat = np.stack([circle[:, 0] + x, np.zeros(12), circle[:, 1] + z], axis=-1)
    return prism(shifted(flat, y=inner), shifted(flat, y=outer))
