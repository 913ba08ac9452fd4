"""Vehicle bodies as unions of convex solids, and the families that shape priors are trained on.

A solid is given by its vertices in the box [-1, 1]^3 (x right, y down, z forward): the lower body, the cabin and four
wheels, with air under the sill. All bodies have the same vertices in the same order, so that they can be averaged, and
touch their box on every side. Shapes: P points, Q vertices, H planes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

# Vertices of the lower body, the cabin and each wheel.
SOLID_SIZES = (28, 14, 12, 12, 12, 12)

Vertices = list[tuple[float, float, float]]


@dataclass(frozen=True)
class Body:
    """A body as a union of convex solids."""

    vertices: np.ndarray  # [Q, 3] in the unit box, solid by solid (SOLID_SIZES)

    @property
    def solids(self) -> list[np.ndarray]:
        """The vertices of each solid."""
        return np.split(self.vertices, np.cumsum(SOLID_SIZES)[:-1])

    def signed_distances(
        self,
        points: np.ndarray,  # [P, 3] metres, in the box's own frame
        half_extents: np.ndarray,  # [3] metres, half of width, height, length
    ) -> np.ndarray:
        """Signed distances [P] metres to the body scaled to a box: the largest distance to a solid's planes.

        Exact inside a solid and beside its faces; beside edges it is too short.
        """
        distances = []
        for solid in self.solids:
            planes = ConvexHull(solid * half_extents).equations  # [H, 4]
            distances.append((points @ planes[:, :3].T + planes[:, 3]).max(axis=-1))
        return np.min(distances, axis=0)


@dataclass(frozen=True)
class Style:
    """The outline of a kind of vehicle: where it bends in the mean, as shares of its half length and half height.

    Along the length z from the front (1) to the rear (-1); along the height y from the ground (1) to the roof (-1).
    """

    cowl: float  # z of the windscreen's foot
    roof_front: float  # z of its upper edge
    roof_rear: float  # z
    tail: float  # z of the rear window's foot
    deck: float  # y of the rear body's upper edge
    belt: float  # y of the windows' lower edge
    nose: float  # y of the bonnet's front edge
    sill: float = 0.66  # y of the underside
    front_width: float = 0.72  # of the bumper, share of the half width
    rear_width: float = 0.78
    roof_width: float = 0.72


_CARS = (
    Style(cowl=0.50, roof_front=0.12, roof_rear=-0.40, tail=-0.68, deck=-0.25, belt=-0.25, nose=0.10),  # saloon
    Style(cowl=0.55, roof_front=0.15, roof_rear=-0.62, tail=-0.92, deck=-0.20, belt=-0.25, nose=0.08),  # hatchback
    Style(cowl=0.50, roof_front=0.14, roof_rear=-0.82, tail=-0.95, deck=-0.20, belt=-0.25, nose=0.05),  # estate
    Style(cowl=0.50, roof_front=0.18, roof_rear=-0.80, tail=-0.96, deck=-0.15, belt=-0.20, nose=-0.05),  # off-roader
    Style(cowl=0.70, roof_front=0.38, roof_rear=-0.92, tail=-0.97, deck=-0.10, belt=-0.15, nose=0.05),  # people carrier
)
_BOXES = tuple(
    Style(cowl, roof_front, roof_rear, tail, 0.0, 0.0, nose, sill, width, 0.92, 0.92)
    for cowl, roof_front, roof_rear, tail, nose, sill, width in (
        (0.97, 0.93, -0.94, -0.98, 0.20, 0.72, 0.92),  # bus
        (0.96, 0.86, -0.96, -0.98, 0.15, 0.60, 0.88),  # lorry with a flush body
        (0.90, 0.55, -0.96, -0.98, 0.20, 0.60, 0.85),  # lorry with a lower cab
        (0.66, 0.58, -0.90, -0.97, 0.65, 0.60, 0.30),  # caravan or trailer behind its drawbar
    )
)
# Round the means above: standard deviations of the same shares.
_CAR_SPREAD, _BOX_SPREAD = 0.08, 0.05


def random_car(rng: np.random.Generator) -> Body:
    """A passenger car."""
    return _random_body(_CARS[int(rng.integers(len(_CARS)))], rng, spread=_CAR_SPREAD)


def random_box_body(rng: np.random.Generator) -> Body:
    """A lorry, bus, caravan or trailer."""
    return _random_body(_BOXES[int(rng.integers(len(_BOXES)))], rng, spread=_BOX_SPREAD)


# What shape priors are trained on, by name.
FAMILIES: dict[str, Callable[[np.random.Generator], Body]] = {"car": random_car, "box": random_box_body}


def _random_body(style: Style, rng: np.random.Generator, *, spread: float) -> Body:
    def near(mean: float, low: float, high: float, share: float = 1.0) -> float:
        return float(np.clip(rng.normal(mean, share * spread), low, high))

    cowl = near(style.cowl, 0.2, 0.98)
    roof_front = min(near(style.roof_front, -0.2, 0.95), cowl - 0.03)
    roof_rear = min(near(style.roof_rear, -0.97, -0.1), roof_front - 0.2)
    tail = max(min(near(style.tail, -0.99, -0.3, 0.6), roof_rear - 0.02), -0.99)
    belt, deck, nose = near(style.belt, -0.5, 0.3), near(style.deck, -0.5, 0.3), near(style.nose, -0.25, 0.75)
    sill, bumper = near(style.sill, 0.4, 0.85), near(style.sill - 0.04, 0.35, 0.85)
    front, rear = near(style.front_width, 0.2, 0.97), near(style.rear_width, 0.5, 0.97)
    round_front, round_rear = near(0.82, 0.6, 0.95, 0.75), -near(0.85, 0.65, 0.97, 0.6)
    roof, belt_width = near(style.roof_width, 0.5, 0.96, 0.75), near(max(0.92, style.roof_width), 0.8, 1.0, 0.4)
    drop = near(0.10, 0.02, 0.25, 0.5)  # of the roof's ends
    # Half of left and right alike; the left half is its mirror image.
    tail_edge = [(belt_width, belt, tail), (rear, deck, -0.98)]
    windscreen_foot = [(0.90, belt, cowl)]
    low_body = [
        (front * 0.95, bumper, 0.97), (rear * 0.97, bumper - 0.02, -0.97), (0.93, sill, 0.80), (0.93, sill, -0.85),
        (front, max(0.35, nose), 1.00), (rear, 0.30, -1.00), (0.95, 0.35, round_front), (0.97, 0.30, round_rear),
        (1.00, 0.10, 0.45), (1.00, 0.10, -0.50), (front * 0.95, nose, 0.92),
    ]  # fmt: skip
    roof_edge = [
        (roof + 0.04, drop - 1, min(roof_front + 0.08, cowl)), (roof, -1.0, roof_front - 0.1),
        (roof, -1.0, min(roof_rear + 0.1, roof_front - 0.12)), (roof + 0.03, drop - 1, roof_rear),
    ]  # fmt: skip
    lower, cabin = _mirrored(low_body + windscreen_foot + tail_edge), _mirrored(windscreen_foot + roof_edge + tail_edge)
    radius = near(0.42, 0.3, 0.6, 0.6)
    axles = near(0.60, 0.45, 0.75, 0.6), -near(0.58, 0.4, 0.72, 0.6)
    wheels = [_wheel(radius) * (side, 1, 1) + (0, 0, axle) for side in (1, -1) for axle in axles]
    return Body(np.concatenate([lower, cabin, *wheels]))


def _wheel(radius: float) -> np.ndarray:
    """A right wheel [12, 3] that stands on the ground; its radius as a share of the half height."""
    circle = ((0.0, -0.35), (0.0, 0.35), (0.5, 0.95), (0.5, -0.95), (1.15, 0.95), (1.15, -0.95))
    length_share = 0.36  # of a car's half height to its half length
    return np.array([(x, 1 - up * radius, along * length_share * radius) for x in (0.62, 0.95) for up, along in circle])


def _mirrored(right: Vertices) -> np.ndarray:
    return np.concatenate([np.array(right), np.array(right) * (-1, 1, 1)])
