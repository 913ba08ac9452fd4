"""Vehicles other than cars: lorries, buses, and what cars tow. All lengths are metres, z counts from the ground.

A profile is a body's cross-section from the bottom up, an array [R, 4]: x of its front, x of its rear, half its width,
height. Columns [P] divide its sides from front to rear, as shares of its length at each height.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vsrd_ray.synthetic.bodies import (
    GLASS,
    HEADLAMP,
    TAIL_LAMP,
    TRIM,
    TYRE,
    Color,
    Part,
    Shape,
    assembled,
    disc,
    loft,
    wheels,
)
from vsrd_ray.synthetic.meshes import Mesh, cuboid, prism

_WHITE, _STEEL = (222, 222, 216), (136, 138, 140)
_CHAMFER = 0.05  # m, by which a body is narrower at its front and its rear face
_CAB_LENGTH = 1.95  # m
_WINDOW, _PILLAR = 1.35, 0.12  # m, along a bus
# x of wheels as shares of the length.
_TRUCK_AXLES, _BUS_AXLES = (0.35, -0.27), (0.27, -0.23)
# Of what cars tow, shares of its length: where the body begins, its axle, and the small wheel that carries the drawbar.
_TOWED_FRONT, _TOWED_AXLE, _JOCKEY_WHEEL = 0.30, -0.12, 0.40


@dataclass(frozen=True, kw_only=True)
class VehicleShape(Shape):
    """A kind of vehicle that is built from parts of given measures."""

    build: Callable[[np.ndarray, Color], list[Part]]  # from dimensions [3] in metres and the paint

    def mesh(self, dimensions_lwh: np.ndarray, *, paint: Color, instance_id: int) -> Mesh:
        """The vehicle in the frame of its box, metres: the vertices' bounding box is the box."""
        return assembled(self.build(dimensions_lwh, paint), float(dimensions_lwh[2]), instance_id=instance_id)


def _truck(dimensions_lwh: np.ndarray, paint: Color) -> list[Part]:
    """A lorry: a cab and a box body on a frame with two axles."""
    length, width, height = dimensions_lwh
    front, rear, half = length / 2, -length / 2, width / 2
    frame = cuboid([rear + 0.06, -0.42, 0.55], [front - 1.0, 0.42, 1.0])
    bumper = cuboid([rear + 0.05, -0.94 * half, 0.42], [rear + 0.13, 0.94 * half, 0.56])
    guard_front, guard_rear = _TRUCK_AXLES[0] * length - 0.65, _TRUCK_AXLES[1] * length + 0.65
    guards = [
        cuboid([guard_rear, low * half, 0.45], [guard_front, high * half, 0.85])
        for low, high in ((0.92, 0.95), (-0.95, -0.92))
    ]
    return [
        _cab(front, half, height, paint),
        _box_body(front - _CAB_LENGTH - 0.12, rear, half, height, stripe=paint),
        (frame, TRIM),
        (bumper, _STEEL),
        (np.concatenate(guards), _STEEL),
        _tail_lamps(rear + 0.02, half, 0.60),
        *wheels(dimensions_lwh, _TRUCK_AXLES, radius=0.46, breadth=0.32),
    ]


def _cab(front: float, half_width: float, height: float, paint: Color) -> Part:
    """The cab of a lorry of a given height."""
    rear = front - _CAB_LENGTH
    roof = float(np.clip(0.8 * height, 2.15, 2.75))
    profile = np.array(
        [
            [front - 0.03, rear, 0.93 * half_width, 0.38],
            [front, rear, 0.965 * half_width, 0.72],
            [front - 0.02, rear, 0.97 * half_width, 0.92],
            [front - 0.04, rear, 0.97 * half_width, 0.5 * roof + 0.08],
            [front - 0.22, rear, 0.93 * half_width, roof - 0.24],
            [front - 0.50, rear, 0.86 * half_width, roof],
        ]
    )
    columns = [0.0, 0.08, 0.20, 0.68, 1.0]
    colors = _coat(profile, columns, paint)
    colors[0] = TRIM
    colors[1:3, -1] = TRIM  # the grille
    colors[1, 0] = HEADLAMP
    colors[3, [0, 2, -1]] = GLASS
    return loft(_half_rings(profile, columns), colors)


def _box_body(front: float, rear: float, half_width: float, height: float, *, stripe: Color) -> Part:
    """A lorry's box body, light with a stripe above the floor."""
    profile = np.array(
        [
            [front, rear, 0.98 * half_width, 0.95],
            [front, rear, half_width, 1.08],
            [front, rear, half_width, 1.32],
            [front, rear, half_width, height - 0.10],
            [front - 0.03, rear + 0.03, 0.98 * half_width, height],
        ]
    )
    columns = [0.0, 0.012, 0.988, 1.0]
    colors = _coat(profile, columns, _WHITE)
    colors[0], colors[1], colors[3] = TRIM, stripe, _STEEL
    colors[1:3, [0, 2]] = _STEEL  # the corner posts
    return loft(_half_rings(profile, columns), colors)


def _bus(dimensions_lwh: np.ndarray, paint: Color) -> list[Part]:
    """A bus with a door behind each front corner and windows all around."""
    length, width, height = dimensions_lwh
    front, rear, half = length / 2, -length / 2, width / 2
    profile = np.array(
        [
            [front - 0.08, rear + 0.10, 0.94 * half, 0.28],
            [front - 0.01, rear, 0.97 * half, 0.55],
            [front, rear, 0.975 * half, 1.00],
            [front - 0.01, rear, half, 1.10],
            [front - 0.10, rear + 0.06, 0.985 * half, height - 0.72],
            [front - 0.18, rear + 0.09, 0.97 * half, height - 0.18],
            [front - 0.40, rear + 0.25, 0.88 * half, height],
        ]
    )
    columns = _window_columns(length)
    colors = _coat(profile, columns, paint)
    colors[0] = TRIM
    colors[1, [0, -3]] = HEADLAMP, TAIL_LAMP
    colors[1:4, 1] = GLASS  # the door
    colors[2:4, -1] = GLASS  # the windscreen
    colors[3, 3:-3:2] = GLASS
    colors[3, [0, -2]] = GLASS
    colors[4, -1] = TRIM  # the sign above the windscreen
    colors[-1] = _WHITE
    return [
        loft(_half_rings(profile, columns), colors),
        *wheels(dimensions_lwh, _BUS_AXLES, radius=0.48, breadth=0.32),
    ]


def _window_columns(length: float) -> list[float]:
    """Columns of a bus: a corner, then a pane and a pillar by turns, the door's pane first, and the other corner."""
    corner = 0.20
    room = length - 2 * corner - _PILLAR
    count = round(room / (_WINDOW + _PILLAR))
    starts = corner + np.arange(count) * room / count
    edges = np.stack([starts, starts + room / count - _PILLAR], axis=-1).ravel()
    return [0.0, *(edges / length), 1 - corner / length, 1.0]


def _caravan(dimensions_lwh: np.ndarray, paint: Color) -> list[Part]:
    """A living cabin on one axle, white with a painted stripe, and a locker on its drawbar."""
    length, width, height = dimensions_lwh
    front, rear, half = _TOWED_FRONT * length, -length / 2, width / 2
    profile = np.array(
        [
            [front - 0.15, rear + 0.16, 0.94 * half, 0.34],
            [front - 0.02, rear + 0.04, 0.97 * half, 0.66],
            [front, rear, half, 0.82],
            [front - 0.03, rear, half, 1.12],
            [front - 0.32, rear + 0.10, 0.99 * half, 1.78],
            [front - 0.55, rear + 0.20, 0.97 * half, height - 0.22],
            [front - 0.95, rear + 0.42, 0.90 * half, height],
        ]
    )
    columns = [0.0, 0.05, 0.16, 0.42, 0.60, 0.72, 0.78, 0.94, 1.0]
    colors = _coat(profile, columns, _WHITE)
    colors[0] = _STEEL
    colors[2] = paint
    colors[1, -3] = TAIL_LAMP
    colors[3, [2, 6, -2, -1]] = GLASS
    colors[1:4, 4] = _STEEL  # the door
    locker = cuboid([front - 0.1, -0.40 * half, 0.46], [front + 0.38, 0.40 * half, 0.92])
    return [
        loft(_half_rings(profile, columns), colors),
        (locker, _WHITE),
        *_drawbar(length, half),
        *wheels(dimensions_lwh, (_TOWED_AXLE,), radius=0.31, breadth=0.2),
    ]


def _flat_trailer(dimensions_lwh: np.ndarray, paint: Color) -> list[Part]:
    """A small trailer with low sides of steel and a tarpaulin over its load."""
    return _trailer(dimensions_lwh, sides=_STEEL, top=paint)


def _box_trailer(dimensions_lwh: np.ndarray, paint: Color) -> list[Part]:
    """A small trailer with a closed box."""
    return _trailer(dimensions_lwh, sides=paint, top=_WHITE)


def _trailer(dimensions_lwh: np.ndarray, *, sides: Color, top: Color) -> list[Part]:
    """A box of any height on one axle, with a drawbar."""
    length, width, height = dimensions_lwh
    front, rear, half = _TOWED_FRONT * length, -length / 2, width / 2
    profile = np.array(
        [
            [front - 0.04, rear + 0.06, 0.94 * half, 0.40],
            [front - 0.02, rear + 0.03, 0.97 * half, 0.60],
            [front, rear + 0.02, half, 0.66],
            [front, rear + 0.02, half, height - 0.08],
            [front - 0.06, rear + 0.08, 0.94 * half, height],
        ]
    )
    columns = [0.0, 0.03, 0.35, 0.37, 0.63, 0.65, 0.97, 1.0]
    colors = _coat(profile, columns, sides)
    colors[0:2] = TRIM
    colors[2, [2, 4]] = np.asarray(sides) * 0.7  # ribs
    colors[3:] = top
    return [
        loft(_half_rings(profile, columns), colors),
        _tail_lamps(rear, half, 0.62),
        *_drawbar(length, half),
        *wheels(dimensions_lwh, (_TOWED_AXLE,), radius=0.29, breadth=0.18),
    ]


def _drawbar(length: float, half_width: float) -> list[Part]:
    """Two bars from the body to the coupling, the vehicle's foremost point, and the wheel that carries them."""
    start, hitch, low, high = _TOWED_FRONT * length - 0.2, length / 2, 0.40, 0.48
    bars = []
    for side in (1, -1):
        y, tip = 0.55 * half_width * side, hitch - 0.15
        plan = np.array([[start, y - 0.04], [tip, -0.04], [tip, 0.04], [start, y + 0.04]])
        bars.append(prism(_at_height(plan, low), _at_height(plan, high)))
    x = _JOCKEY_WHEEL * length
    post = cuboid([x - 0.03, -0.03, 0.11], [x + 0.03, 0.03, 0.70])
    coupling = cuboid([hitch - 0.22, -0.06, low - 0.01], [hitch, 0.06, high + 0.03])
    return [
        (np.concatenate([*bars, post]), _STEEL),
        (coupling, TRIM),
        (disc(0.11, 0.035, -0.035, x=x, z=0.11), TYRE),
    ]


def _tail_lamps(rear: float, half_width: float, z: float) -> Part:
    """A lamp at either side whose rear face stands at `rear`."""
    near, far = 0.62 * half_width, 0.88 * half_width
    lamps = [cuboid([rear, low, z], [rear + 0.06, high, z + 0.14]) for low, high in ((near, far), (-far, -near))]
    return np.concatenate(lamps), TAIL_LAMP


def _half_rings(profile: np.ndarray, columns: Sequence[float]) -> np.ndarray:
    """Left halves of a body's rings [R, P, 3], metres, with chamfers at its front and its rear."""
    front, rear, half_width, z = (values[:, None] for values in profile.T)
    x = front + (rear - front) * np.asarray(columns)
    y = np.broadcast_to(half_width, x.shape).copy()
    y[:, [0, -1]] -= _CHAMFER
    return np.stack([x, y, np.broadcast_to(z, x.shape)], axis=-1)


def _coat(profile: np.ndarray, columns: Sequence[float], color: Color) -> np.ndarray:
    """One colour all over: [R, P + 1, 3] as `loft` takes them."""
    return np.broadcast_to(np.asarray(color, dtype=np.float64), (len(profile), len(columns) + 1, 3)).copy()


def _at_height(plan: np.ndarray, z: float) -> np.ndarray:
    """Points [P, 3] above points [P, 2] of the ground."""
    return np.pad(plan, ((0, 0), (0, 1)), constant_values=z)


OTHER_SHAPES = (
    VehicleShape(
        name="lorry",
        class_name="truck",
        length=(6.0, 10.0),
        width=(2.20, 2.55),
        height=(2.60, 3.80),
        axles=_TRUCK_AXLES,
        build=_truck,
    ),
    VehicleShape(
        name="bus",
        class_name="bus",
        length=(10.0, 12.5),
        width=(2.45, 2.55),
        height=(2.90, 3.30),
        axles=_BUS_AXLES,
        build=_bus,
    ),
    VehicleShape(
        name="caravan",
        class_name="caravan",
        length=(5.0, 7.5),
        width=(2.00, 2.50),
        height=(2.40, 2.80),
        axles=(_TOWED_AXLE, _JOCKEY_WHEEL),
        build=_caravan,
    ),
    VehicleShape(
        name="flat trailer",
        class_name="trailer",
        length=(2.5, 5.0),
        width=(1.40, 2.20),
        height=(0.90, 1.25),
        axles=(_TOWED_AXLE, _JOCKEY_WHEEL),
        build=_flat_trailer,
    ),
    VehicleShape(
        name="box trailer",
        class_name="trailer",
        length=(3.0, 6.0),
        width=(1.40, 2.50),
        height=(1.60, 2.60),
        axles=(_TOWED_AXLE, _JOCKEY_WHEEL),
        build=_box_trailer,
    ),
)
